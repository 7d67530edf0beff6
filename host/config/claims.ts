/** Who has which ports or addresses, where two must not have one in common. */

/** Both ends included. */
export interface Claim {
  readonly low: number;
  readonly high: number;
  /** The entry that claims them. */
  readonly path: string;
}

/** Disjoint ranges by key: what they are ranges of. */
export class RangeClaims {
  /** Ascending. */
  private readonly byKey = new Map<string, Claim[]>();

  /** Notes a claim; one that is in its way is returned instead. */
  claim(key: string, claim: Claim): Claim | undefined {
    const claims = this.byKey.get(key) ?? [];
    this.byKey.set(key, claims);
    const at = firstFrom(claims, claim.low);
    const other = claims[at];
    if (other !== undefined && other.low <= claim.high) return other;
    claims.splice(at, 0, claim);
    return undefined;
  }

  /** The lowest claim; undefined where there is none. */
  lowest(key: string): Claim | undefined {
    return this.byKey.get(key)?.[0];
  }
}

/** Index of the first claim that does not end below this number. */
function firstFrom(claims: readonly Claim[], low: number): number {
  let from = 0;
  let to = claims.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((claims[middle]?.high ?? 0) < low) from = middle + 1;
    else to = middle;
  }
  return from;
}
