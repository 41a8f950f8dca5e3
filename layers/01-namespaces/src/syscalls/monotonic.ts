/**
 * Milliseconds of CLOCK_MONOTONIC, from some moment in the past. `performance.now()` says the same,
 * but its first use loads ten modules of Node, which a short command feels (2 ms).
 */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
