/** Runs the job in the machine, and tells the host what it says and how it ends. */
import { spawn } from 'node:child_process';
import { openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { constants, release } from 'node:os';
import { JOB_FILE, type Job, type Message, PORTS } from './job.ts';

const port = openSync(`/dev/${readdirSync(PORTS)[0]}`, 'w');

/** Waits where the host does not read. */
function tell(message: Message): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(port, bytes, at);
}

const job: Job = JSON.parse(readFileSync(JOB_FILE, 'utf8'));
const uptimeS = Number.parseFloat(readFileSync('/proc/uptime', 'utf8'));
tell({ kind: 'booted', kernel: release(), uptimeS });

const [program = '', ...args] = job.command;
const child = spawn(program, args, {
  cwd: job.cwd,
  env: job.env,
  stdio: ['ignore', 'pipe', 'pipe'],
});
for (const stream of [child.stdout, child.stderr]) {
  stream.setEncoding('utf8').on('data', (text: string) => tell({ kind: 'output', text }));
}
child.on('error', (error) => {
  tell({ kind: 'output', text: `cannot run ${program}: ${error.message}\n` });
  tell({ kind: 'ended', code: 127 });
});
// Not `exit`: what the job has written last would be lost.
child.on('close', (code, signal) => {
  if (child.pid !== undefined)
    tell({ kind: 'ended', code: code ?? 128 + constants.signals[signal!] });
});
