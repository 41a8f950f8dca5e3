/**
 * The conformance suite of the OCI's distribution specification, run against `strata registry serve`.
 *
 * The suite is one program that is told by its environment where the registry is, and writes a report.
 * @see https://github.com/opencontainers/distribution-spec/tree/main/conformance
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { RegistryServer } from '@strata/manager';
import { type GoModule, go, requiredVersion } from './go-module.ts';
import { BIN, makeOnce } from './made-once.ts';

const MODULE: GoModule = {
  directory: resolve(import.meta.dirname, '../distribution'),
  path: 'github.com/opencontainers/distribution-spec/conformance',
};

/** Where the built program is found. */
export const DISTRIBUTION_SUITE = join(BIN, 'distribution');

/** Versions of the specification to be held to. */
export const DISTRIBUTION_VERSIONS = ['1.1', 'dev'] as const;

export function buildDistributionSuite(): string {
  return makeOnce('distribution', requiredVersion(MODULE), (output) => {
    go(MODULE, ['build', '-trimpath', '-o', output, MODULE.path]);
  });
}

export interface DistributionResult {
  /** By the suite's words: Pass, FAIL, Error, Skip, Disabled. */
  counts: Readonly<Record<string, number>>;
  /** What it has printed. */
  report: string;
}

/** Runs the suite against a registry of its own. */
export async function runDistributionSuite(version: string): Promise<DistributionResult> {
  const scratch = mkdtempSync(join(tmpdir(), 'strata-distribution-'));
  try {
    await using registry = await RegistryServer.open({ directory: join(scratch, 'registry') });
    const report = await runSuite({
      OCI_VERSION: version,
      OCI_TLS: 'disabled',
      OCI_REGISTRY: new URL(registry.address).host,
      OCI_RESULTS_DIR: join(scratch, 'results'),
    });
    const lines = report.matchAll(/^ {2}(Pass|FAIL|Error|Skip|Disabled)\.+: +(\d+)$/gm);
    return {
      counts: Object.fromEntries([...lines].map(([, name, count]) => [name, Number(count)])),
      report,
    };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function runSuite(variables: Readonly<Record<string, string>>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(DISTRIBUTION_SUITE, {
    env: { PATH: process.env.PATH, ...variables },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let report = '';
  child.stdout.on('data', (chunk: Buffer) => {
    report += chunk;
  });
  child.on('error', reject);
  child.on('close', () => resolve(report));
  return promise;
}

/** The command: builds, runs, prints. */
export async function conformanceOfRegistry(args: readonly string[]): Promise<number> {
  buildDistributionSuite();
  if (args.includes('--build')) return 0;
  let failed = 0;
  for (const version of DISTRIBUTION_VERSIONS) {
    const { counts, report } = await runDistributionSuite(version);
    const bad = (counts.FAIL ?? 0) + (counts.Error ?? 0);
    if (bad > 0 || !counts.Pass) console.log(report);
    console.log(`distribution-spec ${version}: ${JSON.stringify(counts)}`);
    failed += bad || (counts.Pass ? 0 : 1);
  }
  return failed > 0 ? 1 : 0;
}
