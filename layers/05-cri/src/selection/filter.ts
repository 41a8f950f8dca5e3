/**
 * Filters of the list calls. All that a filter names must match; an id matches by its beginning, as
 * crictl's users type it and containerd has it.
 */

/** Whether `id` begins with `wanted`; an empty `wanted` matches all. */
export const matchesId = (id: string, wanted: string): boolean => id.startsWith(wanted);

/** Whether `labels` has every entry of `selector`. */
export function matchesLabels(
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(
    ([key, value]) => Object.hasOwn(labels, key) && labels[key] === value,
  );
}
