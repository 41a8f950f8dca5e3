/** `strata-oci list` */
import { print, StrataError, table, userName, type VerbBody } from '@strata/namespaces';
import { runtimeOf } from './flags.ts';
import { type ShownState, shownState } from './shown-state.ts';

const COLUMN_WIDTH = 9;
const GAP = '   ';

export const list: VerbBody = {
  usage: '',
  arguments: [0, 0],
  flags: {
    format: { type: 'string', short: 'f', value: 'table|json', help: 'output (default: table)' },
    quiet: { type: 'boolean', short: 'q', help: 'ids only' },
  },
  run(call) {
    const format = call.text('format') ?? 'table';
    if (format !== 'table' && format !== 'json') {
      throw new StrataError('USAGE', `--format is table or json, not ${JSON.stringify(format)}`);
    }
    const unreadable = (id: string, error: StrataError): void =>
      call.log.warning(`load container ${id}: ${error.message}`);
    const containers = runtimeOf(call)
      .list({ unreadable })
      .map((state) => shownState(state, ownerName(state.owner)));
    if (call.flag('quiet')) print(containers.map(({ id }) => `${id}\n`).join(''));
    // runc's encoder writes a list without entries so, and its callers expect that.
    else if (format === 'json') print(`${JSON.stringify(containers.length ? containers : null)}\n`);
    else print(asTable(containers));
    return 0;
  },
};

/** `#1000` for one without a name. */
function ownerName(uid: number): string {
  const name = userName(uid);
  return name === String(uid) ? `#${uid}` : name;
}

function asTable(containers: readonly ShownState[]): string {
  const header = ['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED'].map((name) =>
    name.padEnd(COLUMN_WIDTH),
  );
  const rows = containers.map(({ id, pid, status, bundle, created, owner }) => [
    ...[id, String(pid), status, bundle, created],
    owner,
  ]);
  return table([[...header, 'OWNER'], ...rows], GAP);
}
