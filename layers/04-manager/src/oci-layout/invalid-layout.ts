import { StrataError } from '@strata/namespaces';

/** The error for a layout or archive that is none. */
export const invalidLayout = (path: string, reason: string, hint?: string): StrataError =>
  new StrataError('INVALID_LAYOUT', `image layout ${path} ${reason}`, { path, hint });
