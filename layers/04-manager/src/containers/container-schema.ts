/** The table of containers. Times are nanoseconds of the Unix epoch as text (they exceed 2^53). */
import type { Migration } from '../state/migrations.ts';

export const CONTAINER_MIGRATIONS: readonly Migration[] = [
  {
    name: 'containers-001',
    sql: `
      CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        pod_id TEXT,
        phase TEXT NOT NULL,              -- creating, created, starting, running, exited, removing
        owner TEXT NOT NULL,              -- pid and start time of the process that is at it
        config TEXT NOT NULL,             -- ContainerConfig as JSON
        image_id TEXT NOT NULL,
        created_at TEXT NOT NULL,
        started_at TEXT NOT NULL DEFAULT '0',
        finished_at TEXT NOT NULL DEFAULT '0',
        exit_code INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '',
        message TEXT NOT NULL DEFAULT '',
        pid INTEGER NOT NULL DEFAULT 0,
        log_path TEXT NOT NULL,
        user TEXT,                        -- ResolvedUser as JSON
        stop_signal TEXT NOT NULL DEFAULT ''
      ) STRICT;
      CREATE INDEX containers_by_pod ON containers (pod_id);
    `,
  },
];
