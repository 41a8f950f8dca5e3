/** What a learner has passed, and how many hints were read: labs/.progress.json, for this clone only. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENOENT, errnoOf } from '@strata/namespaces';
import { LABS } from './catalog.ts';

export interface LabProgress {
  /** RFC 3339, of the first time. */
  passed?: string;
  hints?: number;
}
export type Progress = Record<string, LabProgress>;

const FILE = process.env.STRATA_LABS_PROGRESS ?? join(LABS, '.progress.json');

/** Empty where there is none yet, and where it cannot be understood: it is no more than a convenience. */
export function readProgress(): Progress {
  let text: string;
  try {
    text = readFileSync(FILE, 'utf8');
  } catch (error) {
    if (errnoOf(error) === ENOENT) return {};
    throw error;
  }
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Progress) : {};
  } catch {
    return {};
  }
}

/** Changes what is kept of one lab; undefined forgets it. */
export function keepProgress(number: string, change: LabProgress | undefined): void {
  const progress = readProgress();
  if (change) progress[number] = { ...progress[number], ...change };
  else delete progress[number];
  writeFileSync(`${FILE}.new`, `${JSON.stringify(progress, null, 2)}\n`);
  renameSync(`${FILE}.new`, FILE);
}
