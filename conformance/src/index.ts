/** What the conformance tests and the benchmarks share. */

export { type CriServer, startCriServer } from './cri-server.ts';
export { CRICTL } from './crictl.ts';
export { hasBusybox, type OneImageRegistry, serveOneImage } from './one-image-registry.ts';
