/** What the server needs of layer 04's manager. */
import type { Manager } from '@strata/manager';

export type NodeManager = Pick<Manager, 'pods' | 'containers' | 'images' | 'networks' | 'ready'>;
