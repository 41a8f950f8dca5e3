/**
 * One run of the machine: qemu, from the first instruction to the job's exit code.
 *
 *   /dev/vda  the root image, read-only      /dev/vdb  a tar archive of the repository's tree
 *   serial    the kernel's console: a file, or the terminal for a person
 *   port 1    the agent's messages: qemu's standard output
 *
 * qemu dies with this process however that ends (PR_SET_PDEATHSIG), and writes nothing but the
 * console's file.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Message } from './guest/job.ts';
import type { Kernel } from './kernel.ts';

export interface MachineOptions {
  kernel: Kernel;
  /** Files. */
  initrd: string;
  rootImage: string;
  tree: string;
  /** File that gets what the kernel prints; undefined: the terminal, with a root shell. */
  console: string | undefined;
  memoryMiB: number;
  cpus: number;
  /** Ends the machine. */
  signal: AbortSignal;
  /** Gets the agent's messages. */
  listener: (message: Message) => void;
}

/** What follows the job's end is only switching off. */
const POWER_OFF_LIMIT_MS = 20_000;

/**
 * Runs the machine until it is off.
 * @returns the job's exit code; undefined where the machine ended without one
 * @throws {Error} where qemu cannot be run
 */
export async function runMachine(options: MachineOptions): Promise<number | undefined> {
  const qemu = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...qemuCommand(options)], {
    // An input at its end would make qemu close the port as well.
    stdio: options.console ? ['pipe', 'pipe', 'inherit'] : 'inherit',
  });
  const kill = (): boolean => qemu.kill('SIGKILL');
  options.signal.addEventListener('abort', kill);
  try {
    options.signal.throwIfAborted();
    return await jobOf(qemu, options);
  } finally {
    options.signal.removeEventListener('abort', kill);
    kill();
  }
}

function jobOf(
  qemu: ChildProcess,
  { listener, signal }: MachineOptions,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    let code: number | undefined;
    let powerOff: NodeJS.Timeout | undefined;
    const lines = qemu.stdout && createInterface({ input: qemu.stdout });
    lines?.on('line', (line) => {
      const message = parseMessage(line);
      if (!message) return;
      if (message.kind === 'ended') {
        code = message.code;
        powerOff = setTimeout(() => qemu.kill('SIGKILL'), POWER_OFF_LIMIT_MS);
      } else listener(message);
    });
    qemu.on('error', reject);
    qemu.on('close', (status) => {
      clearTimeout(powerOff);
      if (code === undefined && signal.aborted) reject(signal.reason);
      else if (code === undefined && status)
        reject(new Error(`qemu failed with exit code ${status}`));
      else resolve(code);
    });
  });
}

/** A message; undefined for anything else, such as half a line when the machine was cut off. */
export function parseMessage(line: string): Message | undefined {
  try {
    const message = JSON.parse(line);
    return typeof message?.kind === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}

function qemuCommand(options: MachineOptions): string[] {
  const { kernel, initrd, rootImage, tree, console, memoryMiB, cpus } = options;
  const unit = console ? 'strata-tests.service' : 'strata-shell.service';
  const drive = (file: string): string =>
    `file=${file.replaceAll(',', ',,')},format=raw,if=virtio,readonly=on`;
  const append = [
    'console=ttyS0',
    'panic=-1',
    'quiet',
    `systemd.wants=${unit}`,
    ...KERNEL_ARGUMENTS,
  ];
  return [
    ...['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...(hasKvm() ? ['-accel', 'kvm', '-cpu', 'host'] : EMULATION),
    ...['-smp', String(cpus), '-m', String(memoryMiB)],
    ...['-kernel', kernel.image, '-initrd', initrd, '-append', append.join(' ')],
    ...['-drive', drive(rootImage), '-drive', drive(tree)],
    ...['-device', 'virtio-rng-pci', '-device', 'virtio-serial'],
    ...(console
      ? ['-serial', `file:${console}`, '-chardev', 'stdio,id=agent,signal=off']
      : ['-serial', 'mon:stdio', '-chardev', 'null,id=agent']),
    ...['-device', 'virtserialport,chardev=agent,name=strata'],
  ];
}

/**
 * Pure cgroup v2 (systemd 252 still asks the kernel's command line), nothing that waits for hardware
 * or for udev, which is not there.
 */
const KERNEL_ARGUMENTS = [
  'systemd.unified_cgroup_hierarchy=1',
  'systemd.show_status=no',
  'systemd.mask=systemd-timesyncd.service',
  'systemd.mask=getty.target',
  // Emulated, a second may pass between two looks at the clock.
  'tsc=nowatchdog',
];

/** Without five-level page tables, which cost the emulator a memory access for each page walk. */
const EMULATION = ['-accel', 'tcg,thread=multi', '-cpu', 'max,la57=off'];

/**
 * Whether the processor itself runs guests. /dev/kvm alone does not say so: under kvm_pvm it takes
 * paravirtualised kernels only, and Debian's hangs in its first instructions.
 */
function hasKvm(): boolean {
  if (!['kvm_intel', 'kvm_amd'].some((name) => existsSync(`/sys/module/${name}`))) return false;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
