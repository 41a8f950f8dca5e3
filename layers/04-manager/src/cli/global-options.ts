/** The flags every command of `strata` has, and the manager they describe. */
import type { Flag, Values } from '@strata/namespaces';
import type { Manager } from '../manager/manager.ts';

export const GLOBALS: Readonly<Record<string, Flag>> = {
  root: { type: 'string', value: 'DIR', help: 'images and state (default /var/lib/strata)' },
  state: { type: 'string', value: 'DIR', help: 'run-time state (default /run/strata)' },
  'host-netns': { type: 'string', value: 'PATH', help: 'where bridges live (default: here)' },
  'cgroup-parent': { type: 'string', value: 'PATH', help: 'parent cgroup (default /strata)' },
};

/** Opens the manager, does `work`, and closes it. */
export async function withManager<T>(
  globals: Values,
  work: (manager: Manager) => Promise<T>,
): Promise<T> {
  const { Manager } = await import('../manager/manager.ts');
  await using manager = await Manager.open({
    root: globals.text('root'),
    state: globals.text('state'),
    hostNetns: globals.text('host-netns'),
    cgroupParent: globals.text('cgroup-parent'),
  });
  return await work(manager);
}
