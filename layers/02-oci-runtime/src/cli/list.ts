/** `strata-oci list` */
import { print, table, type Verb } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';

export const list: Verb = {
  summary: 'list containers',
  usage: '',
  arguments: [0, 0],
  flags: {
    format: { type: 'string', short: 'f', value: 'table|json', help: 'output format' },
    quiet: { type: 'boolean', short: 'q', help: 'ids only' },
  },
  run(call) {
    const containers = runtimeOf(call).list();
    if (call.flag('quiet')) {
      for (const { id } of containers) print(`${id}\n`);
    } else if (call.text('format') === 'json') {
      const shown = containers.map(({ ociVersion, id, pid, status, bundle, rootfs, created }) => ({
        ociVersion,
        id,
        pid,
        status,
        bundle,
        rootfs,
        created,
        owner: 'root',
      }));
      print(`${JSON.stringify(shown)}\n`);
    } else {
      const rows = [['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED']];
      for (const { id, pid, status, bundle, created } of containers) {
        rows.push([id, String(pid), status, bundle, created]);
      }
      print(table(rows, '  '));
    }
    return 0;
  },
};
