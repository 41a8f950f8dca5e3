/**
 * The messages of a command: why it failed, what is odd, and with --debug what it does.
 *
 *             without --log       with --log FILE
 *   error     standard error      the file, and standard error
 *   warning   standard error      the file
 *   debug     standard error      the file
 *
 * In the file, and with `--log-format json` on standard error too, a message has the form that the
 * callers of runc parse (containerd, conmon, CRI-O):
 *
 *   text   time="2026-01-02T03:04:05.678Z" level=error msg="..."
 *   json   {"level":"error","msg":"...","time":"2026-01-02T03:04:05.678Z"}
 *
 * Of an error in a step of a plan it says more (errors/failure.ts):
 *
 *   text   ... msg="..." step="mount /data" field="mounts[7]" syscall=fsopen errno=ENODEV
 *   json   {... ,"failure":{"code":"ENODEV","step":"mount /data","field":"mounts[7]", ...}}
 */
import { openSync, writeSync } from 'node:fs';
import { type Failure, failureOf } from '../errors/failure.ts';
import { describeError, StrataError } from '../errors/strata-error.ts';
import type { SpanExporter, SpanRecord } from '../trace/span.ts';
import type { Values } from './flags.ts';
import { printError } from './print.ts';

type Level = 'error' | 'warning' | 'debug';

export class Log {
  readonly #program: string;
  readonly #debug: boolean;
  readonly #format: (level: Level, message: string, failure?: Failure) => string;
  #isJson = false;
  #file: number | undefined;

  private constructor(program: string, debug: boolean, json: boolean) {
    this.#program = program;
    this.#debug = debug;
    this.#isJson = json;
    this.#format = json ? asJson : asText;
  }

  /** One that writes to standard error, for as long as no flags are known. */
  static ofProgram(program: string): Log {
    return new Log(program, false, false);
  }

  /**
   * As the global flags have it.
   * @throws {StrataError} USAGE, LOG where the file cannot be opened
   */
  static fromFlags(program: string, globals: Values): Log {
    const format = globals.text('log-format') || 'text';
    if (format !== 'text' && format !== 'json') {
      throw new StrataError('USAGE', `--log-format is text or json, not ${JSON.stringify(format)}`);
    }
    const log = new Log(program, globals.flag('debug'), format === 'json');
    const path = globals.text('log');
    if (path) log.#file = openLog(path);
    return log;
  }

  error(error: unknown): void {
    const message = describeError(error);
    const isOfStep = error instanceof StrataError && error.step !== undefined;
    const line = this.#format('error', message, isOfStep ? failureOf(error) : undefined);
    if (this.#file !== undefined) this.#writeLine(this.#file, line);
    else if (this.#isJson) this.#writeLine(2, line);
    if (this.#file !== undefined || !this.#isJson) printError(`${this.#program}: ${message}\n`);
    if (error instanceof Error && error.stack) this.debug(error.stack);
  }

  warning(message: string): void {
    if (this.#file !== undefined) this.#write(this.#file, 'warning', message);
    else if (this.#isJson) this.#write(2, 'warning', message);
    else printError(`${this.#program}: warning: ${message}\n`);
  }

  debug(message: string): void {
    if (!this.#debug) return;
    if (this.#file !== undefined || this.#isJson) this.#write(this.#file ?? 2, 'debug', message);
    else printError(`${this.#program}: debug: ${message}\n`);
  }

  /** What is to be told of each step, where --debug is given; the system calls are for --trace. */
  get steps(): SpanExporter | undefined {
    if (!this.#debug) return undefined;
    return {
      withoutSyscalls: true,
      add: ({ name, startNs, endNs, attributes, error }: SpanRecord) => {
        const details = Object.entries(attributes).map(([key, value]) => ` ${key}=${value}`);
        const milliseconds = (Number(endNs - startNs) / 1e6).toFixed(3);
        const failed = error === undefined ? '' : `: failed: ${error}`;
        this.debug(`${name}${details.join('')}: ${milliseconds} ms${failed}`);
      },
      flush() {},
    };
  }

  #write(fd: number, level: Level, message: string): void {
    this.#writeLine(fd, this.#format(level, message));
  }

  #writeLine(fd: number, line: string): void {
    if (fd === 2) {
      printError(`${line}\n`);
      return;
    }
    try {
      writeSync(fd, `${line}\n`);
    } catch (cause) {
      printError(`${this.#program}: cannot write --log: ${(cause as Error).message}\n`);
    }
  }
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o644);
  } catch (cause) {
    const message = `--log: ${(cause as Error).message}`;
    throw new StrataError('LOG', message, { path, cause });
  }
}

function asJson(level: Level, msg: string, failure?: Failure): string {
  const time = new Date().toISOString();
  // What it says is in the message already.
  const { message: _, ...rest } = failure ?? {};
  return JSON.stringify({ level, msg, time, ...(failure && { failure: rest }) });
}

const FIELDS_OF_TEXT = ['step', 'field', 'syscall', 'errno'] as const;

function asText(level: Level, message: string, failure?: Failure): string {
  const more = FIELDS_OF_TEXT.flatMap((name) => {
    const value = failure?.[name];
    return value === undefined
      ? []
      : [` ${name}=${/^\w+$/.test(value) ? value : JSON.stringify(value)}`];
  });
  const time = new Date().toISOString();
  return `time="${time}" level=${level} msg=${JSON.stringify(message)}${more.join('')}`;
}
