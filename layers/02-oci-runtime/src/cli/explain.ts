/**
 * `strata-oci explain`: what making a container would come to, or why it did not come to it.
 *
 *   strata-oci explain [BUNDLE]      the plan, with the system calls of each step; nothing is done
 *   strata-oci explain --last ID     the last failure of create, run, start or exec
 */
import { basename, resolve } from 'node:path';
import { type Call, print, StrataError, type VerbBody } from '@strata/namespaces';
import { explain as explainBundle } from '../explain/explain.ts';
import { failureText } from '../explain/failure-text.ts';
import { lastFailure } from '../explain/failures.ts';
import { explanationText } from '../explain/text.ts';
import { rootlessOf } from './creation.ts';
import { rootDirectory } from './root-directory.ts';

export const explain: VerbBody = {
  usage: '[BUNDLE]',
  arguments: [0, 1],
  flags: {
    bundle: { type: 'string', short: 'b', value: 'DIR', help: 'as BUNDLE (default: .)' },
    id: { type: 'string', value: 'ID', help: "the container's (default: the bundle's name)" },
    json: { type: 'boolean', help: 'as JSON' },
    last: { type: 'string', value: 'ID', help: 'the last failure of this container' },
    'console-socket': { type: 'string', value: 'PATH', help: 'as for create' },
  },
  run(call) {
    const id = call.text('last');
    return id === undefined ? showPlan(call) : showFailure(call, id);
  },
};

function showPlan(call: Call): number {
  const bundle = resolve(call.arguments[0] ?? call.text('bundle') ?? '.');
  const consoleSocket = call.text('console-socket');
  const explanation = explainBundle({
    bundle,
    id: call.text('id') ?? basename(bundle),
    root: rootDirectory(call.globals.text('root')),
    rootless: rootlessOf(call),
    ...(consoleSocket !== undefined && { consoleSocket }),
  });
  show(call, explanation, () => explanationText(explanation));
  return explanation.unreached.length > 0 ? 1 : 0;
}

function showFailure(call: Call, id: string): number {
  if (call.arguments.length > 0) throw new StrataError('USAGE', '--last takes no bundle');
  const failure = lastFailure(rootDirectory(call.globals.text('root')), id);
  show(call, failure, () => failureText(failure));
  return 0;
}

function show(call: Call, value: unknown, text: () => string): void {
  print(call.flag('json') ? `${JSON.stringify(value, null, 2)}\n` : text());
}
