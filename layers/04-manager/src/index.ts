/** Layer 04: images, root file systems, containers, pods and networks of one machine. */
export { MIGRATIONS, type Migration } from './state/migrations.ts';
export { openState, StateDatabase } from './state/state-database.ts';
