/**
 * The manager's state: one SQLite file, shared by every process of the node.
 *
 *   using state = openState('/var/lib/strata/state.db');
 *   state.transaction(() => state.run('INSERT INTO images ...', name, digest));
 *
 * Write-ahead logging lets readers go on while one process writes; a second writer waits up to
 * `BUSY_TIMEOUT_MS`. `synchronous = NORMAL` keeps every commit over a crash of any process; a power
 * cut may take back the last commits, but never leaves half of one.
 * @see https://www.sqlite.org/wal.html
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { StrataError } from '@strata/namespaces';
import { MIGRATIONS, type Migration } from './migrations.ts';

const BUSY_TIMEOUT_MS = 10_000;

export class StateDatabase implements Disposable {
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #inTransaction = false;

  constructor(path: string) {
    this.path = path;
    this.#database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    this.#database.exec('PRAGMA foreign_keys = ON');
  }

  /** Executes a statement that returns no rows; returns how many rows it changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  /** The first row, or undefined. The caller names the row's type: it has just written the query. */
  get<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values) as Row | undefined;
  }

  /** All rows. */
  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#statement(sql).all(...values) as Row[];
  }

  /** Executes several statements that need no values. */
  exec(sql: string): void {
    this.#database.exec(sql);
  }

  /**
   * Calls `work` with the write lock held: all its changes come to be, or (if it throws) none.
   * A transaction within a transaction is part of the outer one.
   */
  transaction<T>(work: () => T): T {
    if (this.#inTransaction) return work();
    this.#database.exec('BEGIN IMMEDIATE');
    this.#inTransaction = true;
    try {
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    } finally {
      this.#inTransaction = false;
    }
  }

  close(): void {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/**
 * Opens the state at `path`, makes it if it is not there, and brings its tables up to date.
 * @throws {StrataError} STATE_TOO_NEW if a newer Strata has used it, STATE_UNREADABLE otherwise
 */
export function openState(
  path: string,
  migrations: readonly Migration[] = MIGRATIONS,
): StateDatabase {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let state: StateDatabase | undefined;
  try {
    state = new StateDatabase(path);
    migrate(state, migrations);
    return state;
  } catch (cause) {
    state?.close();
    if (cause instanceof StrataError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StrataError('STATE_UNREADABLE', `state database ${path}: ${reason}`, { path, cause });
  }
}

const TABLE_OF_STEPS = 'CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT';

function migrate(state: StateDatabase, migrations: readonly Migration[]): void {
  const wanted = migrations.map(({ name }) => name);
  if (appliedSteps(state).length === wanted.length) {
    refuseUnknown(state, wanted);
    return;
  }
  state.transaction(() => {
    state.exec(TABLE_OF_STEPS);
    refuseUnknown(state, wanted);
    const applied = new Set(appliedSteps(state));
    for (const { name, sql } of migrations) {
      if (applied.has(name)) continue;
      state.exec(sql);
      state.run('INSERT INTO migrations VALUES (?)', name);
    }
  });
}

/** Names of the steps applied so far; none in a new database, which has no table for them yet. */
function appliedSteps(state: StateDatabase): string[] {
  const table = state.get("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'");
  if (!table) return [];
  return state.all<{ name: string }>('SELECT name FROM migrations').map(({ name }) => name);
}

function refuseUnknown(state: StateDatabase, wanted: readonly string[]): void {
  const unknown = appliedSteps(state).filter((name) => !wanted.includes(name));
  if (unknown.length === 0) return;
  const message = `state database ${state.path} has changes this Strata does not know: ${unknown.join(', ')}`;
  throw new StrataError('STATE_TOO_NEW', message, {
    path: state.path,
    hint: 'it was used by a newer version; use that one',
  });
}
