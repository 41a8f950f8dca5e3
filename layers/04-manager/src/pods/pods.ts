/**
 * Pods: run, stop, remove.
 *
 *   run     row (takes the key) ─ /dev/shm ─ pause process (its namespaces) ─ address ─ /etc files
 *   stop    containers ─ address ─ pause process ─ cgroup ─ /dev/shm        record kept
 *   remove  stop ─ containers' records ─ files ─ row
 *
 * As with containers, the row comes first and goes last.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import {
  Cgroup,
  localSyscalls,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  O_DIRECTORY,
  O_PATH,
  StrataError,
  span,
  unmountAll,
} from '@strata/namespaces';
import type { LinuxNamespace } from '@strata/oci-runtime';
import type { ManagerContext } from '../manager/context.ts';
import { findId, newId, nowNs } from '../manager/identity.ts';
import type { PodsApi } from '../manager/manager-api.ts';
import { thisOwner } from '../manager/owner.ts';
import { type EtcFiles, writeEtcFiles } from '../spec/etc-files.ts';
import { pauseRootfs, pauseSpec } from './pause.ts';
import type { PodConfig, PodStatus } from './pod-config.ts';
import { validatePodConfig } from './validate-pod.ts';

type PodPhase = 'creating' | 'ready' | 'stopped' | 'removing';

interface PodRow {
  id: string;
  key: string;
  phase: PodPhase;
  owner: string;
  config: string;
  created_at: string;
  ips: string;
  pid: number;
}

/** What a container needs to be in a pod. */
export interface PodJoining {
  id: string;
  namespaces: LinuxNamespace[];
  shm: string | undefined;
  hostname: string;
  etc: EtcFiles;
  cgroupParent: string;
}

/** What pods need to know of containers. */
export interface PodContainers {
  idsOfPod(podId: string): string[];
  stop(id: string, graceSeconds: number): Promise<void>;
  remove(id: string): Promise<void>;
}

const SHM_SIZE = '65536k';
const NAMESPACE_FILES = { network: 'net', ipc: 'ipc', uts: 'uts', pid: 'pid' } as const;

export class Pods implements PodsApi {
  readonly #context: ManagerContext;
  readonly #containers: PodContainers;

  constructor(context: ManagerContext, containers: PodContainers) {
    this.#context = context;
    this.#containers = containers;
  }

  async run(config: PodConfig): Promise<PodStatus> {
    validatePodConfig(config);
    const id = newId();
    return span('pod.run', { 'pod.id': id, 'pod.name': config.name }, async () => {
      this.#insert(id, config);
      try {
        await this.#make(id, config);
        return statusOfRow(this.#row(id));
      } catch (error) {
        await this.#dispose(id, config);
        throw error;
      }
    });
  }

  #insert(id: string, config: PodConfig): void {
    const key = podKey(config);
    const added = this.#context.database.run(
      `INSERT INTO pods (id, key, phase, owner, config, created_at)
       VALUES (?, ?, 'creating', ?, ?, ?) ON CONFLICT DO NOTHING`,
      id,
      key,
      thisOwner(),
      JSON.stringify(config),
      String(nowNs()),
    );
    if (added === 1) return;
    const sql = 'SELECT id FROM pods WHERE key = ?';
    const holder = this.#context.database.get<{ id: string }>(sql, key);
    throw new StrataError('ALREADY_EXISTS', `the pod ${key} exists already`, {
      field: 'config.metadata',
      hint: `pod ${holder?.id.slice(0, 12) ?? ''} has this name, namespace, uid and attempt: remove it first`,
    });
  }

  async #make(id: string, config: PodConfig): Promise<void> {
    const directory = this.#directory(id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const hostname = hostnameOf(id, config);
    const { network = 'pod', ipc = 'pod' } = config.namespaces ?? {};
    if (ipc === 'pod') span('pod.shm', {}, () => mountShm(`${directory}/shm`));
    const spec = pauseSpec({
      config,
      rootfs: pauseRootfs(this.#context.state),
      hostname,
      cgroupsPath: `${this.#cgroupParent(id, config)}/pause`,
    });
    writeFileSync(`${directory}/config.json`, JSON.stringify(spec), { mode: 0o600 });
    const shim = await this.#context.shim();
    const { pid } = await shim.create({ id, bundle: directory, start: true });
    const ips = network === 'pod' ? await this.#attach(id, pid) : [];
    writeEtcFiles(directory, { hostname, ips, dns: config.dns });
    this.#context.database.run(
      `UPDATE pods SET phase = 'ready', ips = ?, pid = ? WHERE id = ?`,
      JSON.stringify(ips),
      pid,
      id,
    );
  }

  async #attach(id: string, pid: number): Promise<string[]> {
    return span('pod.network', {}, async () => {
      const { addresses } = await this.#context.networks().attach({ containerId: id, pid });
      return addresses.map(({ address }) => address);
    });
  }

  async stop(id: string): Promise<void> {
    const found = this.#findIfThere(id);
    if (found === undefined) return;
    await span('pod.stop', { 'pod.id': found }, async () => {
      const row = this.#row(found);
      if (row.phase === 'stopped' || row.phase === 'removing') return;
      const containers = this.#containers.idsOfPod(found);
      await Promise.all(containers.map((container) => this.#containers.stop(container, 0)));
      await this.#release(found, JSON.parse(row.config) as PodConfig);
      this.#context.database.run(`UPDATE pods SET phase = 'stopped' WHERE id = ?`, found);
    });
  }

  async remove(id: string): Promise<void> {
    const found = this.#findIfThere(id);
    if (found === undefined) return;
    await span('pod.remove', { 'pod.id': found }, async () => {
      await this.stop(found);
      const row = this.#row(found);
      const sql = `UPDATE pods SET phase = 'removing', owner = ? WHERE id = ?`;
      this.#context.database.run(sql, thisOwner(), found);
      await this.#dispose(found, JSON.parse(row.config) as PodConfig);
    });
  }

  /** Ends what runs of a pod and gives back what it holds of the host; nothing may be missing. */
  async #release(id: string, config: PodConfig): Promise<void> {
    if ((config.namespaces?.network ?? 'pod') === 'pod') {
      await this.#context.networks().detach({ containerId: id, namespaceEnds: true });
    }
    const shim = await this.#context.shim();
    await shim.delete(id, { force: true }).catch((error) => {
      if (!(error instanceof StrataError) || error.code !== 'NOT_FOUND') throw error;
    });
    unmountShm(`${this.#directory(id)}/shm`);
    Cgroup.openIfThere(this.#cgroupParent(id, config))?.delete();
  }

  async #dispose(id: string, config: PodConfig): Promise<void> {
    await Promise.all(this.#containers.idsOfPod(id).map((name) => this.#containers.remove(name)));
    await this.#release(id, config);
    rmSync(this.#directory(id), { recursive: true, force: true });
    this.#context.database.run('DELETE FROM pods WHERE id = ?', id);
  }

  async status(id: string): Promise<PodStatus> {
    const status = statusOfRow(this.#row(this.#find(id)));
    if (status.state !== 'ready') return status;
    const shim = await this.#context.shim();
    const alive = await shim.state(status.id).then(
      ({ exit }) => exit === undefined,
      (error) => {
        if (error instanceof StrataError && error.code === 'NOT_FOUND') return false;
        throw error;
      },
    );
    return alive ? status : { ...status, state: 'stopped', pid: 0 };
  }

  async list(): Promise<PodStatus[]> {
    const sql = 'SELECT * FROM pods ORDER BY created_at';
    const pods = this.#context.database.all<PodRow>(sql).map(statusOfRow);
    if (!pods.some(({ state }) => state === 'ready')) return pods;
    const shim = await this.#context.shim();
    const running = new Set(
      (await shim.list()).filter(({ exit }) => exit === undefined).map((state) => state.id),
    );
    return pods.map((pod) =>
      pod.state === 'ready' && !running.has(pod.id) ? { ...pod, state: 'stopped', pid: 0 } : pod,
    );
  }

  /** For a container that is to be made in the pod. @throws {StrataError} NOT_FOUND, INVALID_STATUS */
  join(id: string): PodJoining {
    const row = this.#row(this.#find(id));
    if (row.phase !== 'ready') {
      throw new StrataError('INVALID_STATUS', `pod ${row.id} is not ready: it is ${row.phase}`, {
        hint: 'run another pod',
      });
    }
    const config = JSON.parse(row.config) as PodConfig;
    const modes = config.namespaces ?? {};
    const directory = this.#directory(row.id);
    const shared: (keyof typeof NAMESPACE_FILES)[] = [
      ...((modes.network ?? 'pod') === 'pod' ? (['network', 'uts'] as const) : []),
      ...((modes.ipc ?? 'pod') === 'pod' ? (['ipc'] as const) : []),
      ...(modes.pid === 'pod' ? (['pid'] as const) : []),
    ];
    return {
      id: row.id,
      namespaces: shared.map((type) => ({
        type,
        path: `/proc/${row.pid}/ns/${NAMESPACE_FILES[type]}`,
      })),
      shm: (modes.ipc ?? 'pod') === 'pod' ? `${directory}/shm` : undefined,
      hostname: hostnameOf(row.id, config),
      etc: {
        hosts: `${directory}/hosts`,
        resolvConf: `${directory}/resolv.conf`,
        hostname: `${directory}/hostname`,
      },
      cgroupParent: this.#cgroupParent(row.id, config),
    };
  }

  /** Rows that some process was at. */
  unfinished(): { id: string; owner: string }[] {
    const sql = `SELECT id, owner FROM pods WHERE phase IN ('creating', 'removing')`;
    return this.#context.database.all(sql);
  }

  /** Removes what a process that has ended was making or removing. */
  async recover(id: string): Promise<void> {
    await this.#dispose(id, JSON.parse(this.#row(id).config) as PodConfig);
  }

  #cgroupParent(id: string, config: PodConfig): string {
    return `${config.cgroupParent ?? this.#context.cgroupParent}/pod-${id}`;
  }

  #directory(id: string): string {
    return `${this.#context.state}/pods/${id}`;
  }

  #find(text: string): string {
    return findId(this.#context.database, 'pods', text);
  }

  #findIfThere(text: string): string | undefined {
    try {
      return this.#find(text);
    } catch (error) {
      if (error instanceof StrataError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  #row(id: string): PodRow {
    const row = this.#context.database.get<PodRow>('SELECT * FROM pods WHERE id = ?', id);
    if (!row) throw new StrataError('NOT_FOUND', `pod ${id} does not exist`);
    return row;
  }
}

/** What makes a pod unique to kubelet. */
function podKey({ name, namespace = '', uid = '', attempt = 0 }: PodConfig): string {
  return `${name}_${namespace}_${uid}_${attempt}`;
}

const hostnameOf = (id: string, config: PodConfig): string => config.hostname || id.slice(0, 12);

function statusOfRow(row: PodRow): PodStatus {
  const config = JSON.parse(row.config) as PodConfig;
  const isReady = row.phase === 'ready';
  const hasNetwork = (config.namespaces?.network ?? 'pod') === 'pod';
  return {
    id: row.id,
    config,
    state: row.phase === 'removing' ? 'stopped' : row.phase,
    createdAt: BigInt(row.created_at),
    ips: JSON.parse(row.ips) as string[],
    pid: isReady ? row.pid : 0,
    netnsPath: isReady && hasNetwork ? `/proc/${row.pid}/ns/net` : '',
  };
}

/** The /dev/shm that the containers of a pod share. */
function mountShm(path: string): void {
  const sys = localSyscalls();
  mkdirSync(path, { mode: 0o700 });
  const context = sys.fsopen('tmpfs');
  try {
    sys.fsconfigSet(context, 'size', SHM_SIZE);
    sys.fsconfigSet(context, 'mode', '1777');
    sys.fsconfigCreate(context);
    const mount = sys.fsmount(context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    const place = sys.openat2(path, { flags: O_PATH | O_DIRECTORY });
    sys.moveMount(mount, place);
    sys.close(place);
    sys.close(mount);
  } finally {
    sys.close(context);
  }
}

function unmountShm(path: string): void {
  const sys = localSyscalls();
  if (sys.attempt('faccessat2', -100, path, 0, 0) === 0) unmountAll(path);
}
