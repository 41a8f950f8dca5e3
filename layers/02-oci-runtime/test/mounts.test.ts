/** The options of `mounts`: what config.json says is what the kernel then has. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { activeSecurityModules, CLONE_NEWNS, Stub } from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import type { Mount } from '../src/config/spec.ts';
import { configWarnings } from '../src/index.ts';
import { hasBusybox } from './bundle.ts';
import { type Change, ContainerTests, inUserNamespace } from './container-tests.ts';

const tests = new ContainerTests();

const withMount =
  (mount: Mount): Change =>
  (spec) => {
    spec.root!.readonly = false;
    spec.mounts!.push(mount);
    for (const set of ['bounding', 'permitted', 'effective'] as const) {
      spec.process!.capabilities![set]!.push('CAP_DAC_OVERRIDE');
    }
  };

/** A directory of the host, beside the root file system. */
function volume(...names: string[]): string {
  const path = join(tests.bundle.directory, 'volume');
  mkdirSync(path, { recursive: true });
  for (const name of names) mkdirSync(join(path, name), { recursive: true });
  return path;
}

describe.skipIf(!hasBusybox)('attributes', () => {
  test.each<[string[], string[]]>([
    [
      ['ro', 'nosuid', 'nodev', 'noexec'],
      ['ro', 'nosuid', 'nodev', 'noexec', 'relatime'],
    ],
    [
      ['noatime', 'nodiratime'],
      ['rw', 'noatime', 'nodiratime'],
    ],
    [['strictatime'], ['rw']],
    [['nosymfollow'], ['rw', 'relatime', 'nosymfollow']],
    [
      ['ro', 'rw', 'noexec', 'exec', 'nosuid', 'suid', 'nodev', 'dev'],
      ['rw', 'relatime'],
    ],
  ])('%j of a bind mount are %j', (options, expected) => {
    const source = volume();
    const mount = { destination: '/mnt', type: 'bind', source, options: ['bind', ...options] };
    const state = tests.start(withMount(mount));
    expect(tests.mounts(state).get('/mnt')!.options.sort()).toEqual(expected.sort());
  });

  test.each<[string, string[], string[], string[]]>([
    ['rro', ['ro', 'relatime'], ['ro', 'relatime'], ['rw', 'relatime']],
    ['rnosuid', ['rw', 'nosuid', 'relatime'], ['rw', 'nosuid', 'relatime'], ['rw', 'relatime']],
    ['rnodev', ['rw', 'nodev', 'relatime'], ['rw', 'nodev', 'relatime'], ['rw', 'relatime']],
    ['rnoexec', ['rw', 'noexec', 'relatime'], ['rw', 'noexec', 'relatime'], ['rw', 'relatime']],
    ['rnoatime', ['rw', 'noatime'], ['rw', 'noatime'], ['rw', 'relatime']],
    ['rstrictatime', ['rw'], ['rw'], ['rw', 'relatime']],
    [
      'rnosymfollow',
      ['rw', 'relatime', 'nosymfollow'],
      ['rw', 'relatime', 'nosymfollow'],
      ['rw', 'relatime'],
    ],
  ])(
    '%s reaches the mounts below, and rbind alone does not change them',
    (option, top, below, plain) => {
      // The tree is made in a mount namespace of its own, which the container joins.
      using namespace = Stub.spawn();
      namespace.sys.unshare(CLONE_NEWNS);
      namespace.sys.mount({ target: '/', flags: 0x44000 }); // private, recursively
      const source = volume();
      namespace.sys.mount({ source: 'top', target: source, type: 'tmpfs' });
      mkdirSync(`/proc/${namespace.pid}/root${source}/below`);
      namespace.sys.mount({ source: 'below', target: join(source, 'below'), type: 'tmpfs' });
      const recursive = { destination: '/a', type: 'bind', source, options: ['rbind', option] };
      const other = { destination: '/b', type: 'bind', source, options: ['rbind'] };
      const state = tests.startInMountsOf(namespace.pid, (spec) => {
        spec.root!.readonly = false;
        spec.mounts!.push(recursive, other);
      });
      const options = (place: string) => tests.mounts(state).get(place)!.options.sort();
      expect(options('/a')).toEqual(top.sort());
      expect(options('/a/below')).toEqual(below.sort());
      expect(options('/b/below')).toEqual(plain.sort());
    },
  );

  test('a recursive option takes back what a mount has', () => {
    const source = volume();
    const options = ['bind', 'ro', 'nosuid', 'rrw'];
    const state = tests.start(withMount({ destination: '/mnt', type: 'bind', source, options }));
    expect(tests.mounts(state).get('/mnt')!.options.sort()).toEqual(['nosuid', 'relatime', 'rw']);
  });
});

describe.skipIf(!hasBusybox)('a tmpfs', () => {
  test('has the size, mode and owner of its options', () => {
    const options = ['size=64k', 'mode=1711', 'uid=7', 'gid=8', 'nr_inodes=9'];
    const state = tests.start(withMount({ destination: '/mnt', type: 'tmpfs', options }));
    const mount = tests.mounts(state).get('/mnt')!;
    expect(mount.superOptions).toEqual(
      expect.arrayContaining(['size=64k', 'nr_inodes=9', 'mode=1711', 'uid=7', 'gid=8']),
    );
    const { mode, uid, gid } = statSync(`/proc/${state.pid}/root/mnt`);
    expect([mode & 0o7777, uid, gid]).toEqual([0o1711, 7, 8]);
  });

  test('without a mode has that of the directory it hides', () => {
    mkdirSync(join(tests.bundle.rootfs, 'root'), { mode: 0o700 });
    chmodSync(join(tests.bundle.rootfs, 'tmp'), 0o1777);
    const state = tests.start((spec) => {
      spec.root!.readonly = false;
      spec.mounts!.push(
        { destination: '/root', type: 'tmpfs', options: ['ro'] },
        { destination: '/tmp', type: 'tmpfs' },
        { destination: '/new', type: 'tmpfs' },
      );
    });
    const modeOf = (path: string) => statSync(`/proc/${state.pid}/root${path}`).mode & 0o7777;
    expect([modeOf('/root'), modeOf('/tmp'), modeOf('/new')]).toEqual([0o700, 0o1777, 0o1777]);
    expect(tests.mounts(state).get('/root')!.options).toContain('ro');
  });
});

describe.skipIf(!hasBusybox)('tmpcopyup', () => {
  const copied = (options: string[] = []): Mount => ({
    destination: '/data',
    type: 'tmpfs',
    options: ['tmpcopyup', ...options],
  });

  /** Of every kind something. */
  function fill(): string {
    const data = join(tests.bundle.rootfs, 'data');
    mkdirSync(join(data, 'directory/deeper'), { recursive: true });
    chmodSync(data, 0o751);
    chownSync(data, 3, 4);
    writeFileSync(join(data, 'file'), 'contents');
    chownSync(join(data, 'file'), 5, 6);
    chmodSync(join(data, 'file'), 0o4750);
    utimesSync(join(data, 'file'), 1000, 2000.5);
    writeFileSync(join(data, 'directory/deeper/large'), Buffer.alloc(3_000_000, 'x'));
    linkSync(join(data, 'file'), join(data, 'directory/again'));
    symlinkSync('/etc/passwd', join(data, 'link'));
    writeFileSync(join(data, '.hidden'), '');
    spawnSync('mkfifo', ['-m', '640', join(data, 'fifo')]);
    spawnSync('mknod', ['-m', '606', join(data, 'null'), 'c', '1', '3']);
    // A name that is not in UTF-8.
    writeFileSync(Buffer.concat([Buffer.from(`${data}/`), Buffer.of(0xff, 0x61)]), 'bytes');
    for (let index = 0; index < 700; index++) {
      writeFileSync(join(data, 'directory', `${'name'.repeat(20)}-${index}`), '');
    }
    utimesSync(join(data, 'directory'), 1000, 3000);
    return data;
  }

  test('copies what the image has, as it is there', () => {
    fill();
    const state = tests.start(withMount(copied()));
    const data = `/proc/${state.pid}/root/data`;
    expect(tests.mounts(state).get('/data')!.type).toBe('tmpfs');
    const file = lstatSync(join(data, 'file'));
    expect([file.mode & 0o7777, file.uid, file.gid, file.mtimeMs]).toEqual([
      ...[0o4750, 5, 6, 2_000_500],
    ]);
    expect(readFileSync(join(data, 'file'), 'utf8')).toBe('contents');
    expect(readFileSync(join(data, 'directory/deeper/large'))).toEqual(
      Buffer.alloc(3_000_000, 'x'),
    );
    expect(readFileSync(join(data, 'directory/again'), 'utf8')).toBe('contents');
    expect(readlinkSync(join(data, 'link'))).toBe('/etc/passwd');
    expect(lstatSync(join(data, 'fifo')).isFIFO()).toBe(true);
    const device = lstatSync(join(data, 'null'));
    expect([device.isCharacterDevice(), device.rdev, device.mode & 0o777]).toEqual([
      true,
      0x103,
      0o606,
    ]);
    const odd = Buffer.concat([Buffer.from(`${data}/`), Buffer.of(0xff, 0x61)]);
    expect(readFileSync(odd, 'utf8')).toBe('bytes');
    expect(statSync(join(data, 'directory')).mtimeMs).toBe(3_000_000);
    const names = spawnSync('ls', ['-A', join(data, 'directory')], { encoding: 'utf8' }).stdout;
    expect(names.trim().split('\n')).toHaveLength(702);
    const root = statSync(data);
    expect([root.mode & 0o7777, root.uid, root.gid]).toEqual([0o751, 3, 4]);
  });

  test('what is written to it stays out of the image, and options are stronger', () => {
    const data = fill();
    const output = tests.shell(
      'echo changed > /data/file; cat /data/file; stat -c "%a %u %g" /data',
      withMount(copied(['mode=700', 'uid=9'])),
    );
    expect(output).toBe('changed\n700 9 4\n');
    expect(readFileSync(join(data, 'file'), 'utf8')).toBe('contents');
  });

  test('a read-only one is filled too', () => {
    fill();
    const output = tests.shell('cat /data/file; touch /data/x', withMount(copied(['ro'])));
    expect(output).toMatch(/^contentstouch: \/data\/x: Read-only file system/);
  });

  test('in a user namespace owners are those inside, and devices stay away', () => {
    chmodSync(tests.bundle.directory, 0o711);
    const data = fill();
    spawnSync('chown', ['-R', '100005:100006', data]);
    const output = tests.shell(
      'cd /data; stat -c "%u %g" . file directory/deeper; ls; cat file',
      (spec) => {
        withMount(copied())(spec);
        inUserNamespace(spec);
        chownSync(tests.bundle.rootfs, 100_000, 100_000);
      },
    );
    expect(output).toMatch(/^5 6\n5 6\n5 6\n/);
    expect(output).toContain('fifo');
    expect(output).not.toContain('null');
    expect(output).toMatch(/contents$/);
  });

  test('that does not fit says so, with the field', () => {
    fill();
    expect(() => tests.start(withMount(copied(['size=64k'])))).toThrow(
      expect.objectContaining({
        code: 'TMPCOPYUP',
        field: 'mounts[7]',
        message: expect.stringMatching(/^mounts\[7\]: cannot copy what is at \/data: .*ENOSPC/),
      }),
    );
  });

  test('leads nowhere by a link: what the image says is inside', () => {
    symlinkSync('/', join(tests.bundle.rootfs, 'elsewhere'));
    mkdirSync(join(tests.bundle.rootfs, 'home'));
    symlinkSync('/../../../../etc', join(tests.bundle.rootfs, 'data'));
    writeFileSync(join(tests.bundle.rootfs, 'etc/mark'), 'the image');
    const output = tests.shell('ls /data /etc', withMount(copied()));
    expect(output).toBe('/data:\nmark\n\n/etc:\nmark\n');
  });
});

describe.skipIf(!hasBusybox)('an id-mapped mount', () => {
  const map = (hostID: number) => [{ containerID: 0, hostID, size: 1000 }];

  function owned(): string {
    const source = volume('directory');
    writeFileSync(join(source, 'file'), 'x');
    chownSync(join(source, 'file'), 10, 20);
    writeFileSync(join(source, 'stranger'), 'x');
    chownSync(join(source, 'stranger'), 5000, 5000);
    return source;
  }

  test('shows the owners of its own map, and gives them back', () => {
    const source = owned();
    const output = tests.shell(
      'cd /mnt; stat -c "%u %g" file stranger; id -u; touch made',
      (spec) => {
        withMount({
          ...{ destination: '/mnt', type: 'bind', source, options: ['rbind', 'idmap'] },
          ...{ uidMappings: map(0), gidMappings: map(200) },
        })(spec);
        spec.process!.user = { uid: 10, gid: 220 };
        chmodSync(source, 0o777);
      },
    );
    expect(output).toBe('10 220\n65534 65534\n10\n');
    const { uid, gid } = statSync(join(source, 'made'));
    expect([uid, gid]).toEqual([10, 20]);
  });

  test('without the option has its map all the same', () => {
    const source = owned();
    const output = tests.shell('stat -c "%u %g" /mnt/file', (spec) => {
      withMount({
        ...{ destination: '/mnt', type: 'bind', source, options: ['bind'] },
        ...{ uidMappings: map(500), gidMappings: map(600) },
      })(spec);
    });
    expect(output).toBe('510 620\n');
  });

  test('without a map has that of the container’s user namespace', () => {
    const source = owned();
    chmodSync(tests.bundle.directory, 0o700);
    chmodSync(tests.bundle.directory, 0o711);
    const output = tests.shell('cd /mnt; stat -c "%u %g" file; touch made', (spec) => {
      inUserNamespace(spec);
      spec.mounts!.push({
        ...{ destination: '/mnt', type: 'bind', source, options: ['rbind', 'ridmap'] },
      });
      mkdirSync(join(tests.bundle.rootfs, 'mnt'));
    });
    expect(output).toBe('10 20\n');
    // Root of the container is nobody on the host, and root on this volume.
    expect(statSync(join(source, 'made')).uid).toBe(0);
  });

  test('needs no right to reach its source in the user namespace', () => {
    const source = owned();
    chmodSync(tests.bundle.directory, 0o711);
    const hidden = volume('closed/inner');
    chmodSync(join(hidden, 'closed'), 0o700);
    const output = tests.shell('stat -c %u /mnt', (spec) => {
      inUserNamespace(spec);
      mkdirSync(join(tests.bundle.rootfs, 'mnt'));
      spec.mounts!.push({
        ...{ destination: '/mnt', type: 'bind', options: ['bind', 'idmap', 'ro'] },
        source: join(hidden, 'closed/inner'),
      });
    });
    expect(output).toBe('0\n');
    expect(source).toBe(hidden);
  });

  test('of a file system that has none is refused with its field', () => {
    expect(() =>
      tests.start(
        withMount({
          ...{ destination: '/mnt', type: 'bind', source: '/proc', options: ['rbind', 'ridmap'] },
          ...{ uidMappings: map(0), gidMappings: map(0) },
        }),
      ),
    ).toThrow(
      expect.objectContaining({ code: 'ID_MAP', field: 'mounts[7]', errno: expect.any(Number) }),
    );
  });

  test.each<[Partial<Mount>, string]>([
    [{ options: ['bind', 'idmap'] }, 'mounts[7].options[1]'],
    [{ type: 'tmpfs', options: ['ridmap'] }, 'mounts[7].options[0]'],
    [{ uidMappings: map(0) }, 'mounts[7].gidMappings'],
    [
      { type: 'tmpfs', options: [], uidMappings: map(0), gidMappings: map(0) },
      'mounts[7].uidMappings',
    ],
  ])('%j is refused at %s', (change, field) => {
    const mount = { destination: '/mnt', type: 'bind', source: '/tmp', options: ['bind'] };
    expect(() => tests.start(withMount({ ...mount, ...change }))).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIG', field }),
    );
  });

  test('a keeper holds nothing of it', () => {
    const source = owned();
    const exitFile = join(tests.bundle.directory, 'exit');
    const spec = tests.bundle.spec(['sleep', '100'], (spec) => {
      withMount({
        ...{ destination: '/mnt', type: 'bind', source, options: ['bind', 'idmap'] },
        ...{ uidMappings: map(0), gidMappings: map(0) },
      })(spec);
    });
    const { keeperPid } = tests.runtime.create({
      id: 'test',
      bundle: tests.bundle.directory,
      spec,
      keeper: { exitFile },
    });
    const held = spawnSync('ls', ['-l', `/proc/${keeperPid}/fd`], { encoding: 'utf8' }).stdout;
    expect(held).not.toContain('volume');
    expect(held).not.toContain('user:');
  });
});

test.skipIf(activeSecurityModules().includes('selinux'))(
  'a mount label is left out, with a warning, where the kernel has no SELinux',
  () => {
    const label: Change = (spec) => {
      spec.linux!.mountLabel = 'system_u:object_r:container_file_t:s0:c1,c2';
    };
    expect(tests.shell('echo fine', label)).toBe('fine\n');
    const warnings = configWarnings(tests.bundle.spec(['true'], label));
    expect(warnings.map(({ field }) => field)).toEqual(['linux.mountLabel']);
  },
);
