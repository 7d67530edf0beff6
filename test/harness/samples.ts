/** What a router that answers by a script tells `crosszone top`: samples of one zone with 77 conns. */

import type { Scripted } from "./scripted.js";

const NONE = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0, dropped: 0 };

let count = 0;

export function tellSample(router: Scripted): void {
  router.tell("metrics.sample", {
    subscription: 1,
    time: 1_795_714_000_000 + 1000 * count++,
    revision: 4,
    reasons: {},
    devices: {},
    zones: { "tenant-a": { ...NONE, conns: 77, connsCreated: 0 } },
    tables: { conns: { used: 1, capacity: 2 } },
    busyMs: [0],
    skipped: 0,
  });
}

/** Again and again as long as somebody is connected: one that comes while `top` still asks for hosts it does not look at. */
export function tellSamples(router: Scripted): void {
  const timer = setInterval(() => {
    if (router.isAlone) clearInterval(timer);
    else tellSample(router);
  }, 200);
}
