/** Commands with commands of their own: `strata image import`. */
import { type Call, runCommandLine, type Verb } from '@strata/namespaces';

/** @param summary what its commands are about */
export function group(name: string, summary: string, verbs: Readonly<Record<string, Verb>>): Verb {
  return {
    summary: `${summary}: ${Object.keys(verbs).join(', ')}`,
    usage: 'COMMAND [ARGUMENT...]',
    arguments: [0, Number.POSITIVE_INFINITY],
    passesArguments: true,
    flags: {},
    run(call: Call) {
      const program = {
        name: `strata ${name}`,
        summary,
        version: '',
        globals: {},
        verbs,
        outer: call,
      };
      return runCommandLine(program, call.arguments);
    },
  };
}
