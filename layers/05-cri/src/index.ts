/** Layer 05: a Kubernetes CRI v1 server, and a client for any CRI server. */
export { type CallOptions, CriClient, type PromiseClient } from './client/cri-client.ts';
export { type ServeOptions, serveUntilSignalled } from './serve.ts';
export { socketPath } from './server/listening-socket.ts';
export { CriServer, type ListenOptions, type ServedService } from './server/server.ts';
export { STATUS, type StatusName } from './server/status-code.ts';
export { criServices } from './services.ts';
