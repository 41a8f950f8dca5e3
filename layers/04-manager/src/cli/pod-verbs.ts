/** `strata pod run|ls|stop|rm`. */
import type { Call, Verb } from '@strata/namespaces';
import { withManager } from './global-options.ts';
import { group } from './group.ts';
import { ago, shortId, table } from './table.ts';

const INFINITE = Number.POSITIVE_INFINITY;

const run: Verb = {
  summary: 'make a pod',
  usage: 'NAME',
  arguments: [1, 1],
  flags: { hostname: { type: 'string', value: 'NAME', help: 'host name' } },
  run(call) {
    return withManager(call.globals, async ({ pods }) => {
      const hostname = call.text('hostname');
      const name = call.arguments[0]!;
      const { id } = await pods.run({ name, ...(hostname !== undefined && { hostname }) });
      process.stdout.write(`${id}\n`);
      return 0;
    });
  },
};

const ls: Verb = {
  summary: 'list pods',
  usage: '',
  arguments: [0, 0],
  flags: {},
  run(call) {
    return withManager(call.globals, async ({ pods }) => {
      const rows = (await pods.list()).map(({ id, config, state, ips, createdAt }) => [
        shortId(id),
        config.name,
        state,
        ips.join(','),
        ago(createdAt),
      ]);
      process.stdout.write(table([['ID', 'NAME', 'STATE', 'ADDRESS', 'CREATED'], ...rows]));
      return 0;
    });
  },
};

const onEach = (summary: string, verb: 'stop' | 'remove'): Verb => ({
  summary,
  usage: 'POD...',
  arguments: [1, INFINITE],
  flags: {},
  run(call: Call) {
    return withManager(call.globals, async ({ pods }) => {
      for (const name of call.arguments) {
        const { id } = await pods.status(name);
        await pods[verb](id);
        process.stdout.write(`${name}\n`);
      }
      return 0;
    });
  },
});

export const pod: Verb = group('pod', 'pods', {
  run,
  ls,
  stop: onEach('end pods and their containers', 'stop'),
  rm: onEach('remove pods and their containers', 'remove'),
});
