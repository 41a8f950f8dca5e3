/** What a lab's check.ts exports: what the lab needs, what to show of the kernel, what to look for. */
import type { NeedName } from './needs.ts';
import type { Report } from './report.ts';
import type { Stage } from './stage.ts';
import type { View } from './views.ts';

export interface Lab<Scene> {
  /** Beyond root on Linux. */
  needs: readonly NeedName[];
  /** Shown before and after each step with --step. */
  views: readonly View[];
  /** What a refusal of the kernel usually means here: `waitid ECHILD`, or a code alone → the reason. */
  refusals?: Readonly<Record<string, string>>;
  /** Looks at what is there now in the kernel, not at how it came about. */
  check(report: Report, scene: Scene, stage: Stage): void | Promise<void>;
}
