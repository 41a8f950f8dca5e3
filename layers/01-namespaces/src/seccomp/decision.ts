/**
 * A filter before it is laid out: a graph of decisions without cycles.
 *
 *   test ─ yes ─▶ test ─ yes ─▶ answer      Equal graphs are one object (hash consing), so that
 *     └─ no ──▶ load ──▶ ...                equal parts of a filter come out once.
 */
export type Comparison = 'eq' | 'gt' | 'ge';

export type Decision =
  | { readonly id: number; readonly kind: 'answer'; readonly value: number }
  /** A becomes a word of seccomp_data. */
  | { readonly id: number; readonly kind: 'load'; readonly offset: number; readonly next: Decision }
  | { readonly id: number; readonly kind: 'and'; readonly mask: number; readonly next: Decision }
  | {
      readonly id: number;
      readonly kind: 'test';
      readonly comparison: Comparison;
      readonly value: number;
      readonly yes: Decision;
      readonly no: Decision;
    };

/** Makes decisions; two that are equal are the same object. */
export class DecisionGraph {
  readonly #known = new Map<string | number, Decision>();

  answer(value: number): Decision {
    return this.#unique(value, (id) => ({ id, kind: 'answer', value }));
  }

  load(offset: number, next: Decision): Decision {
    // What does not look at A needs no A.
    if (next.kind === 'answer' || next.kind === 'load') return next;
    return this.#unique(`l${offset},${next.id}`, (id) => ({ id, kind: 'load', offset, next }));
  }

  and(mask: number, next: Decision): Decision {
    if (next.kind === 'answer' || next.kind === 'load') return next;
    return this.#unique(`a${mask},${next.id}`, (id) => ({ id, kind: 'and', mask, next }));
  }

  test(comparison: Comparison, value: number, branches: { yes: Decision; no: Decision }): Decision {
    const { yes, no } = branches;
    if (yes === no) return yes;
    if (comparison === 'ge' && value === 0) return yes;
    if (comparison === 'gt' && value === 0xffff_ffff) return no;
    const key = `${comparison}${value},${yes.id},${no.id}`;
    return this.#unique(key, (id) => ({ id, kind: 'test', comparison, value, yes, no }));
  }

  #unique(key: string | number, make: (id: number) => Decision): Decision {
    let decision = this.#known.get(key);
    if (decision === undefined) {
      decision = make(this.#known.size);
      this.#known.set(key, decision);
    }
    return decision;
  }
}
