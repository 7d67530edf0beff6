/**
 * The Linux kernel as it is used where one pass cannot be had: each tenant has a namespace that translates to an
 * address of its own, and an edge behind all of them translates once more.
 */

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
  UPLINK,
} from "./plan.js";

/** Of the tenant behind its own translation (RFC 6598), and of the edge on that link. */
const UNIQUE = "100.64.0.2";
const EDGE = "100.64.0.1";

function translate(interfaceName: string, address: string): string {
  return `
table ip translation {
  chain source {
    type nat hook postrouting priority srcnat;
    oifname "${interfaceName}" snat to ${address}
  }
}`;
}

async function start(ends: Ends, placement: Placement): Promise<Running> {
  const { lab } = ends;
  const [first, edge] = await Promise.all([lab.namespace("first"), lab.namespace("edge")]);
  await need(edge, "nft", "nftables");
  await wireTenant(ends, first);
  await lab.veth(first, "uplink", edge, "downlink");
  await wireServer(ends, edge);
  await Promise.all([makeRouter(first), makeRouter(edge)]);
  await first.ip(
    `addr add ${GATEWAY}/24 dev lan`,
    `addr add ${UNIQUE}/24 dev uplink`,
    `neigh add ${TENANT} lladdr ${GENERATOR_MAC} dev lan nud permanent`,
    `route add ${HOSTS_PREFIX} via ${TENANT}`,
    `route add default via ${EDGE}`,
  );
  await edge.ip(
    `addr add ${EDGE}/24 dev downlink`,
    `addr add ${UPLINK}/24 dev wan`,
    `neigh add ${PROVIDER} lladdr ${SINK_MAC} dev wan nud permanent`,
    `route add default via ${PROVIDER}`,
  );
  await first.must("nft", ["-f", "-"], { input: translate("uplink", UNIQUE) });
  await edge.must("nft", ["-f", "-"], { input: translate("wan", EXTERNAL) });
  if (ends.purpose === "stacks") {
    await mergeReceived(first, "lan", "uplink");
    await mergeReceived(edge, "downlink", "wan");
  }
  return {
    entry: first,
    needsGate: true,
    placeWork: () => place(edge, "downlink", placement),
    stop: async () => {},
  };
}

/** @param placement  of the edge's receive work: the tenant's part stays with the tenant */
export function doubleNat(placement: "same" | "rps"): Candidate {
  return {
    name: placement === "same" ? "linux double nat" : `linux double nat, ${placement}`,
    about: `Linux, nft: snat in the tenant's namespace and at the edge; of the edge ${PLACEMENTS[placement]}`,
    start: (ends) => start(ends, placement),
  };
}
