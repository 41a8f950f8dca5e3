/**
 * Reads from an ELF file which other files it needs to run. Nothing is executed: ldd(1) runs the
 * program's own loader, which a hostile file may choose.
 *
 *   program headers ── PT_INTERP   "/lib64/ld-linux-x86-64.so.2"
 *                  └── PT_DYNAMIC ─ DT_NEEDED   "libc.so.6", ...       (offsets into DT_STRTAB)
 *                                └ DT_RPATH, DT_RUNPATH   where to look first
 *
 * @see elf(5), System V ABI chapter 5
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { StrataError } from '@strata/namespaces';

export interface ElfNeeds {
  /** `e_machine`: libraries must have the same. */
  machine: number;
  /** 32 or 64. */
  bits: number;
  /** The dynamic loader's path; undefined for a static program or a library. */
  interpreter: string | undefined;
  /** Library names, in their order. */
  needed: string[];
  /** Directories to look in before the caches; may have `$ORIGIN` in them. */
  rpath: string[];
  runpath: string[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;
const DT_RPATH = 15;
const DT_RUNPATH = 29;
const MAX_PROGRAM_HEADERS = 1024;
const MAX_TABLE_BYTES = 64 << 20;

interface Segment {
  type: number;
  offset: number;
  address: number;
  fileBytes: number;
}

/** What a file needs; undefined if it is not an ELF file. @throws {StrataError} INVALID_ELF */
export function readElfNeeds(path: string): ElfNeeds | undefined {
  const fd = openSync(path, 'r');
  try {
    const file = new ElfFile(path, fd);
    return file.isElf ? file.needs() : undefined;
  } finally {
    closeSync(fd);
  }
}

/** The fields whose place depends on the word size. */
const LAYOUTS = {
  32: { phoff: 28, phentsize: 42, phnum: 44, offset: 4, address: 8, fileBytes: 16, dynamic: 8 },
  64: { phoff: 32, phentsize: 54, phnum: 56, offset: 8, address: 16, fileBytes: 32, dynamic: 16 },
} as const;

class ElfFile {
  readonly #path: string;
  readonly #fd: number;
  readonly #size: number;
  readonly #header: DataView;

  constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
    this.#size = fstatSync(fd).size;
    const bytes = new Uint8Array(64);
    readSync(fd, bytes, 0, 64, 0);
    this.#header = new DataView(bytes.buffer);
  }

  get isElf(): boolean {
    return this.#header.getUint32(0) === 0x7f454c46;
  }

  needs(): ElfNeeds {
    const isLittleEndian = this.#header.getUint8(5) === 1;
    if (!isLittleEndian) throw this.#invalid('is for a big-endian machine');
    const segments = this.#segments();
    const interpreter = segments.find(({ type }) => type === PT_INTERP);
    const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
    return {
      machine: this.#header.getUint16(18, true),
      bits: this.#bits,
      interpreter: interpreter && text(this.#read(interpreter.offset, interpreter.fileBytes), 0),
      ...(dynamic ? this.#dynamicNeeds(dynamic, segments) : { needed: [], rpath: [], runpath: [] }),
    };
  }

  get #bits(): 32 | 64 {
    return this.#header.getUint8(4) === 1 ? 32 : 64;
  }

  #segments(): Segment[] {
    const layout = LAYOUTS[this.#bits];
    const count = this.#header.getUint16(layout.phnum, true);
    const size = this.#header.getUint16(layout.phentsize, true);
    if (count > MAX_PROGRAM_HEADERS || (count > 0 && size < layout.fileBytes + 8)) {
      throw this.#invalid(`has ${count} program headers of ${size} bytes`);
    }
    const start = this.#word(this.#header, layout.phoff);
    const table = this.#read(start, count * size);
    return Array.from({ length: count }, (_, index) => {
      const at = index * size;
      return {
        type: table.getUint32(at, true),
        offset: this.#word(table, at + layout.offset),
        address: this.#word(table, at + layout.address),
        fileBytes: this.#word(table, at + layout.fileBytes),
      };
    });
  }

  #dynamicNeeds(
    dynamic: Segment,
    segments: readonly Segment[],
  ): Pick<ElfNeeds, 'needed' | 'rpath' | 'runpath'> {
    const entries = this.#dynamicEntries(dynamic);
    const valuesOf = (tag: number): number[] =>
      entries.flatMap((entry) => (entry.tag === tag ? [entry.value] : []));
    const [address] = valuesOf(DT_STRTAB);
    const [size] = valuesOf(DT_STRSZ);
    if (address === undefined || size === undefined) return { needed: [], rpath: [], runpath: [] };
    const strings = this.#read(this.#offsetOf(address, segments), size);
    const pathsOf = (tag: number): string[] =>
      valuesOf(tag).flatMap((at) => text(strings, at).split(':').filter(Boolean));
    return {
      needed: valuesOf(DT_NEEDED).map((at) => text(strings, at)),
      rpath: pathsOf(DT_RPATH),
      runpath: pathsOf(DT_RUNPATH),
    };
  }

  #dynamicEntries(dynamic: Segment): { tag: number; value: number }[] {
    const table = this.#read(dynamic.offset, dynamic.fileBytes);
    const size = LAYOUTS[this.#bits].dynamic;
    const entries: { tag: number; value: number }[] = [];
    for (let at = 0; at + size <= table.byteLength; at += size) {
      const tag = this.#word(table, at);
      if (tag === DT_NULL) break;
      entries.push({ tag, value: this.#word(table, at + size / 2) });
    }
    return entries;
  }

  /** Where in the file the loader finds what it maps at an address. */
  #offsetOf(address: number, segments: readonly Segment[]): number {
    const segment = segments.find(
      (each) =>
        each.type === PT_LOAD && address >= each.address && address < each.address + each.fileBytes,
    );
    if (!segment) throw this.#invalid('has its string table outside of its segments');
    return address - segment.address + segment.offset;
  }

  #word(view: DataView, at: number): number {
    return this.#bits === 32 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
  }

  #read(offset: number, length: number): DataView {
    if (length > MAX_TABLE_BYTES || offset + length > this.#size) {
      throw this.#invalid(`is cut off: ${length} bytes at ${offset} are not in it`);
    }
    const bytes = new Uint8Array(length);
    readSync(this.#fd, bytes, 0, length, offset);
    return new DataView(bytes.buffer);
  }

  #invalid(reason: string): StrataError {
    return new StrataError('INVALID_ELF', `${this.#path} ${reason}`, { path: this.#path });
  }
}

/** The NUL-terminated string at an offset. */
function text(view: DataView, at: number): string {
  const bytes = new Uint8Array(view.buffer).subarray(at);
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString();
}
