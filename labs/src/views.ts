/**
 * The kernel's own view of what a lab has made: looked at before and after each step.
 *
 *   namespaces
 *   ✗ hand  uts:[4026532300]
 *     lab   uts:[4026532300]
 *   → hand  uts:[4026532412]  its own
 *
 * An arrow marks what the step has changed, a cross what was there before it.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import {
  errnoName,
  errnoOf,
  type MountInfo,
  type NamespaceKind,
  parseMountinfo,
  table,
} from '@strata/namespaces';
import type { Stage } from './stage.ts';

export interface View {
  title: string;
  lines(stage: Stage): string[];
}

/** Who is in which namespaces: this lab's host, and each performer. */
export const namespacesView = (...kinds: readonly NamespaceKind[]): View => ({
  title: 'namespaces (/proc/PID/ns)',
  lines(stage) {
    const ours = kinds.map((kind) => readlinkSync(`/proc/self/ns/${kind}`));
    const rows = stage.performers.map(({ title, pid }) => [
      title,
      `pid ${pid}`,
      ...kinds.map((kind, index) =>
        lookAt(() => {
          const theirs = readlinkSync(`/proc/${pid}/ns/${kind}`);
          return theirs === ours[index] ? theirs : `${theirs} its own`;
        }),
      ),
    ]);
    return rowsOf([['lab', `pid ${process.pid}`, ...ours], ...rows]);
  },
});

/** A file of each performer's directory in /proc, such as uid_map. */
export const processFileView = (file: string): View => ({
  title: `/proc/PID/${file}`,
  lines: (stage) =>
    stage.performers.flatMap(({ title, pid }) =>
      lookAt(() => readFileSync(`/proc/${pid}/${file}`, 'utf8'))
        .replaceAll('\0', ' ')
        .trimEnd()
        .split('\n')
        .map((line) => `${title}  ${line}`),
    ),
});

/** Where symbolic links of each performer's directory in /proc lead, such as root and cwd. */
export const processLinkView = (...links: readonly string[]): View => ({
  title: `/proc/PID/${links.join(', ')}`,
  lines: (stage) =>
    rowsOf(
      stage.performers.map(({ title, pid }) => [
        title,
        ...links.map((link) => `${link} ${lookAt(() => readlinkSync(`/proc/${pid}/${link}`))}`),
      ]),
    ),
});

/** Some fields of /proc/PID/status. */
export const statusView = (...fields: readonly string[]): View => ({
  title: '/proc/PID/status',
  lines: (stage) =>
    rowsOf(
      stage.performers.map(({ title, pid }) => [
        title,
        ...fields.map(
          (field) => `${field} ${(statusField(pid, field) ?? '(gone)').replaceAll('\t', ' ')}`,
        ),
      ]),
    ),
});

/** Mounts at and below a directory of the lab's scratch one, as each performer sees them, and their peer groups. */
export const mountsView = (below: string): View => ({
  title: '/proc/PID/mountinfo: mount point, type, source, propagation',
  lines(stage) {
    const top = `${stage.scratch}/${below}`;
    const rows = everybody(stage).flatMap(({ title, pid }) =>
      mountsOf(pid)
        .filter(({ mountPoint }) => mountPoint === top || mountPoint.startsWith(`${top}/`))
        .map(({ mountPoint, type, source, optionalFields }) => [
          title,
          mountPoint,
          type,
          source,
          optionalFields.join(' ') || 'private',
        ]),
    );
    return rows.length === 0 ? [] : rowsOf(rows);
  },
});

/** This lab's host and all performers. */
export const everybody = (stage: Stage): { title: string; pid: number }[] => [
  { title: 'lab', pid: process.pid },
  ...stage.performers,
];

/** The mounts of a process; none where it has gone. */
export function mountsOf(pid: number): MountInfo[] {
  const text = lookAt(() => readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
  return text.startsWith('(') ? [] : parseMountinfo(text);
}

/** Files of the lab's cgroups, looked for in each hierarchy. */
export const cgroupView = (...files: readonly string[]): View => ({
  title: 'cgroups',
  lines: (stage) =>
    stage.cgroups.flatMap(({ paths }) =>
      files.flatMap((file) => {
        const places = Object.values(paths).map((directory) => `${directory}/${file}`);
        const texts = places.map((path) => lookAt(() => readFileSync(path, 'utf8')).trim());
        // One line where all hierarchies of v1 say the same, as they do of who is in the cgroup.
        if (places.length > 1 && texts.every((text) => text === texts[0])) {
          return cgroupLine(inEach(places), texts[0]!);
        }
        return places.flatMap((path, index) => cgroupLine(path, texts[index]!));
      }),
    ),
});

function cgroupLine(path: string, text: string): string[] {
  return text.startsWith('(') ? [] : [`${path}: ${text.replaceAll('\n', ' ') || '(empty)'}`];
}

/** /sys/fs/cgroup/cpu/x, /sys/fs/cgroup/memory/x → /sys/fs/cgroup/{9 hierarchies}/x */
function inEach(paths: readonly string[]): string {
  const parts = paths.map((path) => path.split('/'));
  const common = (at: number): boolean => parts.every((part) => part.at(at) === parts[0]!.at(at));
  let start = 0;
  while (common(start)) start++;
  let end = -1;
  while (common(end)) end--;
  const [first] = parts;
  const middle = `{${paths.length} hierarchies}`;
  return [...first!.slice(0, start), middle, ...first!.slice(end + 1)].join('/');
}

/** A field of /proc/PID/status; undefined where it or the process is not there. */
export function statusField(pid: number, field: string): string | undefined {
  const text = lookAt(() => readFileSync(`/proc/${pid}/status`, 'utf8'));
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(text)?.[1];
}

/** What is gone or not for us is part of the view, not the end of it. */
function lookAt(look: () => string): string {
  try {
    return look();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return `(${errnoName(errno)})`;
  }
}

/** Rows of a view in columns. */
export const rowsOf = (rows: readonly (readonly string[])[]): string[] =>
  table(
    rows.map((row) => [...row]),
    '  ',
  )
    .trimEnd()
    .split('\n');

export interface Sight {
  title: string;
  lines: string[];
}

export const look = (views: readonly View[], stage: Stage): Sight[] =>
  views.map((view) => ({ title: view.title, lines: view.lines(stage) }));

/** Lines in columns: how wide a column is says nothing. */
const same = (line: string): string => line.replace(/\s+/g, ' ').trim();
const all = (sights: readonly Sight[]): string =>
  sights.flatMap(({ lines }) => lines.map(same)).join('\n');

/** What is seen now; what was not so before has an arrow, what has gone a cross. */
export function drawSights(now: readonly Sight[], before?: readonly Sight[]): string[] {
  return now.flatMap(({ title, lines }, index) => {
    const earlier = before?.[index]?.lines;
    const lacks = (others: readonly string[], line: string): boolean =>
      !others.some((other) => same(other) === same(line));
    const gone = (earlier ?? []).filter((line) => lacks(lines, line));
    const isNew = (line: string): boolean => earlier !== undefined && lacks(earlier, line);
    return [
      `   ${title}`,
      ...gone.map((line) => `   ✗ ${line}`),
      ...lines.map((line) => `   ${isNew(line) ? '→' : ' '} ${line}`),
    ];
  });
}

export const isSameSight = (now: readonly Sight[], before: readonly Sight[]): boolean =>
  all(now) === all(before);
