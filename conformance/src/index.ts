/** What the conformance tests and the benchmarks share. */

export { hasBusybox } from './busybox-image.ts';
export { type ContainerdServer, startContainerd, whyNoContainerd } from './containerd-server.ts';
export { type CriServer, startCriServer } from './cri-server.ts';
export { CRICTL } from './crictl.ts';
export { type OneImageRegistry, serveOneImage } from './one-image-registry.ts';
