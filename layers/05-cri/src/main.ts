/**
 * strata-cri: the command line.
 *
 *   strata-cri serve --listen unix:///run/strata/cri.sock
 *
 * Each part is imported when it is needed: --version needs none, --help no gRPC.
 */
import { RUNTIME_VERSION } from './product.ts';

async function main(args: string[]): Promise<void> {
  if (args[0] === '--version') {
    process.stdout.write(`strata-cri version ${RUNTIME_VERSION}\n`);
    return;
  }
  const { runCommandLine } = await import('./command-line.ts');
  await runCommandLine(args);
}

main(process.argv.slice(2)).catch(async (error: unknown) => {
  const { describeError } = await import('@strata/namespaces');
  process.stderr.write(`strata-cri: ${describeError(error)}\n`);
  process.exitCode = 1;
});
