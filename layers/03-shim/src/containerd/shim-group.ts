/**
 * Which containers of a containerd have one shim together.
 *
 *   node        (default) all of a namespace: one process of 20 MB for all of them
 *   pod         those of a pod: what containerd's own shim does
 *   container   each has its own
 *
 * Chosen by STRATA_SHIM_GROUPING in containerd's environment. What the shim knows is in a directory of
 * the group; the path of that is written into each bundle, for `delete` to find.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENOENT, errnoOf, StrataError } from '@strata/namespaces';

/** As containerd's shim groups; the first that is there counts. */
const POD_ANNOTATIONS = ['io.containerd.runc.v2.group', 'io.kubernetes.cri.sandbox-id'] as const;
const DEFAULT_BASE = '/run/strata/containerd';
const SETTINGS_FILE = 'containerd.json';
const STATE_FILE = 'strata-shim-state';

/** Whom a shim works for: what it is told at its start, and its successors read. */
export interface ContainerdSettings {
  namespace: string;
  /** Of containerd's main socket. */
  address: string;
  /** Where it takes events: TTRPC_ADDRESS. */
  eventsAddress: string;
}

export interface ShimGroup {
  /** The state directory. */
  state: string;
}

/** @throws {StrataError} INVALID_ARGUMENT */
export function groupOf(
  container: { id: string; bundle: string; settings: ContainerdSettings },
  env: Readonly<Record<string, string | undefined>>,
): ShimGroup {
  const { id, bundle, settings } = container;
  const grouping = env.STRATA_SHIM_GROUPING ?? 'node';
  const keys: Record<string, () => string> = {
    node: () => 'node',
    pod: () => `pod ${podOf(bundle) ?? id}`,
    container: () => `container ${id}`,
  };
  const key = Object.hasOwn(keys, grouping) ? keys[grouping] : undefined;
  if (!key) {
    throw new StrataError('INVALID_ARGUMENT', `STRATA_SHIM_GROUPING cannot be ${grouping}`, {
      hint: 'node, pod or container',
    });
  }
  const hash = createHash('sha256').update(`${settings.address}\n${key()}`).digest('hex');
  const base = env.STRATA_SHIM_STATE ?? DEFAULT_BASE;
  return { state: join(base, `${settings.namespace}-${hash.slice(0, 12)}`) };
}

function podOf(bundle: string): string | undefined {
  const text = readIfThere(join(bundle, 'config.json'));
  const annotations = text === undefined ? {} : (JSON.parse(text).annotations ?? {});
  return POD_ANNOTATIONS.map((name) => annotations[name]).find((value) => value);
}

/** Makes the group's directory, and writes down whom it is for. */
export function prepareGroup({ state }: ShimGroup, settings: ContainerdSettings): void {
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const path = join(state, SETTINGS_FILE);
  const text = JSON.stringify(settings);
  if (readIfThere(path) !== text) replaceFile(path, text);
}

/** Whom the shim of a state directory works for; undefined where that is not containerd. */
export function readContainerdSettings(state: string): ContainerdSettings | undefined {
  const text = readIfThere(join(state, SETTINGS_FILE));
  return text === undefined ? undefined : JSON.parse(text);
}

export function rememberGroup(bundle: string, { state }: ShimGroup): void {
  replaceFile(join(bundle, STATE_FILE), state);
}

export function recallGroup(bundle: string): ShimGroup | undefined {
  const state = readIfThere(join(bundle, STATE_FILE));
  return state === undefined ? undefined : { state };
}

/** A file that a killed writer leaves as it was. */
function replaceFile(path: string, text: string): void {
  const unfinished = `${path}.${process.pid}`;
  writeFileSync(unfinished, text, { mode: 0o600 });
  renameSync(unfinished, path);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === ENOENT) return undefined;
    throw error;
  }
}
