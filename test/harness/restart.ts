/** Another process in a router's place: what it saves is given to one with another seed and another clock. */

import { inherit } from "./conversation.js";
import { type Document, type Restored, Router, type RouterOptions } from "./router.js";

export interface RestartOptions extends RouterOptions {
  /** Milliseconds between the two. */
  readonly elapsed?: number;
  /** Frames may have been forwarded since it was saved. */
  readonly old?: boolean;
  /** Places of a table that a call looks at. */
  readonly slice?: number;
}

export function restart(
  before: Router,
  document: Document,
  { elapsed = 0, old = false, slice = 4096, ...options }: RestartOptions = {},
): { router: Router; fates: Restored } {
  const router = new Router(document, { seed: 4711, now: 77, ...options });
  const fates = router.restore(before.save(slice), { elapsed, old });
  inherit(router, before);
  return { router, fates };
}
