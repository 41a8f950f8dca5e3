/**
 * Which address belongs to whom, on disk, as CNI's host-local plugin keeps it:
 *
 *   <dataDir>/networks/<network>/lock                  flock(2)ed during every change
 *                               /10.88.0.2             "<container id>\r\n<interface>"
 *                               /last_reserved_ip.0    "10.88.0.2", where round robin goes on
 *
 * The format and the lock are host-local's, so that both may serve one network: a file that exists
 * is an address taken, its creation with O_EXCL the moment of taking it. There is no index; a network
 * has hundreds of addresses, not millions.
 *
 * @see https://www.cni.dev/plugins/current/ipam/host-local/
 */
import {
  closeSync,
  constants,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  LOCK_EX,
  LOCK_NB,
  localSyscalls,
  O_CREAT,
  O_RDONLY,
  StrataError,
} from '@strata/namespaces';
import type { AddressRange } from './address-range.ts';

/** Whose an address is. */
export interface AddressOwner {
  containerId: string;
  interfaceName: string;
}

export interface Reservation extends AddressOwner {
  address: string;
}

const LINE_BREAK = '\r\n';
const LAST_RESERVED = 'last_reserved_ip.0';
const LOCK_FILE = 'lock';
const LOCK_WAIT_MS = 10_000;
const LOCK_POLL_MS = 1;

export class AddressStore {
  readonly directory: string;

  /** @param directory `<dataDir>/networks/<network>`; made when the first address is reserved */
  constructor(directory: string) {
    this.directory = directory;
  }

  /**
   * Takes the next free address for an owner.
   * @throws {StrataError} ADDRESSES_EXHAUSTED naming the range; LOCK_TIMEOUT
   */
  async reserve(owner: AddressOwner, range: AddressRange): Promise<string> {
    mkdirSync(this.directory, { recursive: true, mode: 0o755 });
    using _lock = await this.#lock();
    using last = new LastReserved(join(this.directory, LAST_RESERVED));
    const candidates = range.after(last.address);
    // Round robin makes the first candidate nearly always free; only if not is the list read.
    let taken: ReadonlySet<string> | undefined;
    for (const address of candidates) {
      if (taken?.has(address)) continue;
      if (this.#create(address, owner)) {
        last.write(address);
        return address;
      }
      taken ??= new Set(readdirSync(this.directory));
    }
    throw new StrataError('ADDRESSES_EXHAUSTED', `no address is free in ${range}`, {
      path: this.directory,
      hint: 'remove pods, free leaked addresses (gc), or configure a larger subnet',
    });
  }

  /**
   * Gives an owner's addresses back; returns them. Nothing happens where there are none.
   * @param hint addresses the owner is believed to have: spares reading every file
   */
  async release(owner: AddressOwner, hint: readonly string[] = []): Promise<string[]> {
    const released = await this.#remove(
      (each) =>
        each.containerId === owner.containerId && each.interfaceName === owner.interfaceName,
      hint,
    );
    return released.map(({ address }) => address);
  }

  /** Gives back what belongs to containers that are not among `liveIds`; returns it. */
  async releaseAllBut(liveIds: ReadonlySet<string>): Promise<Reservation[]> {
    return this.#remove(({ containerId }) => !liveIds.has(containerId), []);
  }

  /** All addresses in use. A file cut off by a crash has the empty container id. */
  list(): Reservation[] {
    return this.#names()
      .filter((name) => isIP(name) !== 0)
      .flatMap((address) => this.#read(address) ?? []);
  }

  /** Forgets the network: removes its directory, which holds nothing but addresses. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #remove(
    condemned: (reservation: Reservation) => boolean,
    hint: readonly string[],
  ): Promise<Reservation[]> {
    if (this.#names().length === 0) return [];
    using _lock = await this.#lock();
    const hinted = hint.flatMap((address) => this.#read(address) ?? []).filter(condemned);
    const found = hinted.length > 0 ? hinted : this.list().filter(condemned);
    for (const { address } of found) unlinkSync(join(this.directory, address));
    return found;
  }

  #names(): string[] {
    return ignoreMissing(() => readdirSync(this.directory)) ?? [];
  }

  #read(address: string): Reservation | undefined {
    const text = ignoreMissing(() => readFileSync(join(this.directory, address), 'utf8'));
    if (text === undefined) return undefined;
    // Before version 0.7, host-local wrote the id alone.
    const [containerId = '', interfaceName = ''] = text.trim().split(LINE_BREAK);
    return { address, containerId, interfaceName };
  }

  /** False where somebody has the address. */
  #create(address: string, owner: AddressOwner): boolean {
    const path = join(this.directory, address);
    let fd: number;
    try {
      fd = openSync(path, 'wx', 0o644);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
    try {
      writeSync(fd, `${owner.containerId}${LINE_BREAK}${owner.interfaceName}`);
    } catch (error) {
      unlinkSync(path);
      throw error;
    } finally {
      closeSync(fd);
    }
    return true;
  }

  /**
   * Waits for the lock without blocking the event loop. Closing the file gives it back, so a process
   * that is killed leaves no lock behind.
   */
  async #lock(): Promise<Disposable> {
    const sys = localSyscalls();
    const path = join(this.directory, LOCK_FILE);
    const fd = sys.openat2(path, { flags: O_RDONLY | O_CREAT, mode: 0o750 });
    const deadline = performance.now() + LOCK_WAIT_MS;
    try {
      while (!sys.flock(fd, LOCK_EX | LOCK_NB)) {
        if (performance.now() > deadline) {
          throw new StrataError('LOCK_TIMEOUT', `${path} stayed locked for ${LOCK_WAIT_MS} ms`, {
            path,
            hint: 'another process holds it; fuser(1) names it',
          });
        }
        await sleep(LOCK_POLL_MS);
      }
    } catch (error) {
      sys.close(fd);
      throw error;
    }
    return { [Symbol.dispose]: () => sys.close(fd) };
  }
}

/**
 * The file that says where round robin goes on. It is overwritten in place and cut only where it gets
 * shorter: ext4 writes a file that was truncated to nothing out to the disk when it is closed.
 */
class LastReserved implements Disposable {
  readonly #fd: number;
  readonly #text: string;

  constructor(path: string) {
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
    this.#text = readFileSync(this.#fd, 'utf8');
  }

  /** Undefined where there is none, or none that makes sense. */
  get address(): string | undefined {
    const text = this.#text.trim();
    return isIP(text) === 4 ? text : undefined;
  }

  write(address: string): void {
    writeSync(this.#fd, address, 0);
    if (this.#text.length > address.length) ftruncateSync(this.#fd, address.length);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** The value, or undefined where the file or directory is not there. */
function ignoreMissing<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
