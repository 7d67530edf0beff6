/**
 * The Linux kernel with a conntrack zone for the tenant's direction, and nft's source translation: one pass, as
 * crosszone does. It keeps the port, which is what costs it least. A router for several tenants would also need a
 * mark on each conn to route its answers, which is left out in its favour.
 */

import type { Namespace } from "../../../host/demo/lab.js";
import {
  type Candidate,
  type Ends,
  need,
  type Running,
  wireServer,
  wireTenant,
} from "./candidate.js";
import { makeRouter, mergeReceived, PLACEMENTS, type Placement, place } from "./linux.js";
import {
  EXTERNAL,
  GATEWAY,
  GENERATOR_MAC,
  HOSTS_PREFIX,
  PROVIDER,
  SINK_MAC,
  TENANT,
  TENANT_ZONE,
  UPLINK,
} from "./plan.js";

const RULES = `
table ip zones {
  chain raw {
    type filter hook prerouting priority raw;
    iifname "lan" ct original zone set ${TENANT_ZONE}
  }
  chain source {
    type nat hook postrouting priority srcnat;
    oifname "wan" snat to ${EXTERNAL}
  }
}`;

async function configure(router: Namespace): Promise<void> {
  await makeRouter(router);
  await router.ip(
    `addr add ${GATEWAY}/24 dev lan`,
    `addr add ${UPLINK}/24 dev wan`,
    `neigh add ${TENANT} lladdr ${GENERATOR_MAC} dev lan nud permanent`,
    `neigh add ${PROVIDER} lladdr ${SINK_MAC} dev wan nud permanent`,
    `route add ${HOSTS_PREFIX} via ${TENANT}`,
    `route add default via ${PROVIDER}`,
  );
  await router.must("nft", ["-f", "-"], { input: RULES });
}

async function start(ends: Ends, placement: Placement): Promise<Running> {
  const router = await ends.lab.namespace("router");
  await need(router, "nft", "nftables");
  await wireTenant(ends, router);
  await wireServer(ends, router);
  await configure(router);
  if (ends.purpose === "stacks") await mergeReceived(router, "lan", "wan");
  return {
    entry: router,
    needsGate: true,
    placeWork: () => place(router, "lan", placement),
    stop: async () => {},
  };
}

export function linuxZones(placement: Placement): Candidate {
  return {
    name: placement === "same" ? "linux zones" : `linux zones, ${placement}`,
    about: `Linux, nft: ct original zone set, snat; ${PLACEMENTS[placement]}`,
    start: (ends) => start(ends, placement),
  };
}
