/** A network namespace with a cable to itself, for tests of what goes through it. */
import { spawnSync } from 'node:child_process';
import {
  addAddress,
  changeLink,
  createLink,
  LOOPBACK_INDEX,
  NetworkNamespace,
  RouteNetlink,
} from '../src/index.ts';

const hasIp = spawnSync('ip', ['-V']).status === 0;
export const FOUR = '10.5.0.1';
export const SIX = 'fd00:5::1';

/** A namespace with a cable to itself, one end of which (`a`) has addresses. */
export class Wired implements Disposable {
  readonly namespace = NetworkNamespace.create();
  readonly netlink = this.namespace.run(() => new RouteNetlink());
  readonly a: number;
  readonly b: number;

  constructor() {
    const { netlink } = this;
    netlink.execute(createLink({ name: 'a', kind: { kind: 'veth', peer: { name: 'b' } } }));
    this.a = netlink.link('a')!.index;
    this.b = netlink.link('b')!.index;
    netlink.execute(
      changeLink(LOOPBACK_INDEX, { up: true }),
      changeLink(this.b, { up: true }),
      changeLink(this.a, { up: true }),
      addAddress({ link: this.a, address: FOUR, prefixLength: 24 }),
      addAddress({ link: this.a, address: SIX, prefixLength: 64, flags: 2 }),
    );
  }

  /** What `ip -j` says, or nothing where ip(8) is not installed. */
  ip(...args: string[]): Record<string, unknown>[] | undefined {
    if (!hasIp) return undefined;
    const run = this.namespace.run(() =>
      spawnSync('ip', ['-j', '-d', ...args], { encoding: 'utf8' }),
    );
    if (run.status !== 0) throw new Error(run.stderr);
    return JSON.parse(run.stdout || '[]') as Record<string, unknown>[];
  }

  [Symbol.dispose](): void {
    this.netlink[Symbol.dispose]();
    this.namespace[Symbol.dispose]();
  }
}
