import {
  type Lab,
  namespacesView,
  type Performer,
  type Report,
  statusField,
  statusView,
} from '@strata/labs';

export interface Scene {
  init: Performer;
  worker: Performer;
  orphan: Performer;
}

const lab: Lab<Scene> = {
  needs: [],
  views: [namespacesView('pid'), statusView('NSpid', 'PPid', 'State')],
  refusals: {
    'waitid ECHILD':
      'number 1 has no such child: ask by the number it has inside (NSpid, the last one), and only where it is the parent (PPid)',
  },

  check(report, scene) {
    const { init } = scene;
    report.expect({
      that: 'init is number 1 of a namespace of its own',
      expected: `${init.pid} 1`,
      found: statusField(init.pid, 'NSpid')?.replaceAll('\t', ' '),
      usually:
        'the clone had no CLONE_NEWPID: unshare(CLONE_NEWPID) would do as well, before the clone and by the launcher',
    });
    const state = statusField(init.pid, 'State');
    report.expect({
      that: 'init is alive: with number 1, its namespace ends',
      expected: 'S (sleeping)',
      found: state,
      holds: state !== undefined && !state.startsWith('Z'),
      usually:
        'somebody has ended init: that clears away its children, and everybody else with them',
    });
    expectGone(report, scene.worker);
    expectGone(report, scene.orphan);
  },
};
export default lab;

function expectGone(report: Report, { title, pid }: Performer): void {
  const state = statusField(pid, 'State');
  const parent = statusField(pid, 'PPid');
  report.expect({
    that: `nothing is left of the ${title}`,
    expected: 'not in the process table',
    found: state === undefined ? 'not in the process table' : `${state}, child of ${parent}`,
    usually:
      'it has ended, and its parent has not asked how: a zombie. Its parent is who must wait for it',
  });
}
