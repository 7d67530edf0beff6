/**
 * What an examination says that a switch would end, against what the switch then ends: random configurations and conns, of
 * one worker and of two. And a router that was examined behaves as one that never was.
 */

import fc from "fast-check";
import t from "tap";
import type { ConnView } from "../../host/telemetry/conn.js";
import { echoRequest, TcpFlags } from "../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, TENANT } from "../harness/host.js";
import { askPcp, mapRequest } from "../harness/pcp.js";
import { holds } from "../harness/property.js";
import { type Document, Router } from "../harness/router.js";
import { examination, examined } from "../harness/tables.js";

const PORTS = [53, 80, 443, 9999];
const STRANGERS = ["198.51.100.9", "198.51.100.77"];

/** What of a configuration may be otherwise in the next one. */
interface Site {
  /** Name of the zone with number 11; without one it is not there. */
  readonly second: "b" | "c" | undefined;
  readonly from: "a" | "both";
  readonly addresses: readonly string[];
  readonly policy: Document;
  readonly filtering: string;
  /** Addresses that the router has outside. */
  readonly own: readonly string[];
  readonly pcp: boolean;
  readonly forward: string | undefined;
  readonly flows: readonly string[];
}

const FLOWS = [
  "priority=90,zone=a,udp,tp_dst=53 actions=drop",
  "priority=90,zone=a,udp,tp_dst=80 actions=reject",
  "priority=90,zone=a,udp,tp_dst=9999 actions=route(zone=public)",
  "priority=90,zone=a,tcp,tp_dst=443 actions=nat(dst=203.0.113.99:444,dst_zone=public)",
  "priority=95,zone=a,udp,tp_dst=9999 actions=nat(src=203.0.113.9,dst_zone=public)",
  "priority=90,zone=public,udp,nw_dst=203.0.113.7,tp_dst=1024-30000 actions=nat(dst=192.168.0.10,dst_zone=a)",
  "priority=95,zone=a,tcp actions=nat(src_zone=a,dst_zone=public,masq=203.0.113.9)",
];

const block = { allocation: "block", block: { ports: 512, perHost: 8 } };

const sites: fc.Arbitrary<Site> = fc.record({
  second: fc.constantFrom("b" as const, "b" as const, "c" as const, undefined),
  from: fc.constantFrom("a" as const, "both" as const, "both" as const),
  addresses: fc.constantFrom(
    ["203.0.113.7"],
    ["203.0.113.7", "203.0.113.8"],
    ["203.0.113.8"],
    ["203.0.113.7-203.0.113.10"],
  ),
  policy: fc.constantFrom<Document>({}, {}, { allocation: "preserve" }, block),
  filtering: fc.constantFrom(
    "endpoint-independent",
    "endpoint-independent",
    "address-dependent",
    "address-and-port-dependent",
  ),
  own: fc.constantFrom([], [], ["203.0.113.98/24"], ["198.51.100.9/24"]),
  pcp: fc.boolean(),
  forward: fc.constantFrom(undefined, "192.168.0.10", "192.168.0.11"),
  flows: fc.subarray(FLOWS, { maxLength: 3 }),
});

function documentOf(site: Site, workers: number): Document {
  const { second, pcp, from } = site;
  const base = edge() as { devices: Document[]; neighbors: Document[] };
  const isThere = (each: Document) => each.zone !== "b" || second !== undefined;
  const rename = (each: Document) => (each.zone === "b" ? { ...each, zone: second } : each);
  const zones = [
    { id: 10, name: "a", pcp },
    { id: 20, name: "public" },
  ] as Document[];
  if (second !== undefined) zones.push({ id: 11, name: second, pcp });
  const both = second === undefined ? ["a"] : ["a", second];
  const { addresses, policy, filtering, own, forward, flows } = site;
  const to = { zone: "a", address: forward, port: 8080 };
  const address = addresses[0]?.slice(0, EXTERNAL.length);
  const usesNinth = flows.some((flow) => flow.includes("203.0.113.9,dst") || flow.includes("masq"));
  const isNinth = addresses.some((each) => each.endsWith("10"));
  return edge({
    workers,
    zones,
    devices: base.devices
      .filter(isThere)
      .map(rename)
      .map((each) =>
        each.name === "wan" ? { ...each, addresses: ["203.0.113.2/24", ...own] } : each,
      ),
    neighbors: base.neighbors.filter(isThere).map(rename),
    pools: [{ name: "p1", zone: "public", addresses, filtering, ...policy }],
    nat: [{ from: from === "a" ? ["a"] : both, to: "public", pool: "p1" }],
    forwards:
      forward === undefined ? [] : [{ protocol: "tcp", zone: "public", address, port: 8080, to }],
    // An address of a block pool is in no other pool.
    flows: usesNinth && isNinth ? [] : flows,
    capacity: { conns: 1024, neighbors: 256, poolAddresses: 16, imageBytes: 65536 },
  });
}

/** A generator that gives the same numbers every time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Lets hosts talk: out, in, round, and by mappings that were asked for. What left. */
function talk(router: Router, seed: number, turns: number): string[] {
  const next = numbers(seed);
  const left: string[] = [];
  const has = (name: string) => router.config.devices.some((each) => each.name === name);
  const server = new Host(router, "wan", SERVER);
  const hosts = ["lan-a", "lan-b"].filter(has).map((name) => new Host(router, name, TENANT));
  const seen: { address: string; port: number }[] = [{ address: EXTERNAL, port: 8080 }];
  for (let n = 0; n < turns; n++) {
    if (next(4) === 0) router.wait(next(100));
    const host = hosts[next(hosts.length)] as Host;
    const source = `192.168.0.${10 + next(3)}`;
    const port = 1000 + next(6);
    const to = PORTS[next(PORTS.length)] as number;
    const target = seen[next(seen.length)] as { address: string; port: number };
    const stranger = STRANGERS[next(2)] as string;
    const extras = { source };
    const kind = next(8);
    if (kind === 0) host.send(SERVER, echoRequest(port, 1, "x"), extras);
    else if (kind === 1) host.tcp(SERVER, port, to, TcpFlags.Syn, {}, extras);
    else if (kind === 2) {
      server.tcp(target.address, port, target.port, TcpFlags.Syn, {}, { source: stranger });
    } else if (kind === 3) new Host(router, "wan", stranger).udp(target.address, port, target.port);
    else if (kind === 4) host.udp(target.address, port, target.port);
    else if (kind === 5) {
      const asked = askPcp(host, mapRequest(TENANT, { port: 4000 + next(3) }), "192.168.0.1");
      if (asked?.result === 0) seen.push({ address: asked.external, port: asked.port });
    } else {
      const destination = next(2) === 0 ? SERVER : stranger;
      const [sent] = new Host(router, host.device, source).udp(destination, port, to);
      if (sent?.device === "wan" && sent.ip !== undefined) {
        seen.push({ address: sent.ip.source, port: sent.ip.sourcePort });
        if (next(2) === 0) server.answer(sent);
      }
      left.push(sent?.bytes.toString("hex") ?? "nothing");
    }
    left.push(Object.entries(router.ended).join());
  }
  return left;
}

/** All that can be seen of a router from outside. */
function pictureOf(router: Router): string {
  const { conns, mappings, hosts, neighbors } = {
    conns: router.connsByWorker(),
    mappings: router.mappingsByWorker(),
    hosts: router.hosts(),
    neighbors: router.neighbors(),
  };
  const picture = [conns, mappings, hosts, neighbors, router.counters(), router.events()];
  return JSON.stringify([...picture, router.datapaths.map((each) => each.tables())]);
}

function nameOf({ protocol, original, reply, ageMs }: ConnView): string {
  return JSON.stringify([protocol, original, reply, ageMs]);
}

/** Those of a list that are not, as often, in another. */
function missing(before: readonly string[], after: readonly string[]): string[] {
  const left = [...after];
  return before.filter((each) => {
    const at = left.indexOf(each);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

const reasons = new Set<string>();

for (const workers of [1, 2]) {
  holds(
    t,
    `what was said to end has ended, and nothing else (${workers} workers)`,
    fc.asyncProperty(
      sites,
      sites,
      sites,
      fc.integer({ min: 1, max: 2 ** 31 }),
      fc.constantFrom(3, 64, 4096),
      async (now, other, then, seed, slice) => {
        const router = new Router(documentOf(now, workers));
        talk(router, seed, 120);
        await examination(router, documentOf(other, workers));
        const next = documentOf(then, workers);
        const said = await examination(router, next, { slice });
        const before = router.conns();
        router.reconfigure(next);
        router.wait(0);
        const after = router.conns().map(nameOf);
        const ended = missing(before.map(nameOf), after);
        if (said.conns !== before.length) throw new Error(`${said.conns} of ${before.length}`);
        if (said.ending !== ended.length) {
          throw new Error(`${said.ending} said, ${ended.length} ended: ${ended.join("\n")}`);
        }
        for (const conn of said.first) {
          if (!ended.includes(nameOf(conn))) throw new Error(`goes on: ${nameOf(conn)}`);
        }
        if (said.first.length !== Math.min(20, ended.length)) throw new Error("rows are missing");
        const zones = new Map<number, number>();
        for (const text of ended) {
          const [, { zone }] = JSON.parse(text) as [string, { zone: number }];
          zones.set(zone, (zones.get(zone) ?? 0) + 1);
        }
        const told = said.zones.map(({ zone, conns }) => `${zone} ${conns}`).join();
        const counted = [...zones].sort(([a], [b]) => a - b).map((each) => each.join(" "));
        if (told !== counted.join()) throw new Error(`${told}, not ${counted}`);
        const sum = said.reasons.reduce((all, { conns }) => all + conns, 0);
        if (sum !== ended.length) throw new Error(`${sum} by reason`);
        for (const { reason } of said.reasons) reasons.add(reason);
      },
    ),
    80,
  );

  holds(
    t,
    `an examination leaves no trace (${workers} workers)`,
    fc.asyncProperty(
      sites,
      sites,
      sites,
      fc.integer({ min: 1, max: 2 ** 31 }),
      fc.constantFrom(3, 4096),
      async (now, other, then, seed, slice) => {
        const one = new Router(documentOf(now, workers));
        const twin = new Router(documentOf(now, workers));
        let turn = 0;
        const talked: string[][] = [[], []];
        const both = () => {
          turn++;
          for (const [i, router] of [one, twin].entries())
            talked[i]?.push(...talk(router, seed + turn, 10));
        };
        for (let n = 0; n < 4; n++) both();
        // Packets go on between its slices, of which the first ones only empty places.
        let slices = 0;
        const between = () => {
          if (slices++ % 7 === 6 && turn < 12) both();
        };
        await examination(one, documentOf(other, workers), { slice, between });
        both();
        const same = (what: string) => {
          if (talked[0]?.join() !== talked[1]?.join()) throw new Error(`${what}: frames differ`);
          if (pictureOf(one) !== pictureOf(twin)) throw new Error(`${what}: tables differ`);
        };
        same("before the switch");
        for (const router of [one, twin]) router.reconfigure(documentOf(then, workers));
        both();
        for (const router of [one, twin]) router.wait(3000);
        same("behind it");
      },
    ),
    25,
  );
}

t.test(
  "conns have ended for every reason",
  { skip: process.env.PROPERTY !== undefined },
  async (t) => {
    for (const reason of [
      "ZoneGone",
      "OtherTenant",
      "NoFlow",
      "FlowDrop",
      "OtherWay",
      "OwnAddress",
      "Hairpin",
      "AddressGone",
      "PortGone",
      "Filtered",
    ]) {
      t.ok(reasons.has(reason), reason);
    }
  },
);

t.test("an image that comes meanwhile makes it void", async (t) => {
  const router = new Router(edge());
  around(router).a.udp(SERVER, 1000, 53);
  let slices = 0;
  const between = () => {
    if (slices++ === 1) router.reconfigure(edge({ nat: [] }));
  };
  const [answer] = await examined(router, edge({ nat: [] }), { slice: 4096, between });
  t.equal(answer?.isVoid, true);
  const [again] = await examined(router, edge(), { slice: 4096 });
  t.equal(again?.isVoid, false);
});

t.test("an image that is refused is refused here, too", async (t) => {
  const router = new Router(edge());
  const addresses = ["203.0.113.128-203.0.113.191"];
  const pools = [{ name: "p1", zone: "public", addresses }];
  const [answer] = await examined(router, edge({ pools, capacity: {} }));
  t.match(answer, { error: /config image: TooLarge/, looked: 0, rows: [] });
  t.throws(() => router.reconfigure(edge({ pools, capacity: {} })), /TooLarge/);
});
