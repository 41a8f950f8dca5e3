/**
 * What the shim knows of its containers, in files: the next shim needs nothing else.
 *
 *   <state>/shim/                          0700
 *     lock                                 flock(2)ed by the shim that is in charge
 *     shim.sock                            its socket
 *     exits/ID, exits/ID@EXEC              the keepers' exit records: empty while the process lives
 *     containers/ID/record.json            ContainerRecord, replaced atomically
 *     containers/ID/exit.json              the exit with the OOM flag, kept until delete
 *     containers/ID/*.journal              how far the log has come (logs/journal.ts)
 *     containers/ID/health.json            what its health checks have found
 *     containers/ID/execs/EXEC/            the same for each exec: record.json, exit.json, journals
 *
 * The phase says what a successor has to do (see takeover.ts). What the records look like, and which
 * shim reads which, is in records.ts.
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { EEXIST, ENOENT, ENOSPC, errnoOf, StrataError } from '@strata/namespaces';
import type { ExitInfo } from '../keeper/exit-record.ts';
import { type ContainerRecord, type ExecRecord, upgradeRecord } from './records.ts';

/** Both together are the name of a file: 255 bytes at most. */
const ID = /^[A-Za-z0-9_.+-]{1,127}$/;

export function validateId(id: string, field = 'id'): void {
  if (ID.test(id) && id !== '.' && id !== '..') return;
  throw new StrataError('INVALID_ID', `invalid ${field} ${JSON.stringify(id.slice(0, 80))}`, {
    field,
    hint: 'use letters, digits and _ + - . (not . or .. alone), at most 127',
  });
}

/** The name of a process's exit record. No id has an @. */
export const exitName = (id: string, execId?: string): string =>
  execId === undefined ? id : `${id}@${execId}`;

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

  exitFile(id: string, execId?: string): string {
    return join(this.exitsDirectory, exitName(id, execId));
  }

  /** Where the files of a process are: a container's, or those of an exec in it. */
  place(id: string, execId?: string): string {
    const container = join(this.directory, 'containers', id);
    return execId === undefined ? container : join(container, 'execs', execId);
  }

  /** Takes the name and writes the first record. @throws {StrataError} ALREADY_EXISTS */
  reserve(record: ContainerRecord): void {
    this.#take(this.place(record.id), `container ${record.id}`);
    this.write(record);
  }

  /** As `reserve`, for an exec. */
  reserveExec(id: string, record: ExecRecord): void {
    mkdirSync(join(this.place(id), 'execs'), { recursive: true, mode: 0o700 });
    this.#take(this.place(id, record.execId), `exec ${record.execId} in container ${id}`);
    this.writeExec(id, record);
  }

  #take(path: string, what: string): void {
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if (errnoOf(error) !== EEXIST) throw error;
      throw new StrataError('ALREADY_EXISTS', `${what} exists already`, { path });
    }
  }

  write(record: ContainerRecord): void {
    writeAtomically(join(this.place(record.id), 'record.json'), record);
  }

  writeExec(id: string, record: ExecRecord): void {
    writeAtomically(join(this.place(id, record.execId), 'record.json'), record);
  }

  /**
   * Says that a container is being deleted. On a full disk by emptying its record, which takes no
   * space and means the same to a successor.
   */
  markDeleting(record: ContainerRecord): void {
    try {
      this.write({ ...record, phase: 'deleting' });
    } catch (error) {
      if (errnoOf(error) !== ENOSPC) throw error;
      truncateSync(join(this.place(record.id), 'record.json'), 0);
    }
  }

  /**
   * The record; undefined where its writer died before it was there.
   * @throws {StrataError} UNKNOWN_FORMAT for one of a newer shim
   */
  read(id: string): ContainerRecord | undefined {
    const path = join(this.place(id), 'record.json');
    return upgradeRecord(readJson(path), path) as ContainerRecord | undefined;
  }

  readExec(id: string, execId: string): ExecRecord | undefined {
    const path = join(this.place(id, execId), 'record.json');
    return upgradeRecord(readJson(path), path) as ExecRecord | undefined;
  }

  /** Makes an exit durable, in the process's place. @param life which of the container's inits it is of */
  writeExit(place: string, exit: ExitInfo, life = 0): void {
    const json = { ...exit, exitedAtNs: String(exit.exitedAtNs), life };
    writeAtomically(join(place, 'exit.json'), json);
  }

  readExit(place: string, life = 0): ExitInfo | undefined {
    const json = readJson(join(place, 'exit.json'));
    if (!json) return undefined;
    const { exitStatus, exitedAtNs, oomKilled, ...rest } = json as ExitInfo & {
      exitedAtNs: string;
      life?: number;
    };
    // That of the init before: its place is taken by another.
    if ((rest.life ?? 0) !== life) return undefined;
    return { exitStatus, exitedAtNs: BigInt(exitedAtNs), oomKilled };
  }

  /** What is known of a container's health. */
  readHealth(id: string): unknown {
    return readJson(join(this.place(id), 'health.json'));
  }

  writeHealth(id: string, health: object): void {
    writeAtomically(join(this.place(id), 'health.json'), health);
  }

  removeHealth(id: string): void {
    rmSync(join(this.place(id), 'health.json'), { force: true });
  }

  /** Removes what is of an init that has ended, but for its exit: another will take its place. */
  forgetInit(id: string): void {
    rmSync(this.exitFile(id), { force: true });
    const place = this.place(id);
    for (const name of readdirSync(place)) {
      if (name.endsWith('.journal')) rmSync(join(place, name), { force: true });
    }
  }

  remove(id: string): void {
    for (const execId of this.execIds(id)) rmSync(this.exitFile(id, execId), { force: true });
    rmSync(this.exitFile(id), { force: true });
    rmSync(this.place(id), { recursive: true, force: true });
  }

  removeExec(id: string, execId: string): void {
    rmSync(this.exitFile(id, execId), { force: true });
    rmSync(this.place(id, execId), { recursive: true, force: true });
  }

  ids(): string[] {
    return readdirSync(join(this.directory, 'containers'));
  }

  execIds(id: string): string[] {
    try {
      return readdirSync(join(this.place(id), 'execs'));
    } catch (error) {
      if (errnoOf(error) === ENOENT) return [];
      throw error;
    }
  }

  /** Removes exit records that belong to no container: of half-made ones. */
  removeStrayExits(): void {
    const known = new Set(
      this.ids().flatMap((id) => [
        exitName(id),
        ...this.execIds(id).map((execId) => exitName(id, execId)),
      ]),
    );
    for (const name of readdirSync(this.exitsDirectory)) {
      if (!known.has(name)) rmSync(join(this.exitsDirectory, name), { force: true });
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
