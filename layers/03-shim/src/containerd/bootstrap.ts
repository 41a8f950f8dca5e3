/**
 * What a shim's `start` prints: where it listens, and which version of the Task API it serves.
 *
 *   unix:///run/containerd/s/1a2b...                              plain text: version 2 over ttrpc
 *   {"version":3,"address":"unix:///...","protocol":"ttrpc"}      JSON: containerd 1.7 and later
 *
 * An address without a scheme is the name of an abstract socket, as shims had before containerd 1.4.
 *
 * @see https://github.com/containerd/containerd/blob/main/core/runtime/v2/README.md
 */
import { StrataError } from '@strata/namespaces';

export interface Bootstrap {
  /** Of the Task API. */
  version: 2 | 3;
  address: string;
  protocol: 'ttrpc';
}

const MAX_SHOWN = 200;

/** @throws {StrataError} INVALID_SHIM for what is no answer, or one that we cannot work with */
export function parseBootstrap(output: string): Bootstrap {
  const text = output.trim();
  const { version, address, protocol } = jsonBootstrap(text) ?? {
    version: 2,
    address: text,
    protocol: 'ttrpc',
  };
  if (address === '' || address.includes('\n')) {
    throw invalid(`start printed no address but ${JSON.stringify(text.slice(0, MAX_SHOWN))}`);
  }
  if (version !== 2 && version !== 3) throw invalid(`it serves version ${version} of the Task API`);
  if (protocol.toLowerCase() !== 'ttrpc') throw invalid(`it speaks ${protocol}, we speak ttrpc`);
  return { version, address, protocol: 'ttrpc' };
}

function jsonBootstrap(text: string) {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { version, address, protocol } = (json ?? {}) as Record<string, unknown>;
  if (typeof version !== 'number' || version < 2 || typeof address !== 'string') return undefined;
  return { version, address, protocol: typeof protocol === 'string' ? protocol : 'ttrpc' };
}

/** What `start` answers a containerd that takes `version` at most; one before 1.7 takes plain text. */
export function formatBootstrap(bootstrap: Bootstrap, asJson: boolean): string {
  return asJson ? JSON.stringify(bootstrap) : bootstrap.address;
}

/** The address for connect(2), as Node has it: a path, or a zero byte and an abstract name. */
export function socketPath(address: string): string {
  const scheme = /^([a-z+]+):\/\//.exec(address)?.[1];
  if (scheme === 'unix') return address.slice('unix://'.length);
  if (scheme !== undefined) throw invalid(`its address is ${address}; we connect to unix sockets`);
  return `\0${address}`;
}

const invalid = (message: string): StrataError =>
  new StrataError('INVALID_SHIM', `not a shim that can be used: ${message}`, { field: 'runtime' });
