/**
 * Execution domains: how the kernel pretends to be an older or another one.
 *
 * The spec knows LINUX and LINUX32 (`uname -m` says i686) and no flags; the flags here are for
 * showing what a process has.
 *
 * @see personality(2), runtime-spec config-linux.md#personality
 */
import { StrataError } from '../errors/strata-error.ts';

const DOMAINS: Readonly<Record<string, number>> = { LINUX: 0, LINUX32: 8 };
const DOMAIN_MASK = 0xff;

const FLAGS: Readonly<Record<string, number>> = {
  UNAME26: 0x0020000,
  ADDR_NO_RANDOMIZE: 0x0040000,
  FDPIC_FUNCPTRS: 0x0080000,
  MMAP_PAGE_ZERO: 0x0100000,
  ADDR_COMPAT_LAYOUT: 0x0200000,
  READ_IMPLIES_EXEC: 0x0400000,
  ADDR_LIMIT_32BIT: 0x0800000,
  SHORT_INODE: 0x1000000,
  WHOLE_SECONDS: 0x2000000,
  STICKY_TIMEOUTS: 0x4000000,
  ADDR_LIMIT_3GB: 0x8000000,
};

export interface Personality {
  /** LINUX or LINUX32. */
  domain: string;
  flags?: readonly string[];
}

/** @throws {StrataError} INVALID_CONFIG naming the member with the unknown name */
export function encodePersonality(personality: Personality, field = 'linux.personality'): number {
  const look = (
    table: Readonly<Record<string, number>>,
    key: keyof Personality,
    name: string,
  ): number => {
    if (Object.hasOwn(table, name)) return table[name]!;
    const message = `${field}.${key}: unknown name ${JSON.stringify(name)}`;
    throw new StrataError('INVALID_CONFIG', message, { field: `${field}.${key}` });
  };
  const flags = (personality.flags ?? []).map((name) => look(FLAGS, 'flags', name));
  return flags.reduce((bits, flag) => bits | flag, look(DOMAINS, 'domain', personality.domain));
}

/** What personality(2) or /proc/PID/personality says, in words. */
export function decodePersonality(value: number): Personality {
  const domain = value & DOMAIN_MASK;
  const known = Object.entries(DOMAINS).find(([, number]) => number === domain);
  const flags = Object.keys(FLAGS).filter((name) => (value & FLAGS[name]!) !== 0);
  return { domain: known?.[0] ?? `PER_${domain}`, ...(flags.length > 0 && { flags }) };
}
