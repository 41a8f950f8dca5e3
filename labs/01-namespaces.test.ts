import { testLabs } from './src/suite.ts';

await testLabs('01-namespaces');
