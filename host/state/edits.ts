/**
 * The shortest way from one sequence to another: E. Myers, "An O(ND) Difference Algorithm and Its Variations",
 * Algorithmica 1 (1986), the greedy one. Bounded: two long sequences with nothing in common would cost the
 * product of their lengths; beyond a budget the middle that differs is all removed and all added.
 */

/** Stretches of both sequences, in order and without gaps. */
export interface Edit {
  readonly kind: "same" | "removed" | "added";
  /** First place in the old sequence, and in the new one. */
  readonly before: number;
  readonly after: number;
  readonly count: number;
}

/** Changes that are told one by one; their trace takes up to 16 MB. */
const CHANGES_MAX = 2000;

/** Comparisons that may still be made: by default some tens of milliseconds. */
export class Budget {
  constructor(private left = 4_000_000) {}

  /** False when there is no more. */
  spend(): boolean {
    this.left -= 1;
    return this.left >= 0;
  }
}

/** Edits from one sequence of strings to another. */
export function editsBetween(
  before: readonly string[],
  after: readonly string[],
  budget = new Budget(),
): Edit[] {
  const limit = Math.min(before.length, after.length);
  let head = 0;
  while (head < limit && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < limit - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const removed = before.length - tail - head;
  const added = after.length - tail - head;
  const edits = new EditList();
  edits.add("same", head);
  const old = numbered(before, after, head, removed, added);
  const steps = shortest(old.before, old.after, budget);
  if (steps === undefined) {
    edits.add("removed", removed);
    edits.add("added", added);
  } else {
    for (const kind of steps) edits.add(kind, 1);
  }
  edits.add("same", tail);
  return edits.list;
}

class EditList {
  readonly list: Edit[] = [];
  private before = 0;
  private after = 0;

  add(kind: Edit["kind"], count: number): void {
    if (count === 0) return;
    const last = this.list.at(-1);
    if (last?.kind === kind)
      this.list[this.list.length - 1] = { ...last, count: last.count + count };
    else this.list.push({ kind, before: this.before, after: this.after, count });
    if (kind !== "added") this.before += count;
    if (kind !== "removed") this.after += count;
  }
}

/** The middles as numbers, equal for equal strings: compared faster than those. */
function numbered(
  before: readonly string[],
  after: readonly string[],
  head: number,
  removed: number,
  added: number,
) {
  const numbers = new Map<string, number>();
  const number = (text: string): number => {
    const known = numbers.get(text) ?? numbers.size;
    numbers.set(text, known);
    return known;
  };
  return {
    before: Int32Array.from({ length: removed }, (_, i) => number(before[head + i] ?? "")),
    after: Int32Array.from({ length: added }, (_, i) => number(after[head + i] ?? "")),
  };
}

/** One step an element; undefined when the budget is used up. */
function shortest(
  before: Int32Array,
  after: Int32Array,
  budget: Budget,
): Edit["kind"][] | undefined {
  const most = Math.min(before.length + after.length, CHANGES_MAX);
  /** How far along `before` the best path on each diagonal is, the middle one at `most + 1`. */
  const reach = new Int32Array(2 * most + 3);
  const trace: Int32Array[] = [];
  for (let changes = 0; changes <= most; changes++) {
    trace.push(reach.slice(most + 1 - changes, most + 2 + changes));
    for (let diagonal = -changes; diagonal <= changes; diagonal += 2) {
      const at = most + 1 + diagonal;
      const above = reach[at + 1] ?? 0;
      const left = reach[at - 1] ?? 0;
      const goesDown = diagonal === -changes || (diagonal !== changes && left < above);
      let x = goesDown ? above : left + 1;
      let y = x - diagonal;
      while (x < before.length && y < after.length && before[x] === after[y]) {
        x++;
        y++;
        if (!budget.spend()) return undefined;
      }
      reach[at] = x;
      if (x >= before.length && y >= after.length)
        return walkBack(trace, before.length, after.length);
      if (!budget.spend()) return undefined;
    }
  }
  return undefined;
}

/** `trace[n]` has what was reached before the n-th change, on the diagonals -n to n. */
function walkBack(trace: readonly Int32Array[], width: number, height: number): Edit["kind"][] {
  const kinds: Edit["kind"][] = [];
  let x = width;
  let y = height;
  for (let changes = trace.length - 1; changes > 0; changes--) {
    const diagonal = x - y;
    const reached = (on: number) => trace[changes]?.[on + changes] ?? 0;
    const goesDown =
      diagonal === -changes ||
      (diagonal !== changes && reached(diagonal - 1) < reached(diagonal + 1));
    const fromX = reached(goesDown ? diagonal + 1 : diagonal - 1);
    const fromY = fromX - (goesDown ? diagonal + 1 : diagonal - 1);
    while (x > fromX && y > fromY) {
      kinds.push("same");
      x--;
      y--;
    }
    kinds.push(goesDown ? "added" : "removed");
    x = fromX;
    y = fromY;
  }
  for (; x > 0; x--) kinds.push("same");
  return kinds.reverse();
}
