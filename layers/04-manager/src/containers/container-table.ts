/** Containers as rows: reading them, and every change of phase in one place. */
import { StrataError } from '@strata/namespaces';
import { nowNs } from '../manager/identity.ts';
import { thisOwner } from '../manager/owner.ts';
import type { ResolvedUser } from '../spec/user.ts';
import type { StateDatabase } from '../state/state-database.ts';
import type { ContainerConfig, ContainerState, ContainerStatus } from './container-config.ts';

export type ContainerPhase =
  | 'creating'
  | 'created'
  | 'starting'
  | 'running'
  | 'exited'
  | 'removing';

export interface ContainerRow {
  id: string;
  name: string;
  pod_id: string | null;
  phase: ContainerPhase;
  owner: string;
  config: string;
  image_id: string;
  created_at: string;
  started_at: string;
  finished_at: string;
  exit_code: number;
  reason: string;
  message: string;
  pid: number;
  log_path: string;
  user: string | null;
  stop_signal: string;
}

export interface Ending {
  exitCode: number;
  finishedAt: bigint;
  reason: string;
  message?: string;
}

export class ContainerTable {
  readonly #database: StateDatabase;

  constructor(database: StateDatabase) {
    this.#database = database;
  }

  /** Takes id and name. @throws {StrataError} ALREADY_EXISTS naming the name */
  insert(row: {
    id: string;
    name: string;
    podId: string | undefined;
    config: ContainerConfig;
    imageId: string;
    logPath: string;
    stopSignal: string;
  }): void {
    const added = this.#database.run(
      `INSERT INTO containers
         (id, name, pod_id, phase, owner, config, image_id, created_at, log_path, stop_signal)
       VALUES (?, ?, ?, 'creating', ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      row.id,
      row.name,
      row.podId ?? null,
      thisOwner(),
      JSON.stringify(row.config),
      row.imageId,
      String(nowNs()),
      row.logPath,
      row.stopSignal,
    );
    if (added === 1) return;
    const sql = 'SELECT id FROM containers WHERE name = ?';
    const holder = this.#database.get<{ id: string }>(sql, row.name);
    throw new StrataError('ALREADY_EXISTS', `the container name ${row.name} is in use`, {
      field: 'name',
      hint: `container ${holder?.id.slice(0, 12) ?? ''} has it: remove that one, or take another name`,
    });
  }

  get(id: string): ContainerRow | undefined {
    return this.#database.get<ContainerRow>('SELECT * FROM containers WHERE id = ?', id);
  }

  all(): ContainerRow[] {
    return this.#database.all<ContainerRow>('SELECT * FROM containers ORDER BY created_at');
  }

  ofPod(podId: string): ContainerRow[] {
    const sql = 'SELECT * FROM containers WHERE pod_id = ? ORDER BY created_at';
    return this.#database.all<ContainerRow>(sql, podId);
  }

  /** Goes from one phase to another; false where another process was faster. */
  transition(id: string, from: readonly ContainerPhase[], to: ContainerPhase): boolean {
    const marks = from.map(() => '?').join(', ');
    const sql = `UPDATE containers SET phase = ?, owner = ? WHERE id = ? AND phase IN (${marks})`;
    return this.#database.run(sql, to, thisOwner(), id, ...from) === 1;
  }

  setUser(id: string, user: ResolvedUser): void {
    this.#database.run('UPDATE containers SET user = ? WHERE id = ?', JSON.stringify(user), id);
  }

  setPid(id: string, pid: number): void {
    this.#database.run('UPDATE containers SET pid = ? WHERE id = ?', pid, id);
  }

  started(id: string, start: { pid: number; startedAt: bigint }): void {
    this.#database.run(
      `UPDATE containers SET phase = 'running', started_at = ?, pid = ? WHERE id = ? AND phase = 'starting'`,
      String(start.startedAt),
      start.pid,
      id,
    );
  }

  /**
   * Writes down how it ended; the first to do so wins. An end is never before the start: the time of
   * an exit file is that of the kernel's last tick, up to 4 ms ago.
   */
  ended(id: string, ending: Ending): void {
    this.#database.run(
      `UPDATE containers SET phase = 'exited', finished_at = max(?, started_at), exit_code = ?, reason = ?, message = ?
       WHERE id = ? AND phase IN ('starting', 'running', 'created')`,
      String(ending.finishedAt),
      ending.exitCode,
      ending.reason,
      ending.message ?? '',
      id,
    );
  }

  delete(id: string): void {
    this.#database.run('DELETE FROM containers WHERE id = ?', id);
  }
}

const STATES: Record<ContainerPhase, ContainerState> = {
  creating: 'creating',
  created: 'created',
  starting: 'created',
  running: 'running',
  exited: 'exited',
  removing: 'exited',
};

export function statusOfRow(row: ContainerRow): ContainerStatus {
  const user = row.user === null ? undefined : (JSON.parse(row.user) as ResolvedUser);
  return {
    id: row.id,
    name: row.name,
    podId: row.pod_id ?? undefined,
    state: STATES[row.phase],
    config: JSON.parse(row.config) as ContainerConfig,
    imageId: row.image_id,
    createdAt: BigInt(row.created_at),
    startedAt: BigInt(row.started_at),
    finishedAt: BigInt(row.finished_at),
    exitCode: row.exit_code,
    reason: row.reason,
    message: row.message,
    pid: row.phase === 'running' ? row.pid : 0,
    logPath: row.log_path,
    user: user && { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
  };
}
