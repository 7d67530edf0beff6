/** What many may ask for at once and costs the workers something. */

import type { Now } from "../state/deadline.js";

/** Something that costs, made once for all who ask within a while. */
export class Shared<T> {
  private made: { readonly at: number; readonly value: Promise<T> } | undefined;

  constructor(
    private readonly ms: number,
    private readonly make: () => Promise<T>,
  ) {}

  get({ monotonicMs }: Now): Promise<T> {
    const { made } = this;
    if (made !== undefined && monotonicMs - made.at < this.ms) return made.value;
    const value = this.make();
    this.made = { at: monotonicMs, value };
    // What failed is tried again by the next who asks.
    value.catch(() => {
      if (this.made?.value === value) this.made = undefined;
    });
    return value;
  }
}
