/**
 * A rule made of the function that turns a part of the spec into a call's arguments: what that
 * refuses is refused when the file is read, with its field's name, before anything is made.
 */
import { StrataError } from '@strata/namespaces';
import type { Rule } from './checks.ts';
import { problemAt } from './problem.ts';

/** @param encode throws a StrataError whose field ends in the member's name */
export function kernelTakes<T>(encode: (value: T, field: string) => unknown): Rule<T> {
  return (value) => {
    try {
      encode(value, '');
      return undefined;
    } catch (error) {
      if (!(error instanceof StrataError) || error.field === undefined) throw error;
      const reason = error.message.slice(error.field.length + ': '.length);
      return problemAt([error.field.replace(/^\./, '')], reason);
    }
  };
}
