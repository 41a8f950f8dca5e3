/**
 * Stop and Remove are idempotent: what is not there any more has been stopped and removed. Whoever
 * calls again (a kubelet that was restarted in the middle) must not be told of an error.
 */
import { StrataError } from '@strata/namespaces';

/** Waits for `work`; NOT_FOUND is success. */
export async function unlessGone(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof StrataError && error.code === 'NOT_FOUND')) throw error;
  }
}
