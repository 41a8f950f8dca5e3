/**
 * What the shim knows of its containers, in files: the next shim needs nothing else.
 *
 *   <state>/shim/                 0700
 *     lock                        flock(2)ed by the shim that is in charge
 *     shim.sock                   its socket
 *     exits/ID                    the keeper's exit record: empty while the container lives
 *     containers/ID/record.json   this file's ContainerRecord, replaced atomically
 *     containers/ID/exit.json     the exit with the OOM flag, kept until delete
 *     containers/ID/*.journal     log bytes on their way (logs/journal.ts)
 *
 * The phase says what a successor has to do with a container:
 *
 *   creating   undo it: its creator died half-way
 *   created    take it over
 *   deleting   finish that
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EEXIST, ENOENT, errnoOf, StrataError } from '@strata/namespaces';
import type { ProcessIdentity } from '@strata/oci-runtime';
import type { ExitInfo } from '../keeper/exit-record.ts';

export interface StdioPaths {
  stdin: string;
  stdout: string;
  stderr: string;
}

export interface ContainerRecord {
  id: string;
  bundle: string;
  phase: 'creating' | 'created' | 'deleting';
  terminal: boolean;
  /** Path of the CRI log, if the shim writes one. */
  logPath?: string;
  /** FIFOs or file:// URIs, if the caller has its own. */
  stdio?: StdioPaths;
  init?: ProcessIdentity;
  keeper?: ProcessIdentity;
  /** The container's cgroup directories by hierarchy. */
  cgroups?: Record<string, string>;
}

/** Leaves room in a file name for an exec's suffix. */
const ID = /^[A-Za-z0-9_.+-]{1,200}$/;

export function validateId(id: string, field = 'id'): void {
  if (ID.test(id) && id !== '.' && id !== '..') return;
  throw new StrataError('INVALID_ID', `invalid ${field} ${JSON.stringify(id.slice(0, 80))}`, {
    field,
    hint: 'use letters, digits and _ + - . (not . or .. alone), at most 200',
  });
}

export class ContainerStore {
  readonly directory: string;

  /** @param state the stack's state directory, such as /run/strata */
  constructor(state: string) {
    this.directory = join(state, 'shim');
    for (const name of ['', 'exits', 'containers']) {
      mkdirSync(join(this.directory, name), { recursive: true, mode: 0o700 });
    }
  }

  get lockPath(): string {
    return join(this.directory, 'lock');
  }

  get exitsDirectory(): string {
    return join(this.directory, 'exits');
  }

  /** @param name an id, or `ID@EXEC` */
  exitFile(name: string): string {
    return join(this.exitsDirectory, name);
  }

  containerDirectory(id: string): string {
    return join(this.directory, 'containers', id);
  }

  /** Takes the name and writes the first record. @throws {StrataError} ALREADY_EXISTS */
  reserve(record: ContainerRecord): void {
    const path = this.containerDirectory(record.id);
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if (errnoOf(error) !== EEXIST) throw error;
      throw new StrataError('ALREADY_EXISTS', `container ${record.id} exists already`, { path });
    }
    this.write(record);
  }

  write(record: ContainerRecord): void {
    writeAtomically(join(this.containerDirectory(record.id), 'record.json'), record);
  }

  /** The record; undefined where its writer died before it was there. */
  read(id: string): ContainerRecord | undefined {
    return readJson(join(this.containerDirectory(id), 'record.json')) as
      | ContainerRecord
      | undefined;
  }

  writeExit(id: string, exit: ExitInfo): void {
    const json = { ...exit, exitedAtNs: String(exit.exitedAtNs) };
    writeAtomically(join(this.containerDirectory(id), 'exit.json'), json);
  }

  readExit(id: string): ExitInfo | undefined {
    const json = readJson(join(this.containerDirectory(id), 'exit.json'));
    if (!json) return undefined;
    const { exitStatus, exitedAtNs, oomKilled } = json as ExitInfo & { exitedAtNs: string };
    return { exitStatus, exitedAtNs: BigInt(exitedAtNs), oomKilled };
  }

  remove(id: string): void {
    rmSync(this.exitFile(id), { force: true });
    rmSync(this.containerDirectory(id), { recursive: true, force: true });
  }

  ids(): string[] {
    return readdirSync(join(this.directory, 'containers'));
  }

  /** Removes exit records that belong to no container: of execs, or of half-made containers. */
  removeStrayExits(): void {
    const known = new Set(this.ids());
    for (const name of readdirSync(this.exitsDirectory)) {
      if (!known.has(name)) rmSync(this.exitFile(name), { force: true });
    }
  }
}

function writeAtomically(path: string, value: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (errnoOf(error) === ENOENT || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
