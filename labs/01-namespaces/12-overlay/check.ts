import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { type Lab, mountsOf, mountsView, type Stage } from '@strata/labs';

/** Paths of four directories. */
export interface Scene {
  /** What is shared, and must stay as it is. */
  image: string;
  /** What one container has changed. */
  changes: string;
  /** For overlayfs itself. */
  work: string;
  /** Where it comes together. */
  root: string;
}

export function placesOf({ scratch }: Pick<Stage, 'scratch'>): Scene {
  const [image, changes, work, root] = ['image', 'changes', 'work', 'root'].map(
    (name) => `${scratch}/${name}`,
  );
  return { image: image!, changes: changes!, work: work!, root: root! };
}

const lab: Lab<Scene> = {
  needs: ['overlay'],
  views: [
    mountsView('root'),
    {
      title: 'files',
      lines: (stage) =>
        Object.entries(placesOf(stage)).flatMap(([name, path]) => {
          if (name === 'work') return [];
          const files = namesIn(path).map(
            (file) => `${name}/${file}  ${contentOf(`${path}/${file}`)}`,
          );
          return files.length === 0 ? [`${name}/  (empty)`] : files;
        }),
    },
  ],
  refusals: {
    'fsconfig EINVAL':
      'overlayfs says itself what is missing or wrong: an upper directory needs a workdir, an empty one on the same file system',
    'openat2 EROFS': 'an overlay without an upper directory has nowhere to put what is written',
    'openat2 ENOENT':
      'the file is not there: the overlay is mounted nowhere yet (moveMount), or the image is not below it',
    'move_mount EBADF':
      'moveMount takes two descriptors: of the mount, from fsmount, and of the place',
  },

  check(report, { image, changes, root }) {
    const mount = mountsOf(process.pid).findLast(({ mountPoint }) => mountPoint === root);
    report.expect({
      that: 'the root is an overlay',
      expected: 'overlay',
      found: mount ? mount.type : 'not a mount',
      usually: 'what is mounted there is the image itself, or nothing',
    });
    const expectFile = (path: string, expected: string, usually: string): void => {
      report.expect({
        that: `${path.split('/').slice(-2).join('/')} ${expected === 'nothing' ? 'is not there' : `is ${expected}`}`,
        expected,
        found: contentOf(path),
        usually,
      });
    };
    expectFile(`${root}/greeting`, '"mine"', 'the step in which the container writes was left out');
    expectFile(`${root}/junk`, 'nothing', 'the step in which the container removes was left out');
    const isShared =
      'the image was written to: it is mounted as it is, or it is the upper directory';
    expectFile(`${image}/greeting`, '"hello"', isShared);
    expectFile(`${image}/junk`, '"old"', isShared);
    const isLost = 'the changes went elsewhere: this is not the upper directory';
    expectFile(`${changes}/greeting`, '"mine"', isLost);
    expectFile(`${changes}/junk`, 'a whiteout', isLost);
  },
};
export default lab;

function namesIn(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

/** A whiteout is a character device with the number 0:0. @see Documentation/filesystems/overlayfs.rst */
function contentOf(path: string): string {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (!status) return 'nothing';
  if (status.isCharacterDevice() && status.rdev === 0) return 'a whiteout';
  return status.isFile() ? JSON.stringify(readFileSync(path, 'utf8').trim()) : 'not a file';
}
