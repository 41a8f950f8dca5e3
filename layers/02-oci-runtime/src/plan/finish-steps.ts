/**
 * The last steps: from a process that is at home to one that only waits for its program.
 *
 *   write record ─ release ─ filter of an agent ─ arm ─ keeper ─ publish
 *        │                                                          │
 *        └── who is killed in between leaves what can be found ─────┘
 */
import { asksAgent, sendConsole } from '@strata/namespaces';
import type { Spec } from '../config/spec.ts';
import { withoutDuplicates } from '../process/environment.ts';
import { finalProgram, startProgram } from '../process/final-program.ts';
import { installFilterOfAgent } from '../process/seccomp-agent.ts';
import { placeInherited } from './inherited-descriptors.ts';
import { startKeeping } from './keeping.ts';
import { credentialsAtStart } from './process-steps.ts';
import { type Creation, type Step, settle } from './step.ts';

const hasAgent = ({ linux }: Spec): boolean =>
  linux?.seccomp !== undefined && asksAgent(linux.seccomp);

/** Its last calls, put together while it is busy with those before. */
const prepareProgram: Step = {
  name: 'prepare program',
  field: 'linux.seccomp',
  run(creation) {
    const { container, init, spec } = creation;
    init!.sys.post();
    const program = finalProgram({
      process: { ...spec.process!, env: [...withoutDuplicates(spec.process!.env ?? [])] },
      first: placeInherited(creation.inheritFds?.length ?? 0),
      homeFollows: creation.home !== undefined,
      seccomp: spec.linux?.seccomp,
      credentials: credentialsAtStart(creation),
      syncEnd: creation.syncEnd!,
      isRelease: container !== undefined && !hasAgent(spec),
    });
    settle(creation);
    creation.program = program(creation.executable!, creation.home);
  },
};

const handOverConsole: Step = {
  name: 'hand over console',
  run(creation) {
    const { creator, consoleMaster, consoleSocket } = creation;
    sendConsole(consoleSocket!, consoleMaster!, creator.sys);
    creator.sys.close(consoleMaster!);
    delete creation.consoleMaster;
  },
};

const stageRecord: Step = {
  name: 'write record',
  run(creation) {
    creation.record!.stage(creation);
  },
};

/** From here on it is not ended with us. */
const release: Step = {
  name: 'release from creator',
  run({ init }) {
    init!.sys.setParentDeathSignal(0);
  },
};

const installFilter: Step = {
  name: 'install filter of agent',
  field: 'linux.seccomp',
  run: installFilterOfAgent,
};

const armProgram: Step = {
  name: 'arm program',
  field: 'process.args',
  run({ init, program }) {
    init!.prepare(program!);
  },
};

const keep: Step = { name: 'keep', run: startKeeping };

const endLauncher: Step = {
  name: 'end launcher',
  run({ launcher }) {
    launcher!.exit();
  },
};

const publishRecord: Step = {
  name: 'publish record',
  run({ record }) {
    record!.publish();
  },
};

const runProgram: Step = {
  name: 'start program',
  run(creation) {
    const { creator, init, keeper, launcher, program, syncPipe, executable } = creation;
    creation.identities = {
      process: creator.identify(init!.pid),
      ...(keeper && { keeper: creator.identify(launcher!.pid) }),
    };
    const calls = program!.map(({ name }) => name);
    // The last one but the process's own, whose end at execve is to be heard of.
    creator.sys.close(syncPipe!.writeEnd!);
    delete syncPipe!.writeEnd;
    startProgram(() => init!.startSynced({ sync: syncPipe!.readEnd, calls, executable }));
  },
};

type Endings = Pick<Creation, 'keeper' | 'consoleSocket' | 'spec'>;

const prepareAll = ({ spec, consoleSocket }: Endings): Step[] => [
  prepareProgram,
  ...(spec.process?.terminal && consoleSocket !== undefined ? [handOverConsole] : []),
];

const endingOf = ({ keeper }: Endings): Step => (keeper ? keep : endLauncher);

/** The end of `create`: a container that waits for `start`. */
export function stepsToCreated(creation: Endings): Step[] {
  return [
    ...prepareAll(creation),
    stageRecord,
    release,
    ...(hasAgent(creation.spec) ? [installFilter] : []),
    armProgram,
    endingOf(creation),
    publishRecord,
  ];
}

/** The end of `exec`: a program that runs. */
export function stepsToRunning(creation: Endings): Step[] {
  return [
    ...prepareAll(creation),
    ...(hasAgent(creation.spec) ? [release, installFilter] : []),
    armProgram,
    endingOf(creation),
    runProgram,
  ];
}
