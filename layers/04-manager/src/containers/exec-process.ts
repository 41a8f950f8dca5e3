/** The process of an exec: the container's own, with another program and what was asked for. */
import { readFileSync } from 'node:fs';
import { parseSpec, type SpecProcess } from '@strata/oci-runtime';
import type { ExecRequest } from '../manager/manager-api.ts';
import { resolveUser } from '../spec/user.ts';

/** @throws {StrataError} INVALID_USER */
export function execProcess(configPath: string, rootfs: string, request: ExecRequest): SpecProcess {
  const { process } = parseSpec(readFileSync(configPath, 'utf8'));
  const own = process!;
  const user = request.user ? resolveUser(rootfs, request.user) : undefined;
  const { terminal: _, ...rest } = own;
  return {
    ...rest,
    args: [...request.command],
    env: [...(own.env ?? []), ...(request.env ?? [])],
    cwd: request.workingDir ?? own.cwd,
    ...(user && {
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    }),
  };
}
