/** The life of one pod with one container, call by call, against any CRI server. */
import { CriClient } from '@strata/cri';

/** Milliseconds by the call's name. */
export type CallTimes = Readonly<Record<string, number>>;

const TIMEOUT_MS = 60_000;

export class PodLife implements Disposable {
  readonly #client: CriClient;
  readonly #image: string;
  readonly #logDirectory: string;
  #pulled: Promise<unknown> | undefined;
  #count = 0;

  constructor(endpoint: string, image: string, logDirectory: string) {
    this.#client = new CriClient(endpoint);
    this.#image = image;
    this.#logDirectory = logDirectory;
  }

  /** From RunPodSandbox to RemovePodSandbox. The first life pulls the image before that. */
  async live(): Promise<CallTimes> {
    const { runtime, images } = this.#client;
    const image = { image: this.#image };
    this.#pulled ??= this.#pull(images);
    await this.#pulled;

    const name = `bench-${process.pid}-${this.#count++}`;
    const config = {
      metadata: { name, namespace: 'strata-bench', uid: name, attempt: 0 },
      logDirectory: this.#logDirectory,
      linux: {},
    };
    const times: Record<string, number> = {};
    const timed = async <T>(call: string, request: Promise<T>): Promise<T> => {
      const began = performance.now();
      const answer = await request;
      times[call] = performance.now() - began;
      return answer;
    };
    const within = { timeoutMs: TIMEOUT_MS };

    const { podSandboxId } = await timed(
      'RunPodSandbox',
      runtime.runPodSandbox({ config }, within),
    );
    const container = {
      metadata: { name: 'main', attempt: 0 },
      image,
      command: ['/bin/sleep', '1000'],
      logPath: `${name}.log`,
      linux: {},
    };
    const { containerId } = await timed(
      'CreateContainer',
      runtime.createContainer({ podSandboxId, config: container, sandboxConfig: config }, within),
    );
    await timed('StartContainer', runtime.startContainer({ containerId }, within));
    await timed('StopContainer', runtime.stopContainer({ containerId, timeout: 0n }, within));
    await timed('RemoveContainer', runtime.removeContainer({ containerId }, within));
    await timed('StopPodSandbox', runtime.stopPodSandbox({ podSandboxId }, within));
    await timed('RemovePodSandbox', runtime.removePodSandbox({ podSandboxId }, within));
    return times;
  }

  async #pull(images: CriClient['images']): Promise<void> {
    const image = { image: this.#image };
    const { image: there } = await images.imageStatus({ image });
    if (!there) await images.pullImage({ image });
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}
