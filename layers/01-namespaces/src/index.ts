/**
 * Layer 01: Linux's container primitives.
 *
 * One vocabulary of system calls (`Syscalls`) over three executors: this thread, a stub in another
 * process, or a recording.
 */

export * from './capabilities/capabilities.ts';
export * from './capabilities/capability-sets.ts';
export * from './capabilities/file-capabilities.ts';
export { Cgroup, type CgroupPaths } from './cgroups/cgroup.ts';
export { pathNearby } from './cgroups/cgroup-path.ts';
export { type LimitPlan, type PlacedWrite, planLimits } from './cgroups/controllers.ts';
export type { CgroupEvent, CgroupEvents, CgroupWatchOptions } from './cgroups/events/events.ts';
export { OomWatch } from './cgroups/events/oom-watch.ts';
export type { StallOptions } from './cgroups/events/pressure-trigger.ts';
export { isFrozenCgroup } from './cgroups/freezer.ts';
export {
  type CgroupLayout,
  cgroupLayout,
  detectCgroups,
  type Hierarchy,
  homeOf,
  UNIFIED_KEY,
} from './cgroups/layout.ts';
export { readOomKills } from './cgroups/oom-kills.ts';
export { Patience } from './cgroups/patience.ts';
export { RehearsedCgroup, type TellCall } from './cgroups/rehearsed-cgroup.ts';
export type {
  CgroupResources,
  DeviceRule as CgroupDeviceRule,
  ThrottleDevice,
  WeightDevice,
} from './cgroups/resources.ts';
export type { DeviceIo, IoStats } from './cgroups/stats/io.ts';
export type { MemoryStats } from './cgroups/stats/memory.ts';
export { type Pressure, type PressureLine, parsePressure } from './cgroups/stats/pressure.ts';
export type { CgroupStats } from './cgroups/stats/stats.ts';
export { SystemdManager, type SystemdOptions } from './cgroups/systemd/manager.ts';
export { type ScopeOptions, SystemdScope } from './cgroups/systemd/scope.ts';
export {
  defaultScopePlace,
  parseScopePlace,
  type ScopePlace,
} from './cgroups/systemd/unit-name.ts';
export type { UnitProperty } from './cgroups/systemd/unit-properties.ts';
export * from './clocks/clocks.ts';
export { type Program, runCommandLine } from './command-line/command-line.ts';
export { exitAtOnce } from './command-line/exit-at-once.ts';
export {
  Call,
  type Flag,
  type LazyVerb,
  parseBoolean,
  parseFlags,
  Values,
  type Verb,
  type VerbBody,
} from './command-line/flags.ts';
export type { Log } from './command-line/log.ts';
export { print, printError } from './command-line/print.ts';
export { parseMemory } from './command-line/quantities.ts';
export { table } from './command-line/table.ts';
export * from './credentials/personality.ts';
export * from './credentials/securebits.ts';
export * from './errors/errno.ts';
export { type Failure, failureOf } from './errors/failure.ts';
export * from './errors/strata-error.ts';
export * from './errors/syscall-error.ts';
export * from './events/file-watcher.ts';
export * from './events/readiness.ts';
export { UnixListener } from './events/unix-listener.ts';
export * from './keyrings/keyring.ts';
export { landlockAbi, type PathAccess, Ruleset, type RulesetOptions } from './landlock/ruleset.ts';
export * from './limits/resource-limits.ts';
export { detachedProc, openVerified, type ProcOptions } from './mounts/detached-proc.ts';
export * from './mounts/id-mapped-tree.ts';
export * from './mounts/mount-list.ts';
export * from './mounts/mount-options.ts';
export * from './mounts/mountinfo.ts';
export {
  FSCONFIG_LIMIT_BYTES,
  type NewFileSystem,
  newFileSystem,
  type Parameter,
} from './mounts/new-file-system.ts';
export * from './mounts/overlay.ts';
export * from './mounts/pivot-root.ts';
export * from './mounts/propagation.ts';
export * from './mounts/root-directory.ts';
export * from './mounts/tmpfs.ts';
export { createNamespaces, type NewNamespaces } from './namespaces/create.ts';
export { type EnterOptions, enterNamespaces } from './namespaces/enter.ts';
export * from './namespaces/id-map.ts';
export { Inhabitant, type ProgramToRun } from './namespaces/inhabitant.ts';
export { isInInitialUserNamespace } from './namespaces/initial-user-namespace.ts';
export * from './namespaces/kinds.ts';
export * from './namespaces/list.ts';
export * from './namespaces/namespace.ts';
export * from './namespaces/pin.ts';
export * from './namespaces/time-offsets.ts';
export * from './netlink/addresses.ts';
export * from './netlink/bridge-ports.ts';
export * from './netlink/duplicate-detection.ts';
export * from './netlink/forwarding-entries.ts';
export * from './netlink/ip-address.ts';
export * from './netlink/link-kinds.ts';
export * from './netlink/link-names.ts';
export * from './netlink/link-statistics.ts';
export * from './netlink/links.ts';
export * from './netlink/mac-address.ts';
export {
  encodeMessages,
  type NetlinkMessage,
  type NetlinkRequest,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseMessages,
} from './netlink/message.ts';
export * from './netlink/namespace-ids.ts';
export * from './netlink/neighbours.ts';
export { NetlinkError } from './netlink/netlink-error.ts';
export { NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket } from './netlink/netlink-socket.ts';
export * from './netlink/network-namespace.ts';
export * from './netlink/next-hops.ts';
export * from './netlink/nft-maps.ts';
export { NFT_FAMILIES, type NftExpression, type NftFamily } from './netlink/nft-message.ts';
export * from './netlink/nft-rules.ts';
export * from './netlink/nftables.ts';
export * from './netlink/port-forwarding.ts';
export * from './netlink/route-events.ts';
export * from './netlink/route-netlink.ts';
export * from './netlink/routes.ts';
export * from './netlink/routing-rules.ts';
export { writeProcessFile } from './processes/process-files.ts';
export { ProcessHandle } from './processes/process-handle.ts';
export * from './processes/process-status.ts';
export * from './scheduling/io-priority.ts';
export * from './scheduling/memory-policy.ts';
export * from './scheduling/number-list.ts';
export * from './scheduling/scheduler.ts';
export { asksAgent } from './seccomp/actions.ts';
export * from './seccomp/agent-socket.ts';
export { compileSeccomp, type SeccompFilter } from './seccomp/compile.ts';
export { type DefaultSeccompProfile, defaultSeccompProfile } from './seccomp/default-profile.ts';
export { disassembleSeccomp } from './seccomp/disassemble.ts';
export {
  allowsCall,
  describeCondition,
  type Explanation,
  explainCall,
  type Outcome,
  type WordCondition,
} from './seccomp/explain-call.ts';
export { describeAnswer } from './seccomp/instruction-words.ts';
export { interpretSeccomp, type SeccompData, type Verdict } from './seccomp/interpret.ts';
export * from './seccomp/kernel-support.ts';
export * from './seccomp/listener.ts';
export { parseSeccompProfile } from './seccomp/parse-profile.ts';
export type * from './seccomp/profile.ts';
export { type SeccompVocabulary, seccompVocabulary } from './seccomp/vocabulary.ts';
export * from './security-modules/labels.ts';
export * from './security-modules/security-modules.ts';
export { type ArmedStub, startArmedStub } from './stub/armed-stub.ts';
export { formatListing, type ListedInstruction, type Listing } from './stub/listing.ts';
export type { Operation } from './stub/mailbox.ts';
export { HEADER, MAILBOX_FD, STATE_REQUEST } from './stub/mailbox-layout.ts';
export { pauseElf, stubElf, stubListing } from './stub/program-text.ts';
export { type SpawnOptions, Stub } from './stub/stub.ts';
export * from './syscalls/constants.ts';
export { DescriptorTable } from './syscalls/descriptor-table.ts';
export * from './syscalls/executor.ts';
export type { FileStatus, OpenHow } from './syscalls/file-calls.ts';
export { type PollEvents, type Watch, watchDescriptor } from './syscalls/libc.ts';
export { localExecutor } from './syscalls/local.ts';
export {
  type Arg,
  type Descriptor,
  LaterResult,
  Out,
  type Pointee,
  Struct,
  stringVector,
} from './syscalls/memory.ts';
export type { MountAttributes } from './syscalls/mount-calls.ts';
export * from './syscalls/mount-listing-calls.ts';
export * from './syscalls/numbers.ts';
export * from './syscalls/process-calls.ts';
export { RecordingExecutor, type Respond } from './syscalls/recording.ts';
export type { SchedulerAttributes } from './syscalls/scheduling-calls.ts';
export type { RulesetAttributes } from './syscalls/security-calls.ts';
export * from './syscalls/signals.ts';
export { type StructLayout, structLayout } from './syscalls/struct-layout.ts';
export { localSyscalls, Syscalls } from './syscalls/syscalls.ts';
export { formatArg, formatArgs, formatCall } from './syscalls/transcript.ts';
export * from './terminals/console-socket.ts';
export * from './terminals/pty.ts';
export * from './terminals/termios.ts';
export * from './terminals/window-size.ts';
export { OtlpFileExporter, toOtlpLine, traceToFile } from './trace/otlp-file.ts';
export { type ReadSpan, readTrace } from './trace/read-trace.ts';
export {
  type Attributes,
  currentTraceparent,
  isTracing,
  type SpanExporter,
  type SpanRecord,
  setSpanExporter,
  span,
  syscallSpans,
} from './trace/span.ts';
export { drawWaterfall, isSyscall, type WaterfallOptions } from './trace/waterfall.ts';
export { homeDirectoryOf, userName } from './users/passwd.ts';
export * from './users/subordinate-ids.ts';
