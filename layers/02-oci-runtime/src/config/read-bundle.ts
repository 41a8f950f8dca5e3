/**
 * A bundle: a directory with a config.json and, somewhere, a root file system.
 *
 * Both may come from somebody hostile. config.json has to be a regular file (a FIFO would make us
 * wait, a device could be read forever) of bounded size. A relative root.path starts at the bundle
 * and must not leave it through a symbolic link.
 *
 * @see runtime-spec bundle.md
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { errnoOf, StrataError } from '@strata/namespaces';
import type { Spec } from './spec.ts';
import { MAX_CONFIG_BYTES, parseSpec, validateSpec } from './validate.ts';

export interface Bundle {
  spec: Spec;
  /** Absolute path of the bundle. */
  bundle: string;
  /** Absolute path of the root file system, an existing directory, without symbolic links. */
  rootfs: string;
}

/**
 * Reads and checks a bundle; `spec` stands for the bundle's config.json.
 *
 * @throws {StrataError} INVALID_CONFIG with `field` or `path`
 */
export function readBundle(bundleDir: string, spec?: Spec): Bundle {
  const bundle = resolve(bundleDir);
  const valid = spec ? validateSpec(spec) : specOf(readConfig(join(bundle, 'config.json')));
  return { spec: valid, bundle, rootfs: findRootfs(bundle, valid.root!.path) };
}

/**
 * The specs of the last few texts, frozen. A container's config.json is read by create, by every exec
 * (a probe has one each few seconds), and where it has late hooks by start and delete.
 */
const recent = new Map<string, Spec>();
const RECENT_SPECS = 8;
const RECENT_TEXT_LENGTH = 128 << 10;

function specOf(text: string): Spec {
  const known = recent.get(text);
  if (known) return known;
  const spec = parseSpec(text);
  if (text.length > RECENT_TEXT_LENGTH) return spec;
  if (recent.size >= RECENT_SPECS) recent.delete(recent.keys().next().value!);
  recent.set(text, freeze(spec));
  return spec;
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) freeze(member);
  }
  return value;
}

/**
 * @param name what errors call it
 * @throws {StrataError} INVALID_CONFIG where it is not a readable regular file of bounded size
 */
export function readConfig(path: string, name = 'config.json'): string {
  let fd: number;
  try {
    // Without O_NONBLOCK opening a FIFO waits for a writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw unreadable({ path, name }, `cannot be opened: ${reasonOf(cause)}`, cause);
  }
  try {
    return readText(fd, { path, name });
  } finally {
    closeSync(fd);
  }
}

interface NamedFile {
  path: string;
  name: string;
}

function readText(fd: number, file: NamedFile): string {
  const { size } = regularFile(fd, file);
  if (size > MAX_CONFIG_BYTES) throw unreadable(file, `larger than ${MAX_CONFIG_BYTES} bytes`);
  // The size is a hint: files of /proc have none, and any file can grow meanwhile.
  let buffer = Buffer.allocUnsafe(size + 1);
  let length = 0;
  for (;;) {
    const count = readSync(fd, buffer, length, buffer.length - length, null);
    if (count === 0) return buffer.toString('utf8', 0, length);
    length += count;
    if (length > MAX_CONFIG_BYTES) throw unreadable(file, `larger than ${MAX_CONFIG_BYTES} bytes`);
    if (length === buffer.length) buffer = Buffer.concat([buffer], 2 * buffer.length + 4096);
  }
}

function regularFile(fd: number, file: NamedFile): { size: number } {
  const status = fstatSync(fd);
  if (!status.isFile()) throw unreadable(file, 'not a regular file');
  return status;
}

function unreadable({ path, name }: NamedFile, reason: string, cause?: unknown): StrataError {
  const message = name === path ? `${path}: ${reason}` : `${name}: ${reason}: ${path}`;
  const details = { field: name, path, errno: errnoOf(cause), cause };
  return new StrataError('INVALID_CONFIG', message, details);
}

function findRootfs(bundle: string, path: string): string {
  const wanted = isAbsolute(path) ? resolve(path) : resolve(realDirectory(bundle), path);
  const rootfs = realDirectory(wanted);
  if (!isAbsolute(path) && rootfs !== wanted) {
    throw badRoot(wanted, `${JSON.stringify(path)} leads through a symbolic link to ${rootfs}`);
  }
  return rootfs;
}

function realDirectory(path: string): string {
  let real: string;
  try {
    real = realpathSync.native(path);
  } catch (cause) {
    throw badRoot(path, `${path}: ${reasonOf(cause)}`, cause);
  }
  if (!statSync(real).isDirectory()) throw badRoot(path, `${path} is not a directory`);
  return real;
}

function badRoot(path: string, reason: string, cause?: unknown): StrataError {
  const details = { field: 'root.path', path, errno: errnoOf(cause), cause };
  return new StrataError('INVALID_CONFIG', `config.json: root.path: ${reason}`, details);
}

const REASONS: Record<string, string> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  ENOTDIR: 'not a directory',
  ELOOP: 'too many symbolic links',
};

function reasonOf(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  return REASONS[code] ?? (cause as Error).message;
}
