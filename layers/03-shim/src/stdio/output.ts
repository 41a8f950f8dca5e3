/** What becomes of a process's output: a log, those who attach, the caller's FIFO, or nothing. */
import { closeSync } from 'node:fs';
import type { Hub } from '../attach/hub.ts';
import { ContainerLog } from '../logs/container-log.ts';
import type { StreamName } from '../logs/log-format.ts';
import { type LogSource, PipeSource, type StageEnds, TerminalSource } from '../logs/stage.ts';
import type { ProcessRecord } from '../service/records.ts';
import { DirectOutput } from './direct-output.ts';
import { Relay } from './relay.ts';
import type { Channels } from './stdio.ts';

const DEFAULT_MAX_FILES = 5;

export interface ProcessOutput extends Disposable {
  /** Begins to work from the event loop. */
  watch(): void;
  /** Now: what was printed until this moment has arrived on return, if there is room for it. */
  drain(): void;
  /** The same, and no more will come. @returns whether there was room for all */
  finish(): boolean;
  /** Whether all has come, and has arrived. */
  readonly ended: boolean;
}

export interface OutputOptions {
  record: ProcessRecord;
  channels: Channels;
  /** Where the journals are. */
  place: string;
  hub: Hub;
  /** Hears why output is paused. */
  onTrouble: (error: unknown) => void;
  /** Hears of the end of the streams. */
  onEnded: () => void;
}

/**
 * Takes charge of the channels but for `stdin`.
 * @returns undefined where nobody reads: /dev/null, or the caller by itself
 * @throws {StrataError} INVALID_LOG_PATH; the channels are closed then
 */
export function openOutput(options: OutputOptions): ProcessOutput | undefined {
  const { record, channels, place, hub } = options;
  const { master, relayIn, relayOut } = channels;
  const { onTrouble, onEnded } = options;
  if (record.log) {
    const { path, format, maxBytes = 0, maxFiles = DEFAULT_MAX_FILES } = record.log;
    const sources = logSources(channels);
    const tap = { isWanted: () => hub.isWanted, publish: hub.publish.bind(hub) };
    try {
      return ContainerLog.open({
        ...{ path, format, directory: place, sources, tap, onTrouble },
        streams: record.terminal ? ['stdout'] : ['stdout', 'stderr'],
        ...(maxBytes > 0 && { rotation: { maxBytes, maxFiles } }),
      });
    } catch (error) {
      for (const source of sources.values()) source.descriptors.forEach(closeSync);
      throw error;
    }
  }
  if (master !== undefined && record.stdio) {
    return new Relay({ master, input: relayIn, output: relayOut, onEnded });
  }
  const streams: [StreamName, number | undefined][] =
    master === undefined
      ? [
          ['stdout', channels.stdout],
          ['stderr', channels.stderr],
        ]
      : [['stdout', master]];
  const open = streams.filter((stream): stream is [StreamName, number] => stream[1] !== undefined);
  return open.length > 0 ? new DirectOutput({ streams: open, hub, onEnded }) : undefined;
}

/** Those of a keeper that has gone are gone, too. */
function logSources(channels: Channels): Map<StreamName, LogSource> {
  const { stdout, stderr, master } = channels;
  const stage = endsOf(channels.stageRead, channels.stageWrite);
  const stderrStage = endsOf(channels.stderrStageRead, channels.stderrStageWrite);
  const sources = new Map<StreamName, LogSource>();
  if (master !== undefined && stage) sources.set('stdout', new TerminalSource(master, stage));
  if (stdout !== undefined && stage) sources.set('stdout', new PipeSource(stdout, stage));
  if (stderr !== undefined && stderrStage) {
    sources.set('stderr', new PipeSource(stderr, stderrStage));
  }
  return sources;
}

function endsOf(read: number | undefined, write: number | undefined): StageEnds | undefined {
  return read === undefined || write === undefined ? undefined : { read, write };
}
