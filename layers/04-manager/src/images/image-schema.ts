/** The tables of images and of the root file systems made from them. */
import type { Migration } from '../state/migrations.ts';

export const IMAGE_MIGRATIONS: readonly Migration[] = [
  {
    name: 'images-001',
    sql: `
      CREATE TABLE images (
        name TEXT PRIMARY KEY,            -- docker.io/library/busybox:latest, or name@digest
        target_digest TEXT NOT NULL,      -- what the name stands for: a manifest or an index
        target_media_type TEXT NOT NULL,
        target_size INTEGER NOT NULL,
        manifest_digest TEXT NOT NULL,    -- this machine's manifest in it
        config_digest TEXT NOT NULL,      -- the image's id
        size INTEGER NOT NULL,            -- bytes of the manifest, configuration and layers
        updated_at INTEGER NOT NULL       -- milliseconds since 1970
      ) STRICT;
      CREATE INDEX images_by_config ON images (config_digest);
      CREATE TABLE rootfs (
        container_id TEXT PRIMARY KEY,
        manifest_digest TEXT NOT NULL,
        chain_ids TEXT NOT NULL           -- JSON: snapshots below it, lowest first
      ) STRICT;
    `,
  },
];
