/** The table of pods. Times are nanoseconds of the Unix epoch as text. */
import type { Migration } from '../state/migrations.ts';

export const POD_MIGRATIONS: readonly Migration[] = [
  {
    name: 'pods-001',
    sql: `
      CREATE TABLE pods (
        id TEXT PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,         -- name, namespace, uid and attempt
        phase TEXT NOT NULL,              -- creating, ready, stopped, removing
        owner TEXT NOT NULL,              -- pid and start time of the process that is at it
        config TEXT NOT NULL,             -- PodConfig as JSON
        created_at TEXT NOT NULL,
        ips TEXT NOT NULL DEFAULT '[]',
        pid INTEGER NOT NULL DEFAULT 0
      ) STRICT;
    `,
  },
];
