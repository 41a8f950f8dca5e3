/** `strata pull`, `images`, `rmi` and the `image` group. */
import { type Flag, StrataError, type Verb } from '@strata/namespaces';
import { INSECURE, PLATFORM, platformOf } from './copy-verbs.ts';
import { withManager } from './global-options.ts';
import { group } from './group.ts';
import { humanSize, shortId, table } from './table.ts';
import { transferProgress } from './transfer-progress.ts';

const QUIET: Flag = { type: 'boolean', short: 'q', help: 'ids only' };

export const images: Verb = {
  summary: 'list images',
  usage: '',
  arguments: [0, 0],
  flags: { quiet: QUIET },
  run(call) {
    return withManager(call.globals, async ({ images }) => {
      const all = images.list();
      if (call.flag('quiet')) {
        for (const { id } of all) process.stdout.write(`${shortId(id)}\n`);
        return 0;
      }
      const rows = [['NAME', 'ID', 'SIZE']];
      for (const { tags, digests, id, size } of all) {
        for (const name of tags.length > 0 ? tags : digests) {
          rows.push([name, shortId(id), humanSize(size)]);
        }
      }
      process.stdout.write(table(rows));
      return 0;
    });
  },
};

export const pull: Verb = {
  summary: 'fetch an image from a registry',
  usage: 'IMAGE',
  arguments: [1, 1],
  flags: {
    insecure: INSECURE,
    platform: PLATFORM,
    quiet: { type: 'boolean', short: 'q', help: 'no progress' },
  },
  run(call) {
    return withManager(call.globals, async ({ images }) => {
      const platform = platformOf(call);
      using progress = call.flag('quiet') ? undefined : transferProgress();
      const image = await images.pull(call.arguments[0]!, {
        insecure: call.flag('insecure'),
        ...(platform && { platform }),
        ...(progress && { progress: progress.report, onWait: progress.waiting }),
      });
      progress?.[Symbol.dispose]();
      process.stdout.write(`${image.id}\n`);
      return 0;
    });
  },
};

export const rmi: Verb = {
  summary: 'remove images',
  usage: 'IMAGE...',
  arguments: [1, Number.POSITIVE_INFINITY],
  flags: { force: { type: 'boolean', short: 'f', help: 'no error where there is none' } },
  run(call) {
    return withManager(call.globals, async ({ images }) => {
      for (const name of call.arguments) {
        const removed = images.remove(name);
        if (removed.length === 0 && !call.flag('force')) {
          throw new StrataError('IMAGE_NOT_FOUND', `image ${name} is not in the store`);
        }
        for (const tag of removed) process.stdout.write(`${tag}\n`);
      }
      return 0;
    });
  },
};

const fromHost: Verb = {
  summary: 'make an image of programs of this host and the libraries they need',
  usage: 'NAME COMMAND...',
  arguments: [2, Number.POSITIVE_INFINITY],
  flags: {},
  run(call) {
    return withManager(call.globals, async ({ images }) => {
      const [name, ...commands] = call.arguments;
      const image = await images.fromHost(name!, commands);
      process.stdout.write(`${image.tags[0] ?? image.id}\n`);
      return 0;
    });
  },
};

const importImage: Verb = {
  summary: 'read an OCI layout, a directory or a tar archive',
  usage: 'PATH [NAME]',
  arguments: [1, 2],
  flags: {},
  run(call) {
    return withManager(call.globals, async ({ images }) => {
      const [path, name] = call.arguments;
      const imported = await images.import(path!, name === undefined ? {} : { name });
      for (const { tags, id } of imported) process.stdout.write(`${tags[0] ?? id}\n`);
      return 0;
    });
  },
};

const exportImage: Verb = {
  summary: 'write an OCI layout: a tar archive, or a directory if PATH ends in /',
  usage: 'IMAGE PATH',
  arguments: [2, 2],
  flags: {},
  run(call) {
    return withManager(call.globals, async ({ images }) => {
      await images.export(call.arguments[0]!, call.arguments[1]!);
      return 0;
    });
  },
};

export const image: Verb = group('image', 'images', {
  'from-host': fromHost,
  import: importImage,
  export: exportImage,
  ls: images,
  pull,
  rm: rmi,
});
