/**
 * From a system call number to its decision, in about log2 of the number of stretches: neighbours
 * that are treated alike are one stretch, so the default profile of 370 calls has about 60.
 */
import type { Decision, DecisionGraph } from './decision.ts';
import type { Stretch } from './verdicts.ts';

/** Decides by A, the first stretch beginning with the lowest number that A can be. */
export function searchTree(graph: DecisionGraph, stretches: readonly Stretch[]): Decision {
  const branches = collapseSingles(graph, stretches);
  const between = (from: number, to: number): Decision => {
    if (to - from === 1) return branches[from]!.decision;
    const middle = (from + to) >> 1;
    return graph.test('ge', branches[middle]!.start, {
      yes: between(middle, to),
      no: between(from, middle),
    });
  };
  return between(0, branches.length);
}

/** One number between two stretches that are alike takes one test for equality, not two for order. */
function collapseSingles(graph: DecisionGraph, stretches: readonly Stretch[]): Stretch[] {
  const collapsed: Stretch[] = [];
  for (let index = 0; index < stretches.length; index++) {
    const before = stretches[index]!;
    const single = stretches[index + 1];
    const after = stretches[index + 2];
    if (single && after?.decision === before.decision && after.start === single.start + 1) {
      const branches = { yes: single.decision, no: before.decision };
      const decision = graph.test('eq', single.start, branches);
      collapsed.push({ start: before.start, decision });
      index += 2;
    } else {
      collapsed.push(before);
    }
  }
  return collapsed;
}
