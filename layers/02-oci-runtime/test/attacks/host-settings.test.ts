/**
 * A configuration that changes the host: by sysctls, cgroups, annotations, sizes.
 *
 *   CVE-2022-0811    cri-o   "+" in a value adds a second sysctl: kernel.core_pattern, of the host
 *   CVE-2022-0532    cri-o   sysctls of a pod in the host's namespaces are the host's
 *   CVE-2023-25809   runc    without privileges, the cgroups of the container's user on the host can be
 *                            written to below /sys/fs/cgroup
 *   CVE-2023-6476, CVE-2024-3154   cri-o   annotations: resources without limit, properties of systemd
 *   CVE-2021-43784   runc    an id map of 64 kB overflows a length, and what follows it is options
 *   CVE-2019-14891   cri-o   the container's lack of memory ends its monitor
 *   CVE-2021-41103, CVE-2024-25621   containerd   directories of state that others may go through
 *   CVE-2020-15257   containerd   an abstract socket of the shim, in the host's network namespace
 *   CVE-2026-31431   everybody    AF_ALG sockets, from inside a container
 *
 * Sysctls are of a namespace, by a table, and of one that is not ours, looked at when it is written;
 * annotations are nobody's orders; the keeper is in no cgroup of the container.
 */
import { mkdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  defaultSeccompProfile,
  detectCgroups,
  localSyscalls,
  parseScopePlace,
  Stub,
  syscallNumber,
} from '@strata/namespaces';
import { describe, expect, test } from 'vitest';
import type { Spec } from '../../src/config/spec.ts';
import { writeSysctls } from '../../src/process/sysctl.ts';
import { hasBusybox } from '../bundle.ts';
import { inUserNamespace } from '../container-tests.ts';
import { AttackTests, bringPerl, hasPerl } from './attack-tests.ts';

const tests = new AttackTests();
const CORE_PATTERN = '/proc/sys/kernel/core_pattern';

describe.skipIf(!hasBusybox)('sysctls', () => {
  test.each([
    ['kernel.shm_rmid_forced', '1+kernel.core_pattern=|/attack'],
    ['kernel.shm_rmid_forced', '1\nkernel.core_pattern=|/attack'],
    ['kernel.shm_rmid_forced+kernel.core_pattern', '|/attack'],
    ['kernel.core_pattern', '|/attack'],
    ['net/../kernel/core_pattern', '|/attack'],
    ['net.ipv4...kernel.core_pattern', '|/attack'],
  ])('CVE-2022-0811: %j with %j is refused', (key, value) => {
    const before = readFileSync(CORE_PATTERN, 'utf8');
    const create = () =>
      tests.attempt(
        ({ linux }) => (linux!.sysctl = { [key]: value }),
        () => {},
      );
    expect(create).toThrow(/linux\.sysctl/);
    expect(readFileSync(CORE_PATTERN, 'utf8')).toBe(before);
  });

  test.each(['ipc', 'network'])(
    'CVE-2022-0532: those of the %s namespace, where it is the host’s',
    (type) => {
      const key = type === 'ipc' ? 'kernel.shm_rmid_forced' : 'net.ipv4.ip_unprivileged_port_start';
      const path = `/proc/sys/${key.replaceAll('.', '/')}`;
      const before = readFileSync(path, 'utf8');
      for (const given of [undefined, `/proc/self/ns/${type === 'ipc' ? 'ipc' : 'net'}`]) {
        const change = ({ linux }: Spec): void => {
          linux!.namespaces = linux!.namespaces!.filter((namespace) => namespace.type !== type);
          if (given) linux!.namespaces.push({ type: type as 'ipc', path: given });
          linux!.sysctl = { [key]: before.trim() === '1' ? '0' : '1' };
        };
        expect(() => tests.attempt(change, () => {})).toThrow(/linux\.sysctl/);
      }
      expect(readFileSync(path, 'utf8')).toBe(before);
    },
  );

  test('CVE-2022-0532: also where the path was another namespace when it was checked', () => {
    // A process that has joined nothing: as if a pid in the path had become ours meanwhile.
    using stub = Stub.spawn();
    const key = 'net.ipv4.ip_unprivileged_port_start';
    const value = readFileSync(`/proc/sys/${key.replaceAll('.', '/')}`, 'utf8').trim();
    expect(() => writeSysctls(stub.sys, { [key]: value })).toThrow(/network namespace is the host/);
  });
});

describe.skipIf(!hasBusybox)('cgroups', () => {
  /** Where a container's root can make a cgroup, if its user has one on the host. */
  function writableCgroups(change: (spec: Spec) => void): string {
    const layout = detectCgroups();
    const mount = layout.unified?.mountPoint ?? layout.hierarchies[0]!.mountPoint;
    const own = join(mount, `strata-test-${process.pid}-own`);
    mkdirSync(own);
    localSyscalls().call('fchownat', -100, own, 100_000, 100_000, 0);
    try {
      const each = 'for d in $(/bin/busybox find /sys/fs/cgroup -maxdepth 4 -type d)';
      const script = `${each}; do mkdir $d/attack && echo $d && /bin/busybox rmdir $d/attack; done`;
      return tests.shell(`(${script}) 2>/dev/null; echo end`, (spec) => {
        inUserNamespace(spec);
        localSyscalls().call('fchmodat', -100, tests.bundle.directory, 0o755);
        const sys = spec.mounts!.find(({ destination }) => destination === '/sys')!;
        const options = ['rbind', 'nosuid', 'noexec', 'nodev', 'ro'];
        Object.assign(sys, { type: 'bind', source: '/sys', options });
        change(spec);
      });
    } finally {
      rmdirSync(own);
    }
  }

  test('CVE-2023-25809: those of the container’s user cannot be written to from inside', () => {
    expect(writableCgroups(() => {})).toBe('end\n');
  });

  test('CVE-2023-25809: the control, without a mount of the container’s own cgroup they can', () => {
    const bare = (spec: Spec): void => {
      spec.mounts = spec.mounts!.filter(({ type }) => type !== 'cgroup');
    };
    expect(writableCgroups(bare)).toMatch(/strata-test-\d+-own\n/);
  });

  test('CVE-2023-6476, CVE-2024-3154: annotations change nothing', () => {
    const { outside } = tests;
    const before = tests.snapshot(outside);
    const limit = 64 << 20;
    const { pid, cgroups } = tests.start((spec) => {
      spec.linux!.resources = { ...spec.linux!.resources, memory: { limit } };
      spec.annotations = {
        'org.systemd.property.ExecStopPost': "[('/bin/sh', ['sh', '-c', 'id'], false)]",
        'org.systemd.property.MemoryMax': 'uint64 18446744073709551615',
        'io.kubernetes.cri-o.UnifiedCgroup.test': 'memory.max=max',
        'run.oci.keep_original_groups': '1',
        'run.oci.hooks.stdout': join(outside, 'file'),
        'run.oci.delegate-cgroup': '../..',
        'run.oci.seccomp_bpf_data': 'AAAA',
      };
    });
    const file = cgroups['']
      ? `${cgroups['']}/memory.max`
      : `${cgroups.memory}/memory.limit_in_bytes`;
    expect(readFileSync(file, 'utf8').trim()).toBe(String(limit));
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(/^Groups:\s*$/m);
    expect(tests.snapshot(outside)).toEqual(before);
  });

  test.each([
    'system.slice:a:b.scope\nExecStopPost=/attack',
    'a/../b.slice:x:y',
    ':x:../y',
    'x.slice:a:b%n',
    'x.slice:a:b c',
  ])('CVE-2024-3154: %j is no place in systemd', (path) => {
    expect(() => parseScopePlace(path)).toThrow(/cgroupsPath/);
  });

  test('CVE-2019-14891: the keeper is not in the container’s cgroup', () => {
    const spec = tests.bundle.spec(['sleep', '100']);
    const exitFile = join(tests.bundle.directory, 'exit');
    const { directory } = tests.bundle;
    const made = tests.runtime.create({
      id: 'test',
      bundle: directory,
      spec,
      keeper: { exitFile },
    });
    for (const path of Object.values(made.cgroups)) {
      const members = readFileSync(join(path, 'cgroup.procs'), 'utf8').trim().split('\n');
      expect(members).toEqual([String(made.pid)]);
    }
    expect(made.keeperPid).toBeGreaterThan(1);
  });
});

describe.skipIf(!hasBusybox)('what is too large, and what is left about', () => {
  test('CVE-2021-43784: an id map of more than 64 kB is refused, and nothing behind it is read', () => {
    const mapping = Array.from({ length: 6000 }, (_, index) => ({
      ...{ containerID: index, hostID: 100_000 + index, size: 1 },
    }));
    const change = (spec: Spec): void => {
      inUserNamespace(spec);
      localSyscalls().call('fchmodat', -100, tests.bundle.directory, 0o755);
      spec.linux!.uidMappings = mapping;
    };
    expect(() => tests.attempt(change, () => {})).toThrow(/linux\.uidMappings/);
    const path = `/${'x'.repeat(70_000)}`;
    const joined = ({ linux }: Spec) => {
      linux!.namespaces!.find(({ type }) => type === 'network')!.path = path;
    };
    expect(() => tests.attempt(joined, () => {})).toThrow(/linux\.namespaces\[\d\]\.path/);
  });

  test('CVE-2021-41103, CVE-2024-25621: nobody but its owner may look into the state', () => {
    tests.start();
    const { state } = tests.bundle;
    for (const path of [state, join(state, 'test')])
      expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(join(state, 'test/state.json')).mode & 0o777).toBe(0o600);
  });

  test('CVE-2020-15257: a container with the host’s network finds no socket of the runtime', () => {
    const sockets = () => readFileSync('/proc/self/net/unix', 'utf8').match(/@\S*strata-oci\S*/g);
    tests.start(({ linux }) => {
      linux!.namespaces = linux!.namespaces!.filter(({ type }) => type !== 'network');
    });
    expect(sockets()).toBeNull();
  });
});

describe.skipIf(!hasBusybox || !hasPerl)('the default seccomp profile', () => {
  const SOCKETS = `for my $family (1, 2, 38, 40) {
    my $fd = syscall(${syscallNumber('socket')}, $family, 5, 0);
    print "$family:", $! + 0, " " if $fd < 0; print "$family:made " if $fd >= 0; }`;
  const unfiltered = (spec: Spec) => {
    spec.process!.capabilities = {};
  };

  test('CVE-2026-31431: refuses AF_ALG and AF_VSOCK sockets', () => {
    bringPerl(tests);
    const filtered = (spec: Spec): void => {
      unfiltered(spec);
      spec.linux!.seccomp = defaultSeccompProfile([]) as never;
    };
    const said = tests.shell(`/usr/bin/perl -e '${SOCKETS}'`, filtered);
    expect(said).toMatch(/38:1 40:1 /);
    expect(said).not.toMatch(/\b[12]:1 /);
  });

  test('CVE-2026-31431: the control, without it the kernel is asked', () => {
    bringPerl(tests);
    // Made, or of a family that this kernel has not.
    expect(tests.shell(`/usr/bin/perl -e '${SOCKETS}'`, unfiltered)).not.toMatch(/38:1 /);
  });
});
