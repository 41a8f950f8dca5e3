import { testLabs } from './src/suite.ts';

testLabs('01-namespaces');
