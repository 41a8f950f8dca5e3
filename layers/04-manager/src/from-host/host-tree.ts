/**
 * Chooses what goes into an image made of host programs.
 *
 *   ls                         the program, found on the path
 *   /usr/bin/env               the program at this place
 *   busybox=/bin/sh,/bin/ls    the program, and links to it (one binary, many commands)
 *
 * Beside the programs and what they need, the image gets the directories that a container's mounts
 * go to, and the few files in /etc without which programs complain.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { StrataError } from '@strata/namespaces';
import { FileTree } from './file-tree.ts';
import { LibraryFinder } from './find-libraries.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface HostTree {
  tree: FileTree;
  /** The first program, or the first link to it: what the image runs by default. */
  command: string;
}

const DIRECTORIES: readonly (readonly [path: string, mode: number])[] = [
  ['dev', 0o755],
  ['etc', 0o755],
  ['proc', 0o555],
  ['root', 0o700],
  ['run', 0o755],
  ['sys', 0o555],
  ['tmp', 0o1777],
  ['usr', 0o755],
  ['var', 0o755],
  ['var/tmp', 0o1777],
];

const FILES: readonly (readonly [path: string, content: string])[] = [
  ['etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'],
  ['etc/group', 'root:x:0:\nnogroup:x:65534:\n'],
  ['etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'],
];

/** On a host with a merged /usr these are links, and both names of a program must work. */
const MERGED = ['/bin', '/sbin', '/lib', '/lib32', '/lib64'];

/** @throws {StrataError} COMMAND_NOT_FOUND, LIBRARY_NOT_FOUND, EINVAL, ALREADY_EXISTS */
export function hostTree(commands: readonly string[]): HostTree {
  if (commands.length === 0) throw new StrataError('EINVAL', 'no program to make an image of');
  const wanted = commands.map(parseCommand);
  const tree = new FileTree();
  for (const link of MERGED) tree.addHostLink(link);
  for (const path of new LibraryFinder().closure(wanted.map(({ path }) => path))) {
    tree.addHostFile(path);
  }
  for (const { path, links } of wanted) {
    for (const link of links) tree.addSymlink(link, path);
  }
  for (const [path, mode] of DIRECTORIES) tree.addDirectory(path, mode);
  for (const [path, content] of FILES) tree.addFile(path, 0o644, content);
  const [first] = wanted;
  return { tree, command: first!.links[0] ?? first!.path };
}

function parseCommand(text: string): { path: string; links: string[] } {
  const [name, ...rest] = text.split('=');
  const links = rest.length === 0 ? [] : rest.join('=').split(',');
  const relative = links.find((link) => !link.startsWith('/') || link.endsWith('/'));
  if (relative !== undefined) {
    throw new StrataError('EINVAL', `${text}: ${JSON.stringify(relative)} is not a file's path`, {
      hint: 'links are absolute: busybox=/bin/sh,/bin/ls',
    });
  }
  return { path: findProgram(name!), links };
}

function findProgram(name: string): string {
  const isFile = (path: string): boolean => {
    const status = statSync(path, { throwIfNoEntry: false });
    return status?.isFile() === true && (status.mode & 0o111) !== 0;
  };
  const candidates = name.startsWith('/')
    ? [name]
    : name === '' || name.includes('/')
      ? []
      : DEFAULT_PATH.split(':').map((directory) => join(directory, name));
  const found = candidates.find(isFile);
  if (found) return found;
  throw new StrataError('COMMAND_NOT_FOUND', `${JSON.stringify(name)} is no program on this host`, {
    hint: `name one in ${DEFAULT_PATH}, or give its absolute path`,
  });
}
