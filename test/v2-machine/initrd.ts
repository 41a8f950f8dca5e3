/** The first file system of the machine: busybox, a few kernel modules, the job, and guest/init. */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cpioArchive } from './cpio.ts';
import type { Job } from './guest/job.ts';
import { type Kernel, moduleFiles, readModulesDep } from './kernel.ts';

/** To reach the image, and the host. The rest is loaded by modprobe when the kernel asks for it. */
const MODULES = ['virtio_pci', 'virtio_blk', 'virtio_console', 'squashfs', 'overlay'];
const DIRECTORIES = ['bin', 'dev', 'image', 'layer', 'modules', 'proc', 'root'];
const APPLETS = ['sh', 'mount', 'umount', 'mkdir', 'insmod', 'tar', 'cp', 'switch_root'];
const BUSYBOX = '/bin/busybox';

/** @throws {Error} without Debian's busybox-static */
export function initrd(kernel: Kernel, job: Job): Buffer {
  if (!existsSync(BUSYBOX)) throw new Error(`${BUSYBOX} is missing: install busybox-static`);
  const modules = moduleFiles(readModulesDep(kernel), MODULES);
  const order = modules.map((file) => `${basename(file)}\n`).join('');
  const busybox = readFileSync(BUSYBOX);
  return cpioArchive([
    ...DIRECTORIES.map((name) => ({ name })),
    { name: 'bin/busybox', content: busybox, executable: true },
    ...APPLETS.map((name) => ({ name: `bin/${name}`, target: 'busybox' })),
    ...modules.map((file) => ({
      name: `modules/${basename(file)}`,
      content: readFileSync(join(kernel.modules, file)),
    })),
    { name: 'modules/order', content: Buffer.from(order) },
    { name: 'job.json', content: Buffer.from(JSON.stringify(job)) },
    {
      name: 'init',
      content: readFileSync(join(import.meta.dirname, 'guest/init')),
      executable: true,
    },
  ]);
}
