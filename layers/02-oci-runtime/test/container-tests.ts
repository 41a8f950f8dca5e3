/**
 * What the tests of config.json share: a bundle and a runtime for each test, containers made and run
 * with a changed spec, and the check that nothing of them is left.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { localSyscalls, type MountInfo, parseMountinfo, Stub } from '@strata/namespaces';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { Spec, SpecProcess } from '../src/config/spec.ts';
import { Runtime } from '../src/index.ts';
import type { RuntimeState } from '../src/runtime/runtime.ts';
import { type Footprint, footprint, removeTestCgroups, TestBundle } from './bundle.ts';

export type Change = (spec: Spec) => void;
const WEXITED = 4;

export class ContainerTests {
  bundle!: TestBundle;
  runtime!: Runtime;
  #before!: Footprint;
  #output!: number;

  /** Registers with the test file that calls it. */
  constructor() {
    // Leaves the sealed executable open, for all later ones.
    beforeAll(() => void Stub.spawn().exit());
    beforeEach(() => {
      this.#before = footprint();
      this.bundle = new TestBundle();
      this.runtime = new Runtime({ root: this.bundle.state });
      this.#output = openSync(this.#outputPath, 'w+');
    });
    afterEach(() => {
      for (const { id } of this.runtime.list()) this.runtime.delete(id, { force: true });
      closeSync(this.#output);
      this.bundle[Symbol.dispose]();
      expect(footprint()).toEqual(this.#before);
    });
    afterAll(removeTestCgroups);
  }

  get #outputPath(): string {
    return join(this.bundle.directory, 'output');
  }

  /** What the containers of this test have written so far. */
  get output(): string {
    return readFileSync(this.#outputPath, 'utf8');
  }

  /** What the containers have as theirs. */
  get stdio(): readonly [number, number, number] {
    return [this.#output, this.#output, this.#output];
  }

  create(args: string[], change?: Change, id = 'test'): RuntimeState {
    const spec = this.bundle.spec(args, change);
    return this.runtime.create({ id, bundle: this.bundle.directory, spec, stdio: this.stdio });
  }

  /** A container that sleeps. */
  start(change?: Change, id = 'test'): RuntimeState {
    const state = this.create(['sleep', '100'], change, id);
    this.runtime.start(id);
    return state;
  }

  /** Runs a script in a container to its end; returns what it has written. */
  shell(script: string, change?: Change): string {
    const { pid } = this.create(['sh', '-c', script], change);
    this.runtime.start('test');
    localSyscalls().waitid(pid, WEXITED);
    this.runtime.delete('test', { force: true });
    return this.output;
  }

  /** Runs a further process in the container to its end; returns what it has written. */
  exec(specProcess: SpecProcess): string {
    const before = this.output.length;
    const stdio = [this.#output, this.#output, this.#output] as const;
    const { pid } = this.runtime.exec({ id: 'test', process: specProcess, stdio });
    localSyscalls().waitid(pid, WEXITED);
    return this.output.slice(before);
  }

  /** A container that sleeps, made by the binary in the mount namespace of another process. */
  startInMountsOf(pid: number, change?: Change): RuntimeState {
    const { bundle } = this;
    bundle.write(bundle.spec(['sleep', '100'], change));
    const main = join(import.meta.dirname, '../src/main.ts');
    const enter = ['--mount', '--target', String(pid), '--wd=/', process.execPath, main];
    const command = ['--root', bundle.state, 'run', '-d', '-b', bundle.directory, 'test'];
    const { status } = spawnSync('nsenter', [...enter, ...command], {
      stdio: ['ignore', this.#output, this.#output],
    });
    expect({ status, said: this.output }).toEqual({ status: 0, said: '' });
    return this.runtime.state('test');
  }

  /** The mounts of a container's process by their place. */
  mounts({ pid }: { pid: number }): Map<string, MountInfo> {
    const mounts = parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
    return new Map(mounts.map((mount) => [mount.mountPoint, mount]));
  }
}

/** Puts a container into a user namespace whose 0 is `hostID` outside. */
export function inUserNamespace(spec: Spec, hostID = 100_000): void {
  spec.linux!.namespaces!.push({ type: 'user' });
  spec.linux!.uidMappings = [{ containerID: 0, hostID, size: 65_536 }];
  spec.linux!.gidMappings = [{ containerID: 0, hostID, size: 65_536 }];
}
