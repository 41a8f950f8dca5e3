/**
 * The schema of the state database, as a list of steps that are each applied once.
 *
 * A step is known by its name and never changes after it has been released: to change a table, add
 * a step. Each part of the manager keeps its own steps beside its own code (`images/`,
 * `containers/`, ...) and this list only says in which order they come.
 */
import { CONTAINER_MIGRATIONS } from '../containers/container-schema.ts';
import { IMAGE_MIGRATIONS } from '../images/image-schema.ts';
import { POD_MIGRATIONS } from '../pods/pod-schema.ts';

export interface Migration {
  /** Unique and final: 'images-001'. */
  readonly name: string;
  /** One or more SQL statements, executed in one transaction. */
  readonly sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  ...IMAGE_MIGRATIONS,
  ...POD_MIGRATIONS,
  ...CONTAINER_MIGRATIONS,
];
