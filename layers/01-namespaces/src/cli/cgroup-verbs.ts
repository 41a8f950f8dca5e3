/** `strata-ns cgroup`: what cgroups there are, what they have used, what their limits mean. */
import { Cgroup } from '../cgroups/cgroup.ts';
import { readCgroupFile } from '../cgroups/cgroup-file.ts';
import { parseProcessCgroups } from '../cgroups/cgroup-path.ts';
import { explainLimits } from '../cgroups/explain-limits.ts';
import { detectCgroups, type Hierarchy, homeOf } from '../cgroups/layout.ts';
import { processesBelow, subdirectories } from '../cgroups/tree.ts';
import { runCommandLine } from '../command-line/command-line.ts';
import type { Flag, Verb } from '../command-line/flags.ts';
import { print } from '../command-line/print.ts';
import { table } from '../command-line/table.ts';
import { StrataError } from '../errors/strata-error.ts';

const PATH_USAGE = 'PATH   (such as /strata/web, or the pid of a process in it)';
const JSON_FLAG: Flag = { type: 'boolean', help: 'as JSON' };

/** @throws {StrataError} NOT_FOUND, INVALID_CGROUP_PATH */
function openCgroup(path: string): Cgroup {
  const cgroup = /^\d+$/.test(path) ? cgroupOfProcess(path) : Cgroup.openIfThere(path);
  if (cgroup) return cgroup;
  throw new StrataError('NOT_FOUND', `there is no cgroup ${path}`, {
    path,
    hint: 'strata-ns cgroup ls shows those there are',
  });
}

/** Where a process is: in each hierarchy perhaps somewhere else. */
function cgroupOfProcess(pid: string): Cgroup | undefined {
  const text = readCgroupFile(`/proc/${pid}/cgroup`);
  if (text === undefined) return undefined;
  const layout = detectCgroups();
  const own = parseProcessCgroups(text);
  const all = layout.unified ? [...layout.hierarchies, layout.unified] : layout.hierarchies;
  const paths = all.flatMap(({ key, mountPoint }) => {
    const path = own.get(key);
    return path === undefined ? [] : [[key, `${mountPoint}${path === '/' ? '' : path}`]];
  });
  // Looked at, and not ours to remove.
  return Cgroup.open(Object.fromEntries(paths), { made: [] });
}

const ls: Verb = {
  summary: 'list cgroups with the number of processes in them and below',
  usage: '[CONTROLLER]   (default: pids, or the v2 hierarchy)',
  arguments: [0, 1],
  flags: {},
  run(call) {
    const layout = detectCgroups();
    const controller = call.arguments[0] ?? 'pids';
    const hierarchy =
      homeOf(layout, controller) ?? layout.hierarchies.find(({ key }) => key === controller);
    if (!hierarchy) throw new StrataError('NOT_FOUND', `there is no ${controller} controller`);
    const rows = below(hierarchy, hierarchy.mountPoint).map(({ path, processes }) => [
      path,
      String(processes),
    ]);
    print(table([['CGROUP', 'PROCESSES'], ...rows], '  '));
    return 0;
  },
};

function below(hierarchy: Hierarchy, directory: string): { path: string; processes: number }[] {
  const path = directory.slice(hierarchy.mountPoint.length) || '/';
  const own = { path, processes: processesBelow(directory).length };
  return [
    own,
    ...subdirectories(directory)
      .sort()
      .flatMap((each) => below(hierarchy, each)),
  ];
}

const stats: Verb = {
  summary: 'what the processes of a cgroup have used, as JSON',
  usage: PATH_USAGE,
  arguments: [1, 1],
  flags: {},
  run(call) {
    print(`${JSON.stringify(openCgroup(call.arguments[0]!).stats(), null, 2)}\n`);
    return 0;
  },
};

const explain: Verb = {
  summary: 'say what the limits of a cgroup mean',
  usage: PATH_USAGE,
  arguments: [1, 1],
  flags: { json: JSON_FLAG },
  run(call) {
    const cgroup = openCgroup(call.arguments[0]!);
    const limits = explainLimits(cgroup.paths, detectCgroups());
    if (call.flag('json')) print(`${JSON.stringify(limits, null, 2)}\n`);
    else {
      const rows = limits.map(({ file, value, meaning }) => [file, shortened(value), meaning]);
      print(table([['FILE', 'VALUE', 'MEANING'], ...rows], '  '));
    }
    return 0;
  },
};

const LONGEST_VALUE = 24;
const shortened = (value: string): string =>
  value.length > LONGEST_VALUE ? `${value.slice(0, LONGEST_VALUE - 3)}...` : value;

const GROUP: Readonly<Record<string, Verb>> = { ls, stats, explain };

export const cgroup: Verb = {
  summary: `cgroups: ${Object.keys(GROUP).join(', ')}`,
  usage: 'COMMAND [ARGUMENT...]',
  arguments: [0, Number.POSITIVE_INFINITY],
  passesArguments: true,
  flags: {},
  run(call) {
    const program = {
      name: 'strata-ns cgroup',
      summary: 'control groups',
      version: '',
      globals: {},
      verbs: GROUP,
      outer: call,
    };
    return runCommandLine(program, call.arguments);
  },
};
