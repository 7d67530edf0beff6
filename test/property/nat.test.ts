/**
 * Mapping, filtering and hold-down against a plain model, under random operations: packets from inside and
 * from outside, time that goes on, other configurations. And nothing leaks: after everything has ended,
 * nothing is left and every port can be had again.
 *
 * The model keeps what RFC 4787 speaks of, and no conn table: endpoints with their external port, the conns
 * that keep these alive, whom each has sent to, and when a port may be given again.
 */

import fc from "fast-check";
import t from "tap";
import { EXTERNAL, Host, TENANT } from "../harness/host.js";
import { BEHAVIOURS, isProhibited, NEIGHBORS, nat, pooled, portOf } from "../harness/nat.js";
import { holds } from "../harness/property.js";
import type { Router } from "../harness/router.js";

const UDP_MS = 10_000;
/** A conn ends within two ticks of its time; a port rests a step longer than asked. */
const LATE_MS = 300;
const LOW = 5000;
const PORTS = 6;
const SERVERS = ["203.0.113.99", "203.0.113.98", "203.0.113.97"];
const ENDPOINTS = ["lan-a 1", "lan-a 2", "lan-b 1", "lan-b 2"];

type Behaviour = (typeof BEHAVIOURS)[number];

interface Policy {
  readonly mapping: Behaviour;
  readonly filtering: Behaviour;
  readonly holdDown: number;
}

const policy = fc.record({
  mapping: fc.constantFrom(...BEHAVIOURS),
  filtering: fc.constantFrom(...BEHAVIOURS),
  holdDown: fc.constantFrom(0, 20),
});

const operation = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("open" as const),
      endpoint: fc.nat(ENDPOINTS.length - 1),
      server: fc.nat(SERVERS.length - 1),
      port: fc.constantFrom(53, 54),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("inbound" as const),
      server: fc.nat(SERVERS.length - 1),
      port: fc.constantFrom(53, 54, 55),
      to: fc.nat(PORTS - 1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      ms: fc.constantFrom(1, 500, 4_000, 9_000, 11_000, 25_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reload" as const) }) },
);

type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** A conn: alive for sure before `until`, ended for sure LATE_MS behind. */
interface ModelConn {
  readonly inside: string;
  readonly server: string;
  readonly port: number;
  until: number;
}

interface ModelMapping {
  readonly inside: string;
  readonly key: string;
  conns: ModelConn[];
}

class Model {
  private readonly mappings = new Map<number, ModelMapping>();
  /** When a port may, and when it must, be free again. */
  private readonly rests = new Map<number, { earliest: number; latest: number }>();

  constructor(
    private readonly policy: Policy,
    private now: number,
  ) {}

  /** Time has gone on. What may have ended, but need not, was avoided by `settled`. */
  goOn(now: number): void {
    this.now = now;
    for (const [port, mapping] of this.mappings) {
      const ended = mapping.conns.filter(({ until }) => until <= now);
      mapping.conns = mapping.conns.filter(({ until }) => until > now);
      if (mapping.conns.length > 0) continue;
      const last = Math.max(...ended.map(({ until }) => until));
      const rest = this.policy.holdDown * 1000;
      this.mappings.delete(port);
      this.rests.set(port, { earliest: last + rest, latest: last + rest + LATE_MS });
    }
  }

  /** Milliseconds until nothing is about to end or has just ended: the model knows no ticks. */
  settled(now: number): number {
    const edges = [
      ...[...this.mappings.values()].flatMap(({ conns }) => conns.map(({ until }) => until)),
      ...[...this.rests.values()].map(({ earliest }) => earliest),
    ];
    let at = now;
    for (const edge of edges.sort((one, other) => one - other)) {
      if (at >= edge && at <= edge + LATE_MS) at = edge + LATE_MS + 1;
    }
    return at - now;
  }

  private keyOf(inside: string, server: string, port: number): string {
    const { mapping } = this.policy;
    if (mapping === "endpoint-independent") return inside;
    return mapping === "address-dependent" ? `${inside} ${server}` : `${inside} ${server} ${port}`;
  }

  get shares(): boolean {
    return [this.policy.mapping, this.policy.filtering].every(
      (each) => each === "address-and-port-dependent",
    );
  }

  /** What is wrong with the port that a packet from inside got; undefined for none when it got none. */
  open(inside: string, server: string, port: number, external: number | undefined) {
    const key = this.keyOf(inside, server, port);
    const all = [...this.mappings];
    // A conn that began from outside comes before the mapping that a new one would have.
    const known =
      all.find(([, { conns }]) => conns.some((each) => isOf(each, inside, server, port))) ??
      all.find(([, mapping]) => mapping.key === key);
    if (known !== undefined) {
      if (known[0] !== external) return `${key} has ${known[0]}, not ${external}`;
      this.use(known[1], inside, server, port);
      return undefined;
    }
    const free = Array.from({ length: PORTS }, (_, i) => LOW + i).filter((each) =>
      this.isFree(each),
    );
    if (external === undefined) return free.length > 0 ? `${free} are free` : undefined;
    if (!free.includes(external)) return `${external} is not free`;
    const mapping = { inside, key, conns: [] };
    this.mappings.set(external, mapping);
    this.use(mapping, inside, server, port);
    return undefined;
  }

  private isFree(port: number): boolean {
    const rest = this.rests.get(port);
    return !this.mappings.has(port) && (rest === undefined || this.now >= rest.latest);
  }

  private use(mapping: ModelMapping, inside: string, server: string, port: number): void {
    const until = this.now + UDP_MS;
    const conn = mapping.conns.find((each) => isOf(each, inside, server, port));
    if (conn === undefined) mapping.conns.push({ inside, server, port, until });
    else conn.until = until;
  }

  /** Whom a packet from outside reaches; undefined for nobody. */
  inbound(server: string, port: number, external: number): string | undefined {
    const mapping = this.mappings.get(external);
    if (mapping === undefined) return undefined;
    const { inside, conns } = mapping;
    const exact = conns.some((each) => isOf(each, inside, server, port));
    // An endpoint that has a conn to the sender through another mapping has no place for a second.
    const elsewhere = [...this.mappings.values()].some(
      (each) => each !== mapping && each.conns.some((conn) => isOf(conn, inside, server, port)),
    );
    const { filtering } = this.policy;
    const allowed =
      filtering === "endpoint-independent" ||
      (filtering === "address-dependent" && conns.some((each) => each.server === server));
    if (!exact && (!allowed || elsewhere)) return undefined;
    this.use(mapping, inside, server, port);
    return inside;
  }

  get ports(): number[] {
    return [...this.mappings.keys()].sort();
  }
}

function isOf(conn: ModelConn, inside: string, server: string, port: number): boolean {
  return conn.inside === inside && conn.server === server && conn.port === port;
}

function documentOf({ mapping, filtering, holdDown }: Policy) {
  const pool = { mapping, filtering, ports: `${LOW}-${LOW + PORTS - 1}` };
  return [pool, { neighbors: NEIGHBORS, timeouts: { udp: UDP_MS / 1000, holdDown } }] as const;
}

/** Does one thing to both; what they differ in. */
function step(router: Router, model: Model, policy: Policy, each: Operation): string | undefined {
  switch (each.kind) {
    case "open": {
      const inside = ENDPOINTS[each.endpoint] ?? "";
      const server = SERVERS[each.server] ?? "";
      const [device = "", port] = inside.split(" ");
      const sent = new Host(router, device, TENANT).udp(server, Number(port), each.port);
      const external = isProhibited(sent) ? undefined : portOf(sent);
      return model.open(inside, server, each.port, external);
    }
    case "inbound": {
      const server = SERVERS[each.server] ?? "";
      const [sent] = new Host(router, "wan", server).udp(EXTERNAL, each.port, LOW + each.to);
      const reached = sent && `${sent.device} ${sent.ip?.destinationPort}`;
      const expected = model.inbound(server, each.port, LOW + each.to);
      return reached === expected ? undefined : `it reached ${reached}, not ${expected}`;
    }
    case "wait":
      router.wait(each.ms);
      break;
    case "reload":
      router.reconfigure(pooled(...documentOf(policy)));
      break;
  }
  return undefined;
}

function settle(router: Router, model: Model): void {
  for (let ms = model.settled(router.now); ms > 0; ms = model.settled(router.now)) router.wait(ms);
  model.goOn(router.now);
}

holds(
  t,
  "RFC 4787 R1, R3, R8 and RFC 6888 R8: mapping, filtering and hold-down are the model's",
  fc.property(policy, fc.array(operation, { maxLength: 60 }), fc.nat(1000), (policy, all, seed) => {
    const { router } = nat(...documentOf(policy), { seed });
    const model = new Model(policy, router.now);
    fc.pre(!model.shares);
    for (const each of all) {
      const fault = step(router, model, policy, each);
      if (fault !== undefined) throw new Error(fault);
      settle(router, model);
      const ports = router.mappings().map(({ externalPort }) => externalPort);
      if (ports.sort().join() !== model.ports.join()) throw new Error(`${ports}; ${model.ports}`);
    }
  }),
  300,
);

const ALLOCATIONS = [
  { allocation: "random" },
  { allocation: "preserve", parity: true },
  { allocation: "block", block: { ports: 64, perHost: 1 }, ports: "1024-1151" },
  {
    allocation: "deterministic",
    deterministic: {
      hosts: ["a", "b"].map((zone) => ({ zone, prefix: `${TENANT}/32` })),
      portsPerHost: 3,
    },
  },
];

holds(
  t,
  "nothing leaks: when all has ended, nothing is left, and every port can be had again",
  fc.property(
    policy,
    fc.constantFrom(...ALLOCATIONS),
    fc.array(operation, { maxLength: 80 }),
    (policy, allocation, all) => {
      const [pool, changes] = documentOf(policy);
      const { router, a, b } = nat({ ...pool, ...allocation }, changes);
      for (const each of all) {
        if (each.kind === "reload") router.reconfigure(pooled({ ...pool, ...allocation }, changes));
        else if (each.kind === "wait") router.wait(each.ms);
        else if (each.kind === "inbound") {
          new Host(router, "wan", SERVERS[each.server] ?? "").udp(
            EXTERNAL,
            each.port,
            LOW + each.to,
          );
          a.udp(EXTERNAL, each.port, LOW + each.to);
        } else
          (each.endpoint < 2 ? a : b).udp(SERVERS[each.server] ?? "", each.endpoint, each.port);
      }
      router.wait(100_000);
      const left = [...router.conns(), ...router.mappings(), ...router.hosts()];
      if (left.length > 0) throw new Error(JSON.stringify(left));
      const each = allocation.allocation === "block" ? 64 : 3;
      const again = [a, b].flatMap((host) =>
        Array.from({ length: each }, (_, i) => portOf(host.udp("203.0.113.99", 2000 + i, 53))),
      );
      if (new Set(again).size !== 2 * each) throw new Error(`${again}`);
    },
  ),
  150,
);
