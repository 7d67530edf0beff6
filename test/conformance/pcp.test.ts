/** RFC 6888 REQ-9: inside hosts ask for external ports by PCP (RFC 6887). */

import t from "tap";
import { Protocol, TcpFlags, udp } from "../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, staticNeighbor, TENANT } from "../harness/host.js";
import {
  type Answer,
  askPcp,
  type MapFields,
  mapRequest,
  Opcode,
  Option,
  option,
  PCP_PORT,
  pcpHeader,
  Result,
} from "../harness/pcp.js";
import { type Document, Router } from "../harness/router.js";

const GATEWAY = "192.168.0.1";
const STRANGER = "198.51.100.77";
/** The longest that a mapping lives beyond its lifetime: two ticks of the wheel. */
const TICKS = 2048;

type Zone = Document & { id: number };

function zones(a: Document = {}, b: Document = {}): Zone[] {
  return [
    { id: 10, name: "a", pcp: true, ...a },
    { id: 11, name: "b", pcp: true, ...b },
    { id: 20, name: "public" },
  ];
}

/** An edge that serves PCP to both tenants; what the pool says beside its address. */
function served(pool: Document = {}, changes: Document = {}): Document {
  return edge({
    zones: zones(),
    pools: [{ name: "p1", zone: "public", addresses: [EXTERNAL], ...pool }],
    neighbors: [
      staticNeighbor("a", 10, TENANT),
      staticNeighbor("a", 10, "192.168.0.11"),
      staticNeighbor("b", 11, TENANT),
      staticNeighbor("public", 20, SERVER),
      staticNeighbor("public", 20, "203.0.113.1"),
    ],
    ...changes,
  });
}

/** Somebody out there, whom nobody inside has ever sent to, behind the router's next hop. */
function strangerOf(router: Router): Host {
  return new Host(router, "wan", STRANGER);
}

function ask(host: Host, fields: MapFields = {}): Answer {
  const answer = askPcp(host, mapRequest(host.address, fields), GATEWAY);
  if (answer === undefined) throw new Error(JSON.stringify(host.router.ended));
  return answer;
}

function resultOf(host: Host, message: Uint8Array): number | undefined {
  return askPcp(host, message, GATEWAY)?.result;
}

t.test(
  "RFC 6888 R9: without PCP only a filter lets strangers in, and to no other tenant",
  async (t) => {
    const router = new Router(served({ filtering: "endpoint-independent" }));
    const { a } = around(router);
    const port = a.udp(SERVER, 700, 53)[0]?.ip?.sourcePort ?? 0;
    const [inward] = strangerOf(router).udp(EXTERNAL, 999, port);
    t.match(inward, { device: "lan-a", ip: { destination: TENANT, destinationPort: 700 } });
    const renamed = served(
      { filtering: "endpoint-independent" },
      { zones: zones({ name: "new" }) },
    );
    router.reconfigure({ ...renamed, ...tenantA("new") });
    strangerOf(router).udp(EXTERNAL, 998, port);
    t.same(router.ended, { Filtered: 1 }, "the number has become another tenant's");
  },
);

/** The parts of the edge that name tenant a, for a zone of another name. */
function tenantA(name: string): Document {
  return {
    devices: (edge().devices as Document[]).map((device) =>
      device.zone === "a" ? { ...device, zone: name } : device,
    ),
    nat: [{ from: [name, "b"], to: "public", pool: "p1" }],
    neighbors: [
      staticNeighbor(name, 10, TENANT),
      staticNeighbor("b", 11, TENANT),
      staticNeighbor("public", 20, SERVER),
    ],
  };
}

t.test("RFC 6888 R9: a zone is not served unless it says so", async (t) => {
  const router = new Router(served({}, { zones: zones({}, { pcp: false }) }));
  const { a, b, server } = around(router);
  t.equal(ask(a).result, Result.Success);
  t.equal(resultOf(b, mapRequest(TENANT)), undefined);
  t.same(router.ended, { LocalUnserved: 1 });
  t.equal(askPcp(server, mapRequest(SERVER), "203.0.113.2"), undefined);
  t.same(router.ended, { LocalUnserved: 1 });
});

t.test("RFC 6888 R9: a host maps a port, and anybody reaches it by UDP and TCP", async (t) => {
  const router = new Router(served());
  const { a } = around(router);
  for (const protocol of [Protocol.Udp, Protocol.Tcp]) {
    const answer = ask(a, { protocol, port: 4000, lifetime: 600 });
    t.match(answer, {
      version: 2,
      opcode: 0x80 | Opcode.Map,
      result: Result.Success,
      lifetime: 600,
      epoch: 0,
      internalPort: 4000,
      external: EXTERNAL,
    });
    t.equal(answer.bytes.length, 60);
    t.same(router.ended, { Answered: 1 });
    const stranger = strangerOf(router);
    const [inward] =
      protocol === Protocol.Udp
        ? stranger.udp(EXTERNAL, 999, answer.port)
        : stranger.tcp(EXTERNAL, 999, answer.port, TcpFlags.Syn);
    t.match(inward, {
      device: "lan-a",
      ip: { source: STRANGER, destination: TENANT, sourcePort: 999, destinationPort: 4000 },
    });
    t.match(a.answer(inward)[0]?.ip, {
      source: EXTERNAL,
      sourcePort: answer.port,
      destination: STRANGER,
      destinationPort: 999,
    });
    const [out] =
      protocol === Protocol.Udp ? a.udp(SERVER, 4000, 53) : a.tcp(SERVER, 4000, 80, TcpFlags.Syn);
    t.equal(out?.ip?.sourcePort, answer.port, "and is the one that it sends from");
  }
  t.same(
    router.mappings().map(({ protocol, port, conns }) => [protocol, port, conns]),
    [
      ["udp", 4000, 2],
      ["tcp", 4000, 2],
    ],
  );
});

t.test("RFC 6888 R9: a mapping that conns have made is the one that is granted", async (t) => {
  const router = new Router(served());
  const { a } = around(router);
  const port = a.udp(SERVER, 4000, 53)[0]?.ip?.sourcePort;
  strangerOf(router).udp(EXTERNAL, 999, port ?? 0);
  t.same(router.ended, { Filtered: 1 });
  t.equal(ask(a, { externalPort: 5000 }).port, port);
  t.equal(strangerOf(router).udp(EXTERNAL, 999, port ?? 0).length, 1);
  t.equal(router.mappings().length, 1);
});

t.test("RFC 6888 R9: two tenants with one address have ports of their own", async (t) => {
  const router = new Router(served());
  const { a, b } = around(router);
  const [one, other] = [ask(a), ask(b)];
  t.not(one.port, other.port);
  for (const [device, { port }] of [
    ["lan-a", one],
    ["lan-b", other],
  ] as const) {
    const [inward] = strangerOf(router).udp(EXTERNAL, 999, port);
    t.match(inward, { device, ip: { destination: TENANT, destinationPort: 4000 } });
  }
  ask(a, { lifetime: 0 });
  t.equal(strangerOf(router).udp(EXTERNAL, 1000, other.port)[0]?.device, "lan-b");
});

t.test("RFC 6888 R9: a suggested external endpoint is given when it is free", async (t) => {
  const pool = { addresses: [EXTERNAL, "203.0.113.8"], ports: "2000-60000" };
  const router = new Router(served(pool));
  const { a, b } = around(router);
  t.match(ask(a, { externalPort: 5000, external: "203.0.113.8" }), {
    port: 5000,
    external: "203.0.113.8",
  });
  const taken = ask(b, { externalPort: 5000, external: "203.0.113.8" });
  t.equal(taken.result, Result.Success);
  t.notSame([taken.external, taken.port], ["203.0.113.8", 5000]);
  t.equal(ask(a, { port: 1, externalPort: 6001 }).port, 6001, "of any address");
  t.not(ask(a, { port: 2, externalPort: 1999 }).port, 1999, "not outside of the pool");
  const other = ask(a, { port: 3, externalPort: 7000, external: "203.0.113.9" });
  t.match(other, { result: Result.Success, external: /203\.0\.113\.[78]/ });
});

t.test("RFC 6888 R9: PREFER_FAILURE is the suggested endpoint or nothing", async (t) => {
  const router = new Router(served());
  const { a, b } = around(router);
  const options = [option(Option.PreferFailure)];
  const given = ask(a, { externalPort: 5000, options });
  t.match(given, { result: Result.Success, port: 5000 });
  t.same(given.bytes.subarray(60), option(Option.PreferFailure), "and stands in the answer");
  const { mappings } = { mappings: router.mappings().length };
  for (const fields of [
    { externalPort: 5000 },
    { externalPort: 80 },
    { externalPort: 0 },
    { externalPort: 6000, external: "203.0.113.8" },
  ]) {
    const refused = ask(b, { ...fields, options });
    t.match(refused, { result: Result.CannotProvideExternal, lifetime: 30 });
    t.equal(refused.bytes.length, 64);
  }
  t.equal(ask(a, { externalPort: 5001, options }).result, Result.CannotProvideExternal);
  t.equal(ask(a, { externalPort: 5000, options }).result, Result.Success, "a renewal of the same");
  t.equal(router.mappings().length, mappings, "nothing is left of what was refused");
  t.equal(router.hosts().length, 1);
});

t.test("RFC 6888 R9: a port of a forward is nobody's to have", async (t) => {
  const to = { zone: "b", address: TENANT, port: 80 };
  const forwards = [{ protocol: "udp", zone: "public", address: EXTERNAL, port: 5000, to }];
  const router = new Router(served({}, { forwards }));
  const { a } = around(router);
  const options = [option(Option.PreferFailure)];
  t.equal(ask(a, { externalPort: 5000, options }).result, Result.CannotProvideExternal);
  t.not(ask(a, { externalPort: 5000 }).port, 5000);
});

t.test("RFC 6888 R9: lifetimes are two minutes at least, a day at most", async (t) => {
  const router = new Router(served());
  const { a } = around(router);
  t.equal(ask(a, { lifetime: 1 }).lifetime, 120);
  t.equal(ask(a, { lifetime: 0xffffffff }).lifetime, 86_400);
  t.equal(ask(a, { lifetime: 7200 }).lifetime, 7200, "a renewal may be shorter");
});

t.test("RFC 6888 R9: renewed it lives on, else it ends, and its port rests", async (t) => {
  const router = new Router(served({ ports: "5000-5000" }));
  const { a, b } = around(router);
  ask(a, { lifetime: 120 });
  router.wait(100_000);
  t.match(ask(a, { lifetime: 120 }), { result: Result.Success, port: 5000, epoch: 100 });
  router.wait(119_000);
  t.equal(router.mappings().length, 1);
  router.wait(1000 + TICKS);
  t.equal(router.mappings().length, 0);
  strangerOf(router).udp(EXTERNAL, 999, 5000);
  t.same(router.ended, { Filtered: 1 }, "it rests");
  t.equal(ask(b).result, Result.NoResources);
  router.wait(120_000);
  t.match(ask(b), { result: Result.Success, port: 5000 });
  t.equal(strangerOf(router).udp(EXTERNAL, 999, 5000)[0]?.device, "lan-b");
});

t.test("RFC 6888 R9: a lifetime of 0 gives it up, twice if need be", async (t) => {
  const router = new Router(served());
  const { a } = around(router);
  const { port } = ask(a);
  t.match(ask(a, { lifetime: 0 }), { result: Result.Success, lifetime: 0, internalPort: 4000 });
  t.same([router.mappings(), router.hosts()], [[], []]);
  t.match(ask(a, { lifetime: 0 }), { result: Result.Success, lifetime: 0 });
  strangerOf(router).udp(EXTERNAL, 999, port);
  t.same(router.ended, { Filtered: 1 });
});

t.test("RFC 6888 R9: conns go on behind a mapping that was given up", async (t) => {
  const router = new Router(served());
  const { a } = around(router);
  const { port } = ask(a);
  const stranger = strangerOf(router);
  const [inward] = stranger.udp(EXTERNAL, 999, port);
  a.answer(inward);
  ask(a, { lifetime: 0 });
  t.equal(stranger.udp(EXTERNAL, 999, port).length, 1);
  new Host(router, "wan", SERVER).udp(EXTERNAL, 999, port);
  t.same(router.ended, { Filtered: 1 }, "but nobody else comes in");
  router.wait(301_000);
  t.same([router.conns(), router.mappings()], [[], []]);
});

t.test("RFC 6888 R9: only who knows the nonce changes a mapping", async (t) => {
  const router = new Router(served());
  const { a, b } = around(router);
  const { port } = ask(a);
  t.match(ask(a, { nonce: "another" }), { result: Result.NotAuthorized, lifetime: 1800 });
  t.match(ask(a, { nonce: "another", lifetime: 0 }), { result: Result.NotAuthorized });
  t.match(ask(a, { nonce: "nonce of mi " }), { result: Result.NotAuthorized }, "all 96 bits");
  t.equal(ask(b, { nonce: "another" }).result, Result.Success, "another tenant's is another");
  t.equal(strangerOf(router).udp(EXTERNAL, 999, port).length, 1);
});

t.test("RFC 6888 R9: a host asks for itself only", async (t) => {
  const router = new Router(served());
  const { a } = around(router);
  const neighbor = "192.168.0.11";
  t.equal(resultOf(a, mapRequest(neighbor)), Result.AddressMismatch);
  const client = Buffer.concat([Buffer.alloc(12), mapRequest(TENANT).subarray(20, 24)]);
  const unmapped = mapRequest(TENANT);
  client.copy(unmapped, 8);
  t.equal(resultOf(a, unmapped), Result.AddressMismatch, "an address of IPv6");
  const third = option(Option.ThirdParty, Buffer.alloc(16));
  t.equal(ask(a, { options: [third] }).result, Result.UnsupportedOption);
  t.equal(router.mappings().length, 0);
});

t.test("RFC 6888 R9: other versions are turned away in their own words", async (t) => {
  const router = new Router(served());
  const { a } = around(router);
  router.wait(5000);
  for (const version of [1, 3, 255]) {
    const refused = askPcp(a, mapRequest(TENANT, { version }), GATEWAY);
    t.match(refused, { version: 2, opcode: 0x81, result: Result.UnsupportedVersion });
    t.match(refused, { lifetime: 1800, epoch: 5 });
    t.equal(refused?.bytes.length, 60);
  }
  t.equal(askPcp(a, Buffer.from([1, 1]), GATEWAY)?.bytes.length, 24);
  const natPmp = askPcp(a, Buffer.from([0, 1, 0, 0, 0, 80, 0, 80, 0, 0, 14, 16]), GATEWAY);
  t.same(natPmp?.bytes, Buffer.from([0, 129, 0, 1, 0, 0, 0, 5]), "RFC 6886 section 3.5");
});

t.test("RFC 6888 R9: malformed and unknown requests are refused", async (t) => {
  const router = new Router(served());
  const { a } = around(router);
  const request = mapRequest(TENANT);
  const cases: readonly [string, Buffer, number][] = [
    ["no multiple of 4", Buffer.concat([request, Buffer.alloc(1)]), Result.MalformedRequest],
    ["a MAP cut short", request.subarray(0, 56), Result.MalformedRequest],
    ["too long", Buffer.concat([request, Buffer.alloc(1044)]), Result.MalformedRequest],
    ["PEER", pcpHeader({ client: TENANT, opcode: Opcode.Peer }), Result.UnsupportedOpcode],
    ["FILTER", mapRequest(TENANT, { options: [option(3)] }), Result.UnsupportedOption],
    ["an option beyond the end", withOption([2, 0, 0, 8]), Result.MalformedOption],
    ["PREFER_FAILURE with data", withOption([2, 0, 0, 4, 0, 0, 0, 0]), Result.MalformedOption],
    ["PREFER_FAILURE twice", withOption([2, 0, 0, 0, 2, 0, 0, 0]), Result.MalformedOption],
    ["SCTP", mapRequest(TENANT, { protocol: 132 }), Result.UnsupportedProtocol],
    ["all protocols", mapRequest(TENANT, { protocol: 0 }), Result.UnsupportedProtocol],
    ["ICMP", mapRequest(TENANT, { protocol: 1 }), Result.UnsupportedProtocol],
    ["all ports", mapRequest(TENANT, { port: 0 }), Result.UnsupportedProtocol],
    ["an optional option", withOption([200, 0, 0, 4, 1, 2, 3, 4]), Result.Success],
    ["ANNOUNCE", pcpHeader({ client: TENANT, opcode: Opcode.Announce }), Result.Success],
  ];
  for (const [what, message, result] of cases) {
    t.equal(resultOf(a, message), result, what);
    t.same(router.ended, { Answered: 1 }, what);
  }
  t.equal(router.mappings().length, 1);
});

function withOption(bytes: readonly number[]): Buffer {
  return mapRequest(TENANT, { options: [Buffer.from(bytes)] });
}

t.test("RFC 6888 R9: what is no request has no answer", async (t) => {
  const router = new Router(served(), { hostile: true });
  const { a } = around(router);
  const response = mapRequest(TENANT);
  response[1] = 0x81;
  for (const message of [response, Buffer.alloc(0), Buffer.from([2]), Buffer.alloc(20, 2)]) {
    t.equal(askPcp(a, message, GATEWAY), undefined);
    t.same(router.ended, { LocalUnserved: 1 });
  }
  const ports = { sourcePort: 50_000, destinationPort: PCP_PORT };
  const packet = a.frame(GATEWAY, udp({ ...ports, data: mapRequest(TENANT) }));
  packet[packet.length - 1] = (packet.at(-1) ?? 0) ^ 1;
  t.same(router.send("lan-a", packet), []);
  t.same(router.ended, { UdpBadHeader: 1 }, "a wrong checksum");
  t.equal(a.send(GATEWAY, udp({ ...ports, checksum: 0, data: mapRequest(TENANT) })).length, 1);
});

t.test("RFC 6888 R9: nothing that a host can say does harm", async (t) => {
  const router = new Router(served(), { hostile: true });
  const { a } = around(router);
  const random = numbers(1);
  for (let round = 0; round < 3000; round++) {
    const whole = mapRequest(TENANT, { port: 1 + random(9), lifetime: random(2) * 500 });
    const message = Buffer.concat([whole, Buffer.alloc(random(30))]).subarray(0, random(90));
    for (let n = random(4); n > 0; n--) message[random(message.length)] = random(256);
    const ports = { sourcePort: 1 + random(65_000), destinationPort: PCP_PORT };
    const frame = a.frame(GATEWAY, udp({ ...ports, data: message }));
    const sent = router.sendAtEnd("lan-a", frame);
    t.ok(sent.every(({ to }) => to === a.mac) && sent.length <= 1);
  }
  t.ok(router.mappings().length <= 64);
});

t.test("RFC 6888 R9: limits hold for what is asked for as well", async (t) => {
  const limits = { conns: 3, portsPerHost: { udp: 2 } };
  const router = new Router(served({ ports: "5000-5004" }, { zones: zones({ limits }) }));
  const { a, b } = around(router);
  const neighbor = new Host(router, "lan-a", "192.168.0.11");
  const resultsOf = (host: Host, ports: readonly number[]) =>
    ports.map((port) => ask(host, { port }).result);
  const { Success, UserExceedsQuota, NoResources } = Result;
  t.same(resultsOf(a, [1, 2, 3]), [Success, Success, UserExceedsQuota], "of the host");
  t.same(resultsOf(neighbor, [1, 2]), [Success, UserExceedsQuota], "of the zone");
  t.same(resultsOf(b, [1, 2, 3]), [Success, Success, NoResources], "the pool");
  ask(a, { port: 1, lifetime: 0 });
  t.equal(ask(a, { port: 9 }).result, NoResources, "its port rests");
  router.wait(121_000);
  t.equal(ask(a, { port: 9 }).result, Success);
});

t.test(
  "RFC 6888 R9: an eighth as many as conns, of which no zone takes another's share",
  async (t) => {
    const router = new Router(served());
    const { a, b } = around(router);
    const count = (host: Host, from: number) =>
      Array.from({ length: 128 }, (_, i) => ask(host, { port: from + i }).result).filter(
        (result) => result === Result.Success,
      ).length;
    // 128 in all; 64 are promised to three zones evenly.
    t.equal(count(a, 1), 86);
    t.equal(ask(a, { port: 5000 }).result, Result.NoResources);
    t.equal(count(b, 1), 21);
    t.equal(a.udp(SERVER, 700, 53).length, 1, "conns have their own room");
    ask(a, { port: 1, lifetime: 0 });
    t.equal(ask(b, { port: 5000 }).result, Result.Success);
    router.reconfigure(served({}, { zones: [...zones(), { id: 30 }] }));
    router.wait(1);
    t.equal(
      ask(b, { port: 5001 }).result,
      Result.NoResources,
      "shares are smaller with more zones",
    );
    router.wait(3_600_000 + TICKS);
    t.equal(count(b, 1), 80, "128 less three shares of 16");
  },
);

t.test("RFC 6888 R9: whoever has no pool of his own ports is not authorized", async (t) => {
  const without = new Router(served({}, { nat: [{ from: ["b"], to: "public", pool: "p1" }] }));
  t.equal(ask(around(without).a).result, Result.NotAuthorized);
  t.equal(ask(around(without).b).result, Result.Success);
  const dependent = new Router(served({ mapping: "address-dependent" }));
  t.equal(ask(around(dependent).a).result, Result.NotAuthorized);
  const flows = [
    "in_port(1),nw_dst=198.51.100.0/24 actions=drop",
    "in_port(1),udp,tp_src=4000 actions=drop",
  ];
  const router = new Router(served({}, { flows }));
  const { a } = around(router);
  t.equal(ask(a).result, Result.NotAuthorized, "a flow forbids it whatever the destination");
  const { port, result } = ask(a, { port: 4001 });
  t.equal(result, Result.Success);
  strangerOf(router).udp(EXTERNAL, 999, port);
  t.same(router.ended, { Filtered: 1 }, "whom the host may not talk to does not come in");
});

t.test("RFC 6888 R9: a mapping is reached from inside as well", async (t) => {
  const router = new Router(served());
  const { a, b } = around(router);
  const { port } = ask(a);
  const [turned] = b.udp(EXTERNAL, 700, port);
  t.match(turned, { device: "lan-a", ip: { source: EXTERNAL, destinationPort: 4000 } });
  t.equal(a.answer(turned)[0]?.device, "lan-b");
});

t.test("RFC 6888 R9: a port block binds it too", async (t) => {
  const block = new Router(served({ allocation: "block", block: { ports: 64 } }));
  const { a, b } = around(block);
  const first = ask(a).port;
  const base = first - (first % 64);
  const free = first === base ? base + 1 : base;
  t.equal(ask(a, { port: 1, externalPort: free }).port, free, "of its own block");
  t.not(ask(b, { port: 1, externalPort: base + 9 }).port, base + 9, "not of another's");
  block.wait(3_600_000 + TICKS + 121_000);
  t.same([block.mappings(), block.hosts()], [[], []], "and the block goes back");
});

t.test("RFC 6888 R9: a configuration keeps what it still allows", async (t) => {
  const to = { zone: "b", address: TENANT, port: 80 };
  const cases: readonly [string, Document, boolean][] = [
    ["the same", served(), true],
    ["another filtering", served({ filtering: "endpoint-independent" }), true],
    ["PCP is off", served({}, { zones: zones({ pcp: false }) }), false],
    ["other ports", served({ ports: "1024-4999" }), true],
    ["another address", served({ addresses: ["203.0.113.8"] }), false],
    ["no translation", served({}, { nat: [] }), false],
    ["another mapping", served({ mapping: "address-dependent" }), false],
    [
      "a forward",
      served(
        {},
        { forwards: [{ protocol: "udp", zone: "public", address: EXTERNAL, port: 5000, to }] },
      ),
      false,
    ],
    [
      "another tenant",
      { ...served({}, { zones: zones({ name: "new" }) }), ...tenantA("new") },
      false,
    ],
  ];
  for (const [what, document, stays] of cases) {
    const router = new Router(served());
    const { a } = around(router);
    ask(a, { externalPort: 5000 });
    const stranger = strangerOf(router);
    a.answer(stranger.udp(EXTERNAL, 999, 5000)[0]);
    router.reconfigure(document);
    const [early] = new Host(router, "wan", SERVER).udp(EXTERNAL, 1000, 5000);
    t.equal(early?.device, stays ? "lan-a" : what === "a forward" ? "lan-b" : undefined, what);
    t.equal(stranger.udp(EXTERNAL, 999, 5000)[0]?.device === "lan-a", stays, `${what}: its conn`);
    router.wait(1);
    t.equal(router.mappings().length, stays ? 1 : 0, `${what}: swept`);
    if (stays) t.match(ask(a), { result: Result.Success, port: 5000 }, `${what}: renewed`);
  }
});

t.test("RFC 6888 R9: a mapping leads to its owner's zone and to no other", async (t) => {
  const router = new Router(served());
  const { a, b } = around(router);
  const ours = new Map([
    [ask(a, { port: 1 }).port, "lan-a"],
    [ask(b, { port: 1 }).port, "lan-b"],
    [ask(a, { port: 2 }).port, "lan-a"],
  ]);
  for (let port = 1024; port < 65_536; port += 1) {
    if (!ours.has(port) && port % 97 !== 0) continue;
    const [inward] = strangerOf(router).udp(EXTERNAL, 999, port);
    t.equal(inward?.device, ours.get(port));
  }
  t.equal(b.udp("192.168.0.1", 5, 1).length, 0);
  const [port] = ours.keys();
  const [spoofed] = b.send(EXTERNAL, udp({ sourcePort: 9, destinationPort: port ?? 0, data: "" }), {
    source: STRANGER,
  });
  t.equal(spoofed?.ip?.source, EXTERNAL, "who comes from another tenant comes by a hairpin");
});

t.test("RFC 6888 R9: deterministic ports are the host's alone, also on request", async (t) => {
  const hosts = [
    { zone: "a", prefix: "192.168.0.0/28" },
    { zone: "b", prefix: "192.168.0.10/32" },
  ];
  const pool = {
    ports: "2000-3699",
    allocation: "deterministic",
    deterministic: { hosts, portsPerHost: 100 },
  };
  const router = new Router(served(pool));
  const { a, b } = around(router);
  const options = [option(Option.PreferFailure)];
  const first = ask(a).port;
  t.ok(first >= 3000 && first < 3100, "its address is the eleventh");
  const other = first === 3050 ? 3051 : 3050;
  t.equal(ask(a, { port: 1, externalPort: other, options }).port, other);
  t.equal(
    ask(b, { port: 1, externalPort: 3060, options }).result,
    Result.CannotProvideExternal,
    "another tenant's, with the same address",
  );
  t.equal(ask(b, { port: 1, externalPort: 3660, options }).result, Result.Success);
  const stranger = new Host(router, "lan-a", "192.168.0.99");
  t.equal(ask(stranger).result, Result.NotAuthorized, "whoever has none gets none");
});

t.test("RFC 6888 R9: whatever comes in whatever order, nothing is lost or crossed", async (t) => {
  const pool = { ports: "5000-5039", filtering: "address-dependent" };
  const to = { zone: "b", address: TENANT, port: 80 };
  const forwards = [{ protocol: "udp", zone: "public", address: EXTERNAL, port: 5001, to }];
  const documents = [
    served(pool),
    served(pool, { forwards }),
    served(pool, { zones: zones({ pcp: false }) }),
    served({ ...pool, addresses: ["203.0.113.8"] }),
    { ...served(pool, { zones: zones({ name: "new" }) }), ...tenantA("new") },
    served({ ...pool, filtering: "endpoint-independent" }),
  ];
  for (let seed = 1; seed <= 20; seed++) {
    const random = numbers(seed);
    const router = new Router(served(pool), { seed });
    const { a, b } = around(router);
    const owners = new Map<string, string>();
    for (let step = 0; step < 200; step++) {
      const host = random(2) === 0 ? a : b;
      const port = 1 + random(6);
      switch (random(6)) {
        case 0:
        case 1: {
          const externalPort = 5000 + random(40);
          const lifetime = random(3) * 150;
          const answer = resultAnswer(host, { port, externalPort, lifetime });
          if (answer?.result === Result.Success && lifetime > 0) {
            owners.set(`${answer.external}:${answer.port}`, host.device);
          }
          break;
        }
        case 2: {
          const [out] = host.udp(SERVER, port, 53);
          if (out?.ip) owners.set(`${out.ip.source}:${out.ip.sourcePort}`, host.device);
          break;
        }
        case 3:
        case 4: {
          const external = random(4) === 0 ? "203.0.113.8" : EXTERNAL;
          const destination = 5000 + random(40);
          const [inward] = strangerOf(router).udp(external, 900 + random(3), destination);
          const isForwarded = inward?.ip?.destinationPort === 80;
          if (inward === undefined || isForwarded) break;
          const owner = owners.get(`${external}:${destination}`);
          if (inward.device !== owner) t.fail(`seed ${seed}, step ${step}: to ${inward.device}`);
          break;
        }
        default:
          if (random(4) === 0) router.reconfigure(documents[random(documents.length)] ?? {});
          else router.wait(random(100_000));
      }
    }
    router.reconfigure(served(pool));
    router.wait(1000_000);
    t.same([router.conns(), router.mappings(), router.hosts()], [[], [], []], `seed ${seed}`);
    router.reconfigure(served());
    const again = Array.from({ length: 90 }, (_, i) => ask(a, { port: 1 + i }).result);
    t.equal(again.indexOf(Result.NoResources), 86, `seed ${seed}: the zone has its share again`);
  }
});

function resultAnswer(host: Host, fields: MapFields): Answer | undefined {
  return askPcp(host, mapRequest(host.address, fields), GATEWAY);
}

/** Numbers below a bound, the same for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
