/**
 * What the runtime knows of its containers, in files that survive it.
 *
 *   <root>/                 0700
 *     <id>/                 one container; mkdir(2) is the lock on the name, and flock(2) is held on it
 *                           by who is making the container
 *       state.json          ContainerRecord, replaced atomically
 *       next.json           what state.json is about to become
 *
 * The record is written before anything is made (status `creating`, with the cgroup it will use), so
 * that a creation killed half-way can be undone by whoever comes next. Before the processes of a
 * container are let go, they are written into next.json; its renaming makes the container `created`.
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';

import {
  AT_FDCWD,
  EEXIST,
  ENOENT,
  errnoOf,
  LOCK_NB,
  LOCK_SH,
  localSyscalls,
  O_CLOEXEC,
  O_DIRECTORY,
  O_RDONLY,
  StrataError,
} from '@strata/namespaces';
import type { Hooks, LinuxResources } from '../config/spec.ts';
import type { ProcessIdentity } from '../process/identity.ts';
import { CreationUnderWay, Reservation } from './reservation.ts';

export interface ContainerRecord {
  ociVersion: string;
  id: string;
  bundle: string;
  rootfs: string;
  /** RFC 3339, UTC. */
  created: string;
  annotations: Record<string, string>;
  /** Uid of the creator. */
  owner: number;
  cgroupPath: string;
  /** The container's directories, by hierarchy; empty until the cgroup is made. */
  cgroups: Record<string, string>;
  /** The hierarchies in which they were made for it; the others belong to somebody else. */
  cgroupsMade?: readonly string[];
  /** What was not there before the creation, and so is its own when it was killed half-way. */
  cgroupsToMake?: Readonly<Record<string, string>>;
  /** Its limits of now, the rules for devices left out. */
  resources?: LinuxResources;
  /** The unit of systemd that it is in. */
  scope?: string;
  /** Set when creation is complete. */
  init?: ProcessIdentity;
  keeper?: ProcessIdentity;
  /** Inode of the stub executable: the init runs it until it is started. */
  stub?: { device: number; inode: number };
  syncFd?: number;
  /** The calls of the init's final program. */
  finalCalls?: string[];
  /** The program's path in the container. */
  executable?: string;
  /** Its processes stay in the session keyring of who starts them. */
  keepsKeyring?: true;
  /** Its init is PID 1 of a namespace made for it. */
  hasOwnPidNamespace: boolean;
  hasUserNamespace: boolean;
  hasTimeNamespace: boolean;
  /** Set where it has its mounts in the host's namespace: the id of the mount that its root is over. */
  rootIsOver?: number;
  /** The hooks that are run after `create`: what the bundle says by then does not count. */
  hooks?: Pick<Hooks, 'startContainer' | 'poststart' | 'poststop'>;
  /** config.json, where startContainer hooks are to be run as the container's process would be. */
  configText?: string;
}

/** The limits that a record keeps. The rules for devices are long, and no update changes them. */
export function withoutDevices({ devices, ...rest }: LinuxResources): LinuxResources {
  return rest;
}

const ID = /^[A-Za-z0-9_.+-]{1,1024}$/;

/** Throws unless the id is a plain file name of the characters runc allows. */
export function validateId(id: string): void {
  if (ID.test(id) && id !== '.' && id !== '..') return;
  throw new StrataError('INVALID_ID', `invalid container id ${JSON.stringify(id)}`, {
    hint: 'use letters, digits and _ + - . (not . or .. alone), at most 1024',
  });
}

export class StateStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  directory(id: string): string {
    validateId(id);
    return `${this.#root}/${id}`;
  }

  /** Takes the name, and writes the record. @throws {StrataError} ALREADY_EXISTS */
  reserve(record: ContainerRecord): Reservation {
    const directory = this.directory(record.id);
    try {
      mkdirSync(directory, { mode: 0o700 });
    } catch (error) {
      if (errnoOf(error) === EEXIST) {
        throw new StrataError('ALREADY_EXISTS', `container ${record.id} exists already`, {
          path: directory,
          hint: 'choose another id, or delete the container first',
        });
      }
      if (errnoOf(error) !== ENOENT) throw error;
      mkdirSync(this.#root, { recursive: true, mode: 0o700 });
      mkdirSync(directory, { mode: 0o700 });
    }
    return Reservation.of(directory, record);
  }

  /** The creation of a container, if somebody is making it at this moment. */
  creationOf(id: string): CreationUnderWay | undefined {
    const sys = localSyscalls();
    const path = this.directory(id);
    const fd = sys.attempt('openat', AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd === -ENOENT) return undefined;
    if (fd < 0) throw sys.failure('openat', -fd, [path]);
    if (!sys.flock(fd, LOCK_SH | LOCK_NB)) return new CreationUnderWay(path, fd);
    sys.close(fd);
    return undefined;
  }

  /** What the state of a container was about to become when its creator was killed, if that far. */
  readNext(id: string): ContainerRecord | undefined {
    try {
      return JSON.parse(readFileSync(`${this.directory(id)}/next.json`, 'utf8'));
    } catch (error) {
      // Cut off: then its processes were not let go yet, and ended with their creator.
      if (error instanceof SyntaxError || errnoOf(error) === ENOENT) return undefined;
      throw error;
    }
  }

  write(record: ContainerRecord): void {
    const directory = this.directory(record.id);
    writeFileSync(`${directory}/next.json`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${directory}/next.json`, `${directory}/state.json`);
  }

  /** @throws {StrataError} NOT_FOUND */
  read(id: string): ContainerRecord {
    const path = `${this.directory(id)}/state.json`;
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (cause) {
      if (errnoOf(cause) !== ENOENT) throw cause;
      throw new StrataError('NOT_FOUND', `container ${id} does not exist`, { path, cause });
    }
    try {
      return JSON.parse(text) as ContainerRecord;
    } catch (cause) {
      throw new StrataError('CORRUPT_STATE', `cannot parse the state of container ${id}`, {
        path,
        cause,
        hint: 'delete the container with --force',
      });
    }
  }

  remove(id: string): void {
    const directory = this.directory(id);
    try {
      // What is normally there. rmSync finds out by itself, and takes ten times as long.
      unlinkSync(`${directory}/state.json`);
      rmdirSync(directory);
    } catch {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  ids(): string[] {
    try {
      return readdirSync(this.#root).filter((name) => ID.test(name));
    } catch (error) {
      if (errnoOf(error) === ENOENT) return [];
      throw error;
    }
  }
}
