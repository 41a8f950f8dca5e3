/**
 * systemd's manager, by D-Bus: units are started, changed and stopped.
 *
 *   await using systemd = await SystemdManager.connect();
 *   await systemd.startTransientUnit('strata-web.scope', [['PIDs', 'au', [pid]]]);
 *   await systemd.stopUnit('strata-web.scope');
 *
 * A call only queues a job; its end comes as a signal, JobRemoved, which may be here before the answer
 * that names the job. Nothing is waited for without a deadline: systemd answers late, or never, when
 * PID 1 is busy with a reload or its bus is flooded.
 *
 *   StartTransientUnit ──▶                     root: /run/systemd/private, straight to PID 1
 *                      ◀── job path            others: the user's manager, likewise
 *                      ◀── JobRemoved(id, job, unit, 'done' | 'failed' | 'timeout' | ...)
 *
 * The D-Bus library is loaded at the first connection only.
 *
 * @see org.freedesktop.systemd1(5)
 */
import { existsSync } from 'node:fs';
import type { Message, MessageBus } from 'dbus-native';
import { StrataError } from '../../errors/strata-error.ts';
import type { UnitProperty } from './unit-properties.ts';

export interface SystemdOptions {
  /** Of the machine, or of this user (default: by who we are). */
  manager?: 'system' | 'user';
  /** How long one call, and the job that it starts, may take; default 10 s. */
  limitMs?: number;
  /** The manager's private socket; default: where systemd has it. */
  socket?: string;
}

const DESTINATION = 'org.freedesktop.systemd1';
const OBJECT = '/org/freedesktop/systemd1';
const MANAGER = 'org.freedesktop.systemd1.Manager';
const PROPERTIES = 'org.freedesktop.DBus.Properties';
const PEER = 'org.freedesktop.DBus.Peer';
const NO_SUCH_UNIT = 'org.freedesktop.systemd1.NoSuchUnit';
const UNIT_EXISTS = 'org.freedesktop.systemd1.UnitExists';
const DEFAULT_LIMIT_MS = 10_000;
const NUDGE_MS = 50;
/** How a unit that exists is replaced by a new job; 'fail' would refuse where another job waits. */
const MODE = 'replace';

export class SystemdManager implements AsyncDisposable {
  readonly #bus: MessageBus;
  readonly #limitMs: number;
  /** Job path → its result, of jobs that have ended. */
  readonly #ended = new Map<string, string>();
  readonly #waiting = new Map<string, (result: string) => void>();

  private constructor(bus: MessageBus, limitMs: number) {
    this.#bus = bus;
    this.#limitMs = limitMs;
    bus.connection.on('message', (message: Message) => this.#receive(message));
    // What is pending fails by itself; without a listener an error would end the process.
    bus.connection.on('error', () => {});
  }

  /**
   * Connects, and asks systemd to tell us how jobs end.
   * @throws {StrataError} SYSTEMD_UNAVAILABLE where there is no such manager or it does not answer
   */
  static async connect(options: SystemdOptions = {}): Promise<SystemdManager> {
    const { limitMs = DEFAULT_LIMIT_MS } = options;
    const path = options.socket ?? privateSocket(options.manager);
    if (!existsSync(path)) throw unavailable(path, undefined);
    const { default: dbus } = await import('dbus-native');
    const bus = dbus.createClient({ socket: path, direct: true, timeout: limitMs });
    const systemd = new SystemdManager(bus, limitMs);
    const nudge = setInterval(() => systemd.#nudge(), NUDGE_MS);
    try {
      await systemd.#call('Subscribe');
    } catch (cause) {
      await systemd.close();
      throw unavailable(path, cause);
    } finally {
      clearInterval(nudge);
    }
    return systemd;
  }

  /** systemd's version, such as `252.38-1~deb12u1`. @throws {StrataError} SYSTEMD_CALL */
  async version(): Promise<string> {
    return String(await this.#get(OBJECT, MANAGER, 'Version'));
  }

  /**
   * Makes and starts a unit that no file describes. One of the same name that has failed, which systemd
   * remembers, is forgotten first.
   * @throws {StrataError} SYSTEMD_CALL, SYSTEMD_JOB, SYSTEMD_TIMEOUT naming the unit
   */
  async startTransientUnit(name: string, properties: readonly UnitProperty[]): Promise<void> {
    const body = [name, MODE, properties.map(([key, ...variant]) => [key, variant]), []];
    const start = () => this.#call('StartTransientUnit', 'ssa(sv)a(sa(sv))', body, name);
    let job: unknown;
    try {
      job = await start();
    } catch (error) {
      if (!isReply(error, UNIT_EXISTS)) throw error;
      await this.resetFailedUnit(name);
      job = await start();
    }
    try {
      await this.#finished(String(job), name);
    } catch (error) {
      await this.resetFailedUnit(name).catch(() => {});
      throw error;
    }
  }

  /**
   * Changes properties of a unit until it is gone.
   * @throws {StrataError} SYSTEMD_CALL, SYSTEMD_TIMEOUT
   */
  async setUnitProperties(name: string, properties: readonly UnitProperty[]): Promise<void> {
    if (properties.length === 0) return;
    const changes = properties.map(([key, ...variant]) => [key, variant]);
    await this.#call('SetUnitProperties', 'sba(sv)', [name, true, changes], name);
  }

  /**
   * Stops a unit, which kills what is in it, and has systemd forget how it ended. No unit of this name
   * is no error.
   * @throws {StrataError} SYSTEMD_CALL, SYSTEMD_JOB, SYSTEMD_TIMEOUT
   */
  async stopUnit(name: string): Promise<void> {
    try {
      const job = await this.#call('StopUnit', 'ss', [name, MODE], name);
      await this.#finished(String(job), name);
    } catch (error) {
      if (!isReply(error, NO_SUCH_UNIT)) throw error;
    }
    await this.resetFailedUnit(name);
  }

  /** Has systemd forget that a unit has failed. @throws {StrataError} SYSTEMD_CALL, SYSTEMD_TIMEOUT */
  async resetFailedUnit(name: string): Promise<void> {
    try {
      await this.#call('ResetFailedUnit', 's', [name], name);
    } catch (error) {
      if (!isReply(error, NO_SUCH_UNIT)) throw error;
    }
  }

  /**
   * A property of a unit.
   * @param kind the interface that has it: `Unit`, `Scope`, `Slice`
   * @throws {StrataError} SYSTEMD_CALL, for a unit that is not there too
   */
  async unitProperty(name: string, kind: string, property: string): Promise<unknown> {
    const path = await this.#call('GetUnit', 's', [name], name);
    return this.#get(String(path), `${DESTINATION}.${kind}`, property);
  }

  /** Closes the connection; what is pending fails. */
  async close(): Promise<void> {
    // A peer that does not take the end of our stream is not waited for.
    this.#bus.connection.stream.destroy();
    await this.#bus.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * systemd (252) looks at a message that came together with the handshake's last line only when more
   * comes: two of twelve first calls were not answered on a slow machine.
   */
  #nudge(): void {
    this.#send({ path: OBJECT, interface: PEER, member: 'Ping' }).catch(() => {});
  }

  #get(path: string, face: string, property: string): Promise<unknown> {
    const body = [face, property];
    return this.#send({ path, interface: PROPERTIES, member: 'Get', signature: 'ss', body });
  }

  #call(member: string, signature?: string, body?: unknown[], unit?: string): Promise<unknown> {
    const values = signature === undefined ? {} : { signature, body: body ?? [] };
    return this.#send({ path: OBJECT, interface: MANAGER, member, ...values }, unit);
  }

  async #send(message: Message, unit?: string): Promise<unknown> {
    try {
      return await this.#bus.invoke({ destination: DESTINATION, ...message });
    } catch (cause) {
      throw failure(message.member!, unit, cause);
    }
  }

  #receive({ interface: face, member, body }: Message): void {
    if (face !== MANAGER || member !== 'JobRemoved' || !Array.isArray(body)) return;
    const [, job, , result] = body.map(String);
    const listener = this.#waiting.get(job!);
    if (listener) listener(result!);
    else this.#ended.set(job!, result!);
  }

  async #finished(job: string, unit: string): Promise<void> {
    const result = this.#ended.get(job) ?? (await this.#resultOf(job, unit));
    // Jobs of others, of which we are told too.
    this.#ended.clear();
    if (result === 'done') return;
    throw new StrataError('SYSTEMD_JOB', `systemd: the job for ${unit} ended with: ${result}`, {
      hint: `journalctl -u ${unit} may say more`,
    });
  }

  #resultOf(job: string, unit: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const closed = (): void => reject(failure('JobRemoved', unit, new Error('connection closed')));
    const late = (): void => {
      const message = `systemd: no end of the job for ${unit} after ${this.#limitMs} ms`;
      reject(new StrataError('SYSTEMD_TIMEOUT', message, { hint: BUSY }));
    };
    const timer = setTimeout(late, this.#limitMs);
    this.#waiting.set(job, resolve);
    this.#bus.connection.on('close', closed);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(job);
      this.#bus.connection.off('close', closed);
    });
  }
}

const BUSY = 'PID 1 may be busy: see systemctl list-jobs';

/**
 * systemd listens on a socket of its own for its user, who needs no message bus then.
 * @throws {StrataError} SYSTEMD_UNAVAILABLE for a user who has no manager
 */
function privateSocket(manager: SystemdOptions['manager']): string {
  const isRoot = process.getuid?.() === 0;
  if ((manager ?? (isRoot ? 'system' : 'user')) === 'system') return '/run/systemd/private';
  const runtime = process.env.XDG_RUNTIME_DIR || `/run/user/${process.getuid?.()}`;
  return `${runtime}/systemd/private`;
}

function unavailable(path: string, cause: unknown): StrataError {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  return new StrataError('SYSTEMD_UNAVAILABLE', `systemd does not answer at ${path}${why}`, {
    path,
    cause,
    hint: 'the systemd driver needs systemd as PID 1, or a manager of the user (loginctl enable-linger)',
  });
}

/** The name of the D-Bus error that a call was answered with. */
function replyName(error: unknown): string | undefined {
  const cause = error instanceof StrataError ? error.cause : undefined;
  return cause instanceof Error && 'dbusName' in cause ? String(cause.dbusName) : undefined;
}

const isReply = (error: unknown, name: string): boolean => replyName(error) === name;

function failure(member: string, unit: string | undefined, cause: unknown): StrataError {
  const what = `systemd: ${member}${unit === undefined ? '' : ` of ${unit}`}`;
  const isLate = cause instanceof Error && 'code' in cause && cause.code === 'ETIMEDOUT';
  if (isLate) {
    return new StrataError('SYSTEMD_TIMEOUT', `${what}: no answer in time`, { cause, hint: BUSY });
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new StrataError('SYSTEMD_CALL', `${what}: ${why}`, { cause });
}
