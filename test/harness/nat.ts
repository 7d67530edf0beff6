/** What tests of the translation share: an edge with a pool of one's own, and who gets in where. */

import type { Test } from "tap";
import { echoReply, TcpFlags } from "./frame.js";
import { around, EXTERNAL, edge, Host, SERVER, staticNeighbor, TENANT } from "./host.js";
import { type Document, Router, type Sent } from "./router.js";

export const SECOND = "203.0.113.98";
export const THIRD = "203.0.113.97";

export const BEHAVIOURS = [
  "endpoint-independent",
  "address-dependent",
  "address-and-port-dependent",
] as const;

/** Of the neighbors of `edge`, and two more servers. */
export const NEIGHBORS: readonly Document[] = [
  staticNeighbor("a", 10, TENANT),
  staticNeighbor("b", 11, TENANT),
  staticNeighbor("public", 20, SERVER),
  staticNeighbor("public", 20, SECOND),
  staticNeighbor("public", 20, THIRD),
  staticNeighbor("public", 20, "203.0.113.1"),
];

/** The edge with a pool of one's own and three servers. */
export function pooled(pool: Document = {}, changes: Document = {}): Document {
  return edge({
    neighbors: NEIGHBORS,
    pools: [{ name: "p1", zone: "public", addresses: [EXTERNAL], ...pool }],
    ...changes,
  });
}

/** A router behind `pooled`, its tenants and servers. */
export function nat(pool: Document = {}, changes: Document = {}, options = {}) {
  const router = new Router(pooled(pool, changes), options);
  const second = new Host(router, "wan", SECOND);
  const third = new Host(router, "wan", THIRD);
  return { router, ...around(router), second, third };
}

/** The external port, or identifier, of the only frame that left. */
export function portOf([sent]: readonly Sent[]): number {
  if (sent?.ip === undefined) throw new Error("nothing left");
  return sent.ip.protocol === 1 ? sent.ip.identifier : sent.ip.sourcePort;
}

/** `address:port` that the only frame that left comes from. */
export function endpointOf(sent: readonly Sent[]): string {
  return `${sent[0]?.ip?.source}:${portOf(sent)}`;
}

/** Whether a sender was told that there is nothing for it: ICMP 3/13 (RFC 5508 REQ-8). */
export function isProhibited(sent: readonly Sent[]): boolean {
  return sent.length === 1 && sent[0]?.ip?.icmpType === 3 && sent[0].ip.icmpCode === 13;
}

/** Begins something of a protocol, from a port or identifier. ICMP has no destination port. */
export function begin(protocol: string, host: Host, to: string, from: number, port = 53): Sent[] {
  if (protocol === "tcp") return host.tcp(to, from, port, TcpFlags.Syn);
  return protocol === "udp" ? host.udp(to, from, port) : host.ping(to, from);
}

/**
 * One of the nine combinations of RFC 4787 sections 4.1 and 5: which ports an endpoint has towards three
 * destinations, and who gets in to the first of them.
 */
export function checkBehaviour(t: Test, protocol: string, mapping: string, filtering: string) {
  const { router, a, server, second, third } = nat({ mapping, filtering });
  const isIcmp = protocol === "icmp";
  const first = portOf(begin(protocol, a, SERVER, 4562, 53));
  const other = portOf(begin(protocol, a, SERVER, 4562, 54));
  const elsewhere = portOf(begin(protocol, a, SECOND, 4562, 53));
  const byPort = mapping === "address-and-port-dependent" && !isIcmp;
  const mapsAll = mapping === "endpoint-independent";
  t.equal(first === other, !byPort, `${mapping}, ${filtering}: towards another port`);
  t.equal(first === elsewhere, mapsAll, `${mapping}, ${filtering}: towards another address`);
  const letsIn = (host: Host, from: number) => {
    const sent = isIcmp
      ? host.send(EXTERNAL, echoReply(first))
      : begin(protocol, host, EXTERNAL, from, first);
    const [{ device, ip } = {}] = sent;
    if (device === undefined) return false;
    const port = isIcmp ? ip?.identifier : ip?.destinationPort;
    t.equal(`${device} ${ip?.destination}:${port}`, `lan-a ${TENANT}:4562`);
    return true;
  };
  const opens = filtering === "endpoint-independent" && !isIcmp;
  const opensAddress = (opens || filtering === "address-dependent") && !isIcmp;
  t.equal(letsIn(server, 53), true, "whom it was opened to");
  t.equal(letsIn(server, 99), isIcmp || opensAddress, `another port, ${filtering}`);
  t.equal(letsIn(second, 53), mapsAll, "whom it has sent to by this port alone");
  const sentTo = opens || (mapsAll && (isIcmp || opensAddress));
  t.equal(letsIn(second, 77), sentTo, `another port there, ${filtering}`);
  t.equal(letsIn(third, 53), opens, `a stranger, ${filtering}`);
  // A SYN waits: its receiver may yet open to its sender.
  if (!opens) t.ok(router.ended.Filtered ?? router.ended.TcpUnsolicited, "and it is counted");
}
