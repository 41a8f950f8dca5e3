/** The tables of a registry: which repository has which blobs, manifests and tags. */
import type { Migration } from '../state/migrations.ts';

export const REGISTRY_MIGRATIONS: readonly Migration[] = [
  {
    name: 'registry-001',
    sql: `
      CREATE TABLE blobs (
        repository TEXT NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (repository, digest)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX blobs_by_digest ON blobs (digest);
      CREATE TABLE manifests (
        repository TEXT NOT NULL,
        digest TEXT NOT NULL,
        media_type TEXT NOT NULL,
        size INTEGER NOT NULL,            -- bytes
        subject TEXT,                     -- digest of what it is about
        artifact_type TEXT,
        annotations TEXT NOT NULL,        -- JSON
        PRIMARY KEY (repository, digest)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX manifests_by_digest ON manifests (digest);
      CREATE INDEX manifests_by_subject ON manifests (repository, subject) WHERE subject IS NOT NULL;
      CREATE TABLE tags (
        repository TEXT NOT NULL,
        tag TEXT NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (repository, tag),
        FOREIGN KEY (repository, digest) REFERENCES manifests ON DELETE CASCADE
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX tags_by_manifest ON tags (repository, digest);
    `,
  },
];
