/**
 * Intel's Resource Director Technology: which part of the L3 cache and of the memory's bandwidth a group
 * of processes may use, written as lines of the group's schemata file.
 *
 *   L3:0=7f0;1=1f
 *   MB:0=20;1=70
 *
 * @see Documentation/filesystems/resctrl.rst, runtime-spec config-linux.md#intelrdt
 */
import { existsSync, writeFileSync } from 'node:fs';
import { StrataError } from '@strata/namespaces';

const RESCTRL = '/sys/fs/resctrl';

export interface RdtSchemata {
  l3CacheSchema?: string | undefined;
  memBwSchema?: string | undefined;
}

/**
 * Changes what a group may use.
 * @param group its directory: linux.intelRdt.closID, else the container's id
 * @throws {StrataError} INTEL_RDT
 */
export function changeSchemata(group: string, schemata: RdtSchemata, resctrl = RESCTRL): void {
  if (!existsSync(`${resctrl}/schemata`)) {
    throw new StrataError('INTEL_RDT', `there is no resctrl file system at ${resctrl}`, {
      hint: 'it needs a processor with RDT, and: mount -t resctrl resctrl /sys/fs/resctrl',
    });
  }
  const path = `${resctrl}/${group}/schemata`;
  if (!existsSync(path)) {
    const hint = 'only a container that was created with linux.intelRdt has one';
    throw new StrataError('INTEL_RDT', `there is no resctrl group ${group}`, { path, hint });
  }
  for (const [field, lines] of Object.entries(schemata)) {
    for (const line of lines?.split('\n').filter(Boolean) ?? []) writeLine(path, line, field);
  }
}

function writeLine(path: string, line: string, name: string): void {
  const field = `linux.intelRdt.${name}`;
  try {
    // One write is one request to the kernel.
    writeFileSync(path, `${line}\n`);
  } catch (cause) {
    const message = `${field}: cannot write ${JSON.stringify(line)}: ${(cause as Error).message}`;
    const hint = `see ${RESCTRL}/info/last_cmd_status`;
    throw new StrataError('INTEL_RDT', message, { field, path, hint, cause });
  }
}
