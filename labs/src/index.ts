/** What start.ts, solution.ts and check.ts of a lab import. */
export { sendDatagram } from './datagram.ts';
export type { Lab } from './lab.ts';
export { findProgram, type NeedName } from './needs.ts';
export { forwardingView, inNetworkOf, linkState, linksView } from './network-views.ts';
export type { Report } from './report.ts';
export type { LabCgroup, LabFile, Performer, PerformerOptions, Stage } from './stage.ts';
export { readText, writeText } from './text-files.ts';
export {
  cgroupView,
  mountsOf,
  mountsView,
  namespacesView,
  processFileView,
  processLinkView,
  statusField,
  statusView,
  type View,
} from './views.ts';
