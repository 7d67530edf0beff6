/** The syntax of flows: what is accepted, how it is printed, and the column of what is not. */

import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import { ConnState } from "../../../assembly/abi.js";
import { prefixRange } from "../../../host/config/address.js";
import { type Flow, type FlowAction, formatFlow, parseFlow } from "../../../host/config/flow.js";
import { holds, linesOf } from "./fixture.js";

t.test("the flows that started this project, as they were written", async (t) => {
  const out = parseFlow(
    "in_port(1),tcp,conn_state=-tracked        actions=nat(src_zone=10,dst_zone=20,masq=203.0.113.7)",
  );
  t.match(out, {
    priority: 32768,
    match: { inPort: "1", protocol: 6, state: { mask: ConnState.Tracked, value: 0 } },
    action: {
      kind: "masquerade",
      sourceZone: "10",
      targetZone: "20",
      masquerade: { text: "203.0.113.7", addresses: { first: 0xcb007107, last: 0xcb007107 } },
    },
  });
  const back = parseFlow("in_port(2),tcp,conn_state=+established    actions=nat(reverse,zone=20)");
  t.match(back, {
    match: {
      inPort: "2",
      protocol: 6,
      state: { mask: ConnState.Established, value: ConnState.Established },
    },
    action: { kind: "reverse", zone: "20" },
  });
});

/** What is written, and the canonical text of the same. */
const CANONICAL: readonly (readonly [string, string])[] = [
  ["actions=drop", "ip actions=drop"],
  ["ip actions=reject", "ip actions=reject"],
  [
    "priority=50,in_port(1),udp,tp_dst=25 actions=drop",
    "priority=50,in_port(1),udp,tp_dst=25 actions=drop",
  ],
  ["priority=32768,tcp actions=drop", "tcp actions=drop"],
  [
    "  TCP , In_Port=lan-a,PRIORITY=0x10 Actions=DROP ",
    "priority=16,in_port(lan-a),tcp actions=drop",
  ],
  ["tp_dst=0x50,tcp,actions=drop", "tcp,tp_dst=80 actions=drop"],
  ["nw_proto=17 actions=drop", "udp actions=drop"],
  ["ip, nw_proto=47, zone=0x0a actions=drop", "zone=10,nw_proto=47 actions=drop"],
  [
    "nw_src=10.0.0.0/8 nw_dst=1.2.3.4/32 actions=drop",
    "nw_src=10.0.0.0/8,nw_dst=1.2.3.4 actions=drop",
  ],
  ["nw_src=0.0.0.0/0 actions=drop", "nw_src=0.0.0.0/0 actions=drop"],
  ["icmp,tp_src=8,tp_dst=0 actions=drop", "icmp,tp_src=8,tp_dst=0 actions=drop"],
  ["sctp,tp_src=1-5 actions=drop", "sctp,tp_src=1-5 actions=drop"],
  ["ct_state=+trk-new actions=drop", "conn_state=+tracked-new actions=drop"],
  [
    "conn_state=-dnat+snat-inv-rpl+rel-est actions=drop",
    "conn_state=-established+related-reply-invalid+snat-dnat actions=drop",
  ],
  [
    "zone=a actions=nat( masq=p1, dst_zone=public ,src_zone=a )",
    "zone=a actions=nat(src_zone=a,dst_zone=public,masq=p1)",
  ],
  [
    "actions=nat(src_zone=a,dst_zone=b,masq=203.0.113.7-203.0.113.9), output( wan )",
    "ip actions=nat(src_zone=a,dst_zone=b,masq=203.0.113.7-203.0.113.9),output(wan)",
  ],
  [
    "zone=public actions=nat(dst=192.168.0.10:80,dst_zone=a)",
    "zone=public actions=nat(dst=192.168.0.10:80,dst_zone=a)",
  ],
  [
    "actions=nat(dst_zone=a,dst=192.168.0.10,src_zone=public)",
    "ip actions=nat(src_zone=public,dst=192.168.0.10,dst_zone=a)",
  ],
  [
    "zone=a actions=nat( dst_zone=public, src=203.0.113.50 )",
    "zone=a actions=nat(src=203.0.113.50,dst_zone=public)",
  ],
  [
    "actions=nat(src=203.0.113.50,dst_zone=public,src_zone=a),output(wan)",
    "ip actions=nat(src_zone=a,src=203.0.113.50,dst_zone=public),output(wan)",
  ],
  [
    "zone=public,tcp,tp_dst=8000-8010 actions=nat(dst=192.168.0.10:65525,dst_zone=a)",
    "zone=public,tcp,tp_dst=8000-8010 actions=nat(dst=192.168.0.10:65525,dst_zone=a)",
  ],
  ["actions=nat(zone=20,reverse) output(1)", "ip actions=nat(reverse,zone=20),output(1)"],
  ["zone=a actions=route( zone=b )", "zone=a actions=route(zone=b)"],
  ["zone=a actions=route(zone=b),output(wan)", "zone=a actions=route(zone=b),output(wan)"],
  ["zone=a actions=output(wan)", "zone=a actions=output(wan)"],
];

t.test("what is accepted, and how it is printed", async (t) => {
  for (const [written, canonical] of CANONICAL) {
    t.equal(formatFlow(parseFlow(written)), canonical, written);
    t.same(parseFlow(canonical), parseFlow(written), `${written}, read back`);
  }
});

const FIELDS =
  "expected a match field (priority=, in_port(), zone=, ip, tcp, udp, icmp, sctp, nw_proto=, nw_src=, " +
  "nw_dst=, tp_src=, tp_dst=, conn_state=) or actions=, found";
const ACTION = "expected nat(), route(), output(), drop or reject, found";
const PORTS = "expected a port from 0 to 65535 or an ascending range a-b, found";
const FLAGS =
  "expected one of tracked, new, established, related, reply, invalid, snat, dnat, found";

/** What is written, the column, and what is said. */
const REFUSED: readonly (readonly [string, number, string])[] = [
  ["", 1, `${FIELDS} the end of the flow`],
  ["tcp", 4, `${FIELDS} the end of the flow`],
  ["tcp,", 5, `${FIELDS} the end of the flow`],
  ["tcp,,udp actions=drop", 5, `${FIELDS} ","`],
  ["tcp,udp actions=drop", 5, 'expected every field once, found "udp" again'],
  ["nw_proto=6,tcp actions=drop", 12, 'expected every field once, found "tcp" again'],
  [
    "ct_state=+new,conn_state=+new actions=drop",
    15,
    'expected every field once, found "conn_state" again',
  ],
  ["dl_type=0x800 actions=drop", 1, `${FIELDS} "dl_type=0x800"`],
  ["protocol=6 actions=drop", 1, `${FIELDS} "protocol=6"`],
  ["constructor=6 actions=drop", 1, `${FIELDS} "constructor=6"`],
  ["in_port(1 actions=drop", 10, 'expected ")", found " "'],
  ["in_port()", 9, 'expected the name or number of a device, found ")"'],
  ["in_port(1)tcp actions=drop", 11, 'expected "," or white space, found "tcp"'],
  ["zone actions=drop", 5, 'expected "=", found " "'],
  ["zone=65536 actions=drop", 6, 'expected the name or number of a zone, found "65536"'],
  ["zone=007 actions=drop", 6, 'expected the name or number of a zone, found "007"'],
  ["priority=65536 actions=drop", 10, 'expected a priority from 0 to 65535, found "65536"'],
  ["nw_proto=256 actions=drop", 10, 'expected an IP protocol from 0 to 255, found "256"'],
  [
    "nw_src=10.0.0.1/8 actions=drop",
    8,
    'expected an address or a prefix without host bits, as "10.0.0.0/8", found "10.0.0.1/8"',
  ],
  [
    "nw_dst=10.0.0 actions=drop",
    8,
    'expected an address or a prefix without host bits, as "10.0.0.0/8", found "10.0.0"',
  ],
  ["udp,tp_dst=65536 actions=drop", 12, `${PORTS} "65536"`],
  ["udp,tp_dst=9-8 actions=drop", 12, `${PORTS} "9-8"`],
  ["udp,tp_dst=1-2-3 actions=drop", 12, `${PORTS} "1-2-3"`],
  ["udp,tp_dst= actions=drop", 12, `${PORTS} " "`],
  [
    "tp_dst=25 actions=drop",
    8,
    "expected tcp, udp, icmp or sctp beside tp_dst, found no such protocol",
  ],
  [
    "nw_proto=47,tp_src=25 actions=drop",
    20,
    "expected tcp, udp, icmp or sctp beside tp_src, found no such protocol",
  ],
  ["icmp,tp_src=256 actions=drop", 13, "expected an ICMP type or code from 0 to 255, found 256"],
  ["conn_state=tracked actions=drop", 12, 'expected "+" or "-" and a flag, found "tracked"'],
  ["conn_state=+traced actions=drop", 13, `${FLAGS} "traced"`],
  ["conn_state=+new-new actions=drop", 16, 'expected every flag once, found "-new" again'],
  [
    "conn_state=+new+established actions=drop",
    16,
    "expected one of +new and +established, found both",
  ],
  ["tcp actions", 12, 'expected "=", found the end of the flow'],
  ["tcp actions=", 13, `${ACTION} the end of the flow`],
  ["tcp actions=forward", 13, `${ACTION} "forward"`],
  ["tcp actions=drop,reject", 18, 'expected the end of the flow, found "reject"'],
  ["tcp actions=drop,", 18, "expected the end of the flow, found the end of the flow"],
  ["tcp actions=output(1),drop", 23, 'expected the end of the flow, found "drop"'],
  [
    "zone=a actions=route(zone=b),drop",
    30,
    'expected output(DEVICE) or the end of the flow, found "drop"',
  ],
  [
    "zone=a actions=route(zone=b)output(1)",
    29,
    'expected output(DEVICE) or the end of the flow, found "output"',
  ],
  ["actions=drop,output(1)", 14, 'expected the end of the flow, found "output"'],
  ["actions=route(1)", 15, 'expected zone=, found "1"'],
  ["actions=nat", 12, 'expected "(", found the end of the flow'],
  [
    "actions=nat()",
    13,
    'expected reverse, src_zone=, masq=, src=, dst=, dst_zone= or zone=, found ")"',
  ],
  ["actions=nat(reverse)", 12, "expected zone= in nat(), found none"],
  ["actions=nat(masq=p)", 12, "expected src_zone= in nat(), found none"],
  ["actions=nat(masq=p,src_zone=a)", 12, "expected dst_zone= in nat(), found none"],
  [
    "actions=nat(src_zone=a,dst_zone=b)",
    12,
    "expected reverse, masq=, src= or dst= in nat(), found none",
  ],
  ["actions=nat(dst=1.2.3.4)", 12, "expected dst_zone= in nat(), found none"],
  ["actions=nat(src=1.2.3.4)", 12, "expected dst_zone= in nat(), found none"],
  ["actions=nat(src=1.2.3.4:80,dst_zone=a)", 17, 'expected an address, found "1.2.3.4:80"'],
  [
    "actions=nat(src=1.2.3.4,dst=1.2.3.5,dst_zone=a)",
    25,
    'expected nothing in nat() but src_zone, dst_zone, src, found "dst=1.2.3.5"',
  ],
  [
    "actions=nat(src=127.0.0.1,dst_zone=a)",
    17,
    "expected an address that a host may have, found none that one may have",
  ],
  [
    "udp,tp_dst=8000-8010 actions=nat(dst=1.2.3.4:65526,dst_zone=a)",
    38,
    "expected a port up to 65525, the first of as many as tp_dst= has, found 65526",
  ],
  ["actions=nat(zone=a,zone=b)", 20, 'expected every argument once, found "zone" again'],
  [
    "actions=nat(reverse,zone=a,masq=p)",
    28,
    'expected nothing in nat() but reverse, zone, found "masq=p"',
  ],
  [
    "actions=nat(masq=p,src_zone=a,dst_zone=b,dst=1.2.3.4)",
    42,
    'expected nothing in nat() but src_zone, dst_zone, masq, found "dst=1.2.3.4"',
  ],
  [
    "actions=nat(src_zone=a,dst_zone=b,masq=1.2.3.9-1.2.3.4)",
    40,
    'expected an address, an ascending range a-b or the name of a pool, found "1.2.3.9-1.2.3.4"',
  ],
  [
    "actions=nat(dst=1.2.3.4:0,dst_zone=a)",
    17,
    'expected an address or an address and port, as "192.168.0.10:80", found "1.2.3.4:0"',
  ],
  [
    "actions=nat(dst=0.0.0.0,dst_zone=a)",
    17,
    "expected an address that a host may have, found none that one may have",
  ],
  [
    "zone=a,conn_state=+trk actions=route(zone=b)",
    32,
    "expected output(), drop or reject for +tracked: a packet changes its zone once, found route()",
  ],
  [
    "conn_state=+tracked actions=nat(reverse,zone=a)",
    29,
    "expected output(), drop or reject for +tracked: a packet changes its zone once, found nat()",
  ],
];

t.test("what is refused, with its column", async (t) => {
  for (const [written, column, said] of REFUSED) {
    const lines = linesOf(() => parseFlow(written, "flows[3]"));
    t.same(lines, [`flows[3] column ${column}: ${said}`], written);
  }
});

t.test("contradictions are all named", async (t) => {
  t.same(
    linesOf(() => parseFlow("tp_src=1,tp_dst=2 actions=nat(dst=224.0.0.1,dst_zone=a)")),
    [
      "flow column 8: expected tcp, udp, icmp or sctp beside tp_src, found no such protocol",
      "flow column 17: expected tcp, udp, icmp or sctp beside tp_dst, found no such protocol",
      "flow column 35: expected an address that a host may have, found none that one may have",
    ],
  );
});

const address = fc.integer({ min: 0, max: 0xffffffff });
/** 1.0.0.0 to 126.255.255.255 */
const hostAddress = fc.integer({ min: 0x01000000, max: 0x7effffff });
const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.:@-]{0,20}$/);
const reference = fc.oneof(name, fc.nat(65535).map(String));
const prefix = fc.tuple(address, fc.nat(32)).map(([any, length]) => ({
  address: prefixRange({ address: any, length }).first,
  length,
}));
const ports = (max: number) =>
  fc.tuple(fc.nat(max), fc.nat(max)).map(([one, other]) => ({
    low: Math.min(one, other),
    high: Math.max(one, other),
  }));
const maybe = <T>(some: fc.Arbitrary<T>) => fc.option(some, { nil: undefined });

const state = fc
  .tuple(fc.nat(255), fc.nat(255))
  .map(([mask, value]) => ({ mask, value: mask & value }))
  .filter(({ value }) => (value & 6) !== 6);

const masquerade = fc.oneof(
  name.map((text) => ({ text, addresses: undefined })),
  hostAddress.map((first) => {
    const text = [24, 16, 8, 0].map((shift) => (first >>> shift) & 255).join(".");
    return { text, addresses: { first, last: first } };
  }),
);

/** Ports of a match are at most 256 here, so that the last of as many is one, too. */
const verdict: fc.Arbitrary<FlowAction> = fc.oneof(
  fc.constantFrom("drop" as const, "reject" as const).map((kind) => ({ kind })),
  fc.record({
    kind: fc.constant("masquerade" as const),
    sourceZone: reference,
    targetZone: reference,
    masquerade,
  }),
  fc.record({
    kind: fc.constant("destination" as const),
    sourceZone: maybe(reference),
    targetZone: reference,
    endpoint: fc.record({ address: hostAddress, port: maybe(fc.integer({ min: 1, max: 65280 })) }),
  }),
  fc.record({
    kind: fc.constant("source" as const),
    sourceZone: maybe(reference),
    targetZone: reference,
    address: hostAddress,
  }),
  fc.record({ kind: fc.constant("reverse" as const), zone: reference }),
  fc.record({ kind: fc.constant("route" as const), zone: maybe(reference) }),
);

/** Every flow that can be meant. */
const flow: fc.Arbitrary<Flow> = fc
  .record({
    priority: fc.oneof(fc.constant(32768), fc.nat(65535)),
    match: fc
      .record({
        inPort: maybe(reference),
        zone: maybe(reference),
        protocol: maybe(fc.oneof(fc.constantFrom(1, 6, 17, 132), fc.nat(255))),
        source: maybe(prefix),
        destination: maybe(prefix),
        sourcePorts: maybe(ports(255)),
        destinationPorts: maybe(ports(255)),
        state,
      })
      .map((match) =>
        [1, 6, 17, 132].includes(match.protocol ?? -1)
          ? match
          : { ...match, sourcePorts: undefined, destinationPorts: undefined },
      ),
    action: verdict,
    output: maybe(reference),
  })
  .map((made) => {
    const { kind } = made.action;
    if (kind === "drop" || kind === "reject") return { ...made, output: undefined };
    if (kind === "route" && made.action.zone === undefined) {
      return { ...made, output: made.output ?? "1" };
    }
    return made;
  })
  .filter(({ action, match }) => {
    const stays = ["drop", "reject"].includes(action.kind);
    const leaves = action.kind === "route" ? action.zone !== undefined : !stays;
    return !leaves || (match.state.value & ConnState.Tracked) === 0;
  });

t.test("a flow that is printed reads back as itself", async (t) => {
  holds(
    t,
    fc.property(flow, (made) => {
      const text = formatFlow(made);
      const read = parseFlow(text);
      // The clone has the usual prototypes; fast-check's records have none.
      return isDeepStrictEqual(read, structuredClone(made)) && formatFlow(read) === text;
    }),
    2000,
  );
});

t.test("any text is a flow or a ConfigError with a column", async (t) => {
  const piece = fc.constantFrom(
    "in_port(1)",
    "tcp",
    "zone=",
    "a",
    ",",
    " ",
    "actions=",
    "nat(",
    "masq=",
    "p1",
    ")",
    "drop",
    "conn_state=",
    "+",
    "-",
    "new",
    "reverse",
    "dst=",
    "1.2.3.4",
    ":",
    "80",
    "output(",
    "tp_dst=",
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 20 }).map((all) => all.join("")),
  );
  holds(
    t,
    fc.property(text, (written) => {
      const lines = linesOf(() => parseFlow(written));
      return lines.every((line) => /^flow column [0-9]+: expected .+, found .+/su.test(line));
    }),
    2000,
  );
});
