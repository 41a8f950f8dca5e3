/** `strata-ns enter`, `pin` and `unpin`: namespaces that are there already. */
import { resolve } from 'node:path';
import type { Call, Flag, Verb } from '../command-line/flags.ts';
import { StrataError } from '../errors/strata-error.ts';
import { type EnterOptions, enterNamespaces } from '../namespaces/enter.ts';
import { ALL_NAMESPACE_KINDS, namespaceKind } from '../namespaces/kinds.ts';
import { pinNamespace, unpinNamespace } from '../namespaces/pin.ts';
import { attend } from './attend.ts';
import { parseFiles, parseIds, parseNumber } from './namespace-flags.ts';

const kindFlags: Readonly<Record<string, Flag>> = Object.fromEntries(
  ALL_NAMESPACE_KINDS.map((kind) => [
    kind,
    { type: 'boolean', help: `only this and the other kinds named` },
  ]),
);

export const enter: Verb = {
  summary: "run a program in a process's namespaces, or in pinned ones",
  usage: 'PROGRAM [ARGUMENT...]',
  arguments: [1, Number.POSITIVE_INFINITY],
  passesArguments: true,
  flags: {
    target: { type: 'string', short: 't', value: 'PID', help: 'whose namespaces; by default all' },
    pidfd: { type: 'string', value: 'FD', help: 'as --target, by an inherited pidfd' },
    ...kindFlags,
    file: {
      type: 'string',
      multiple: true,
      value: 'KIND=FILE',
      help: 'a namespace by its file, /proc/PID/ns/KIND or a pin',
    },
    root: { type: 'string', value: 'DIR', help: "new root; with '.' the target's" },
    workdir: { type: 'string', value: 'DIR', help: "working directory; with '.' the target's" },
    uid: {
      type: 'string',
      value: 'UID',
      help: 'who to be (default: root of a joined user namespace)',
    },
    gid: { type: 'string', value: 'GID', help: 'with which group' },
    'keep-ids': { type: 'boolean', help: 'stay who you are in a user namespace as well' },
  },
  async run(call) {
    using inside = enterNamespaces(optionsOf(call));
    const [path] = call.arguments as [string];
    return attend(inside.exec({ path, argv: call.arguments, env: process.env }));
  },
};

function optionsOf(call: Call): EnterOptions {
  const kinds = ALL_NAMESPACE_KINDS.filter((kind) => call.flag(kind));
  const pid = parseNumber(call, 'target');
  const pidfd = parseNumber(call, 'pidfd');
  const files = parseFiles(call, 'file');
  if (pid === undefined && pidfd === undefined && files.length === 0) {
    throw new StrataError('USAGE', 'what to enter? --target PID, --pidfd FD or --file KIND=FILE');
  }
  if (pid !== undefined && pidfd !== undefined) {
    throw new StrataError('USAGE', 'either --target or --pidfd');
  }
  return {
    pid,
    pidfd,
    kinds: kinds.length > 0 ? kinds : undefined,
    files,
    root: placeOf(call, 'root'),
    workingDirectory: placeOf(call, 'workdir'),
    ids: parseIds(call),
    keepIds: call.flag('keep-ids'),
  };
}

function placeOf(call: Call, name: string): string | true | undefined {
  const text = call.text(name);
  return text === '.' ? true : text;
}

export const pin: Verb = {
  summary: 'keep a namespace of a process alive by a file',
  usage: 'PID KIND FILE',
  arguments: [3, 3],
  flags: {},
  run({ arguments: [pid, kind, file] }) {
    if (!/^(self|[1-9]\d{0,9})$/.test(pid!)) {
      throw new StrataError('USAGE', `${JSON.stringify(pid)} is no process id`);
    }
    pinNamespace(`/proc/${pid}/ns/${namespaceKind(kind!)}`, resolve(file!));
    return 0;
  },
};

export const unpin: Verb = {
  summary: 'take such a file away; the namespace ends with its last process',
  usage: 'FILE',
  arguments: [1, 1],
  flags: {},
  run({ arguments: [file] }) {
    unpinNamespace(resolve(file!));
    return 0;
  },
};
