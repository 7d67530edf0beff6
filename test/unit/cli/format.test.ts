/** The forms of `crosszone list` and `events`, beside lines that conntrack 1.4.7 and ovs-appctl have printed. */

import t from "tap";
import { eventLine } from "../../../host/cli/conns/events.js";
import {
  type Conn,
  CSV_HEADING,
  crosszoneLine,
  csvLine,
  csvRow,
  extendedLine,
  ovsLine,
} from "../../../host/cli/conns/format.js";
import { readTracked } from "../../harness/trackedline.js";

const UDP: Conn = {
  id: "0.3.2170",
  protocol: "udp",
  phase: "established",
  original: {
    zone: 10,
    source: "192.168.0.10",
    sourcePort: 4562,
    destination: "8.8.8.8",
    destinationPort: 53,
  },
  reply: {
    zone: 20,
    source: "8.8.8.8",
    sourcePort: 53,
    destination: "203.0.113.7",
    destinationPort: 9553,
  },
  originalPackets: 1,
  originalBytes: 29,
  replyPackets: 2,
  replyBytes: 300,
  expiresInMs: 28_001,
  ageMs: 5,
};

const SENT = { replyPackets: 0, replyBytes: 0, phase: "new" };
const ICMP: Conn = {
  ...UDP,
  protocol: "icmp",
  original: { ...UDP.original, sourcePort: 77, destinationPort: 0 },
  reply: { ...UDP.reply, sourcePort: 0, destinationPort: 49924 },
};

/** As conntrack has printed them (zone-orig 7, one host). */
const CONNTRACK = [
  "ipv4     2 tcp      6 431999 ESTABLISHED src=10.9.9.1 dst=10.9.9.1 sport=54456 dport=99 zone-orig=7 packets=3 bytes=166 src=10.9.9.1 dst=10.9.9.1 sport=99 dport=54456 packets=2 bytes=112 [ASSURED] mark=0 use=1",
  "ipv4     2 udp      17 29 src=10.9.9.1 dst=10.9.9.9 sport=40795 dport=53 zone-orig=7 packets=1 bytes=29 [UNREPLIED] src=10.9.9.9 dst=10.9.9.1 sport=53 dport=40795 packets=0 bytes=0 mark=0 use=1",
  "ipv4     2 icmp     1 28 src=10.9.9.1 dst=10.9.9.1 type=8 code=0 id=25708 zone-orig=7 packets=1 bytes=84 src=10.9.9.1 dst=10.9.9.1 type=0 code=0 id=25708 packets=1 bytes=84 mark=0 use=1",
  "ipv4     2 gre      47 29 src=10.9.9.1 dst=10.9.9.9 srckey=0x0 dstkey=0x0 zone-orig=7 packets=1 bytes=27 [UNREPLIED] src=10.9.9.9 dst=10.9.9.1 srckey=0x0 dstkey=0x0 packets=0 bytes=0 mark=0 use=1",
];

t.test("conntrack's own lines and ours are of one grammar", async (t) => {
  for (const line of CONNTRACK) t.ok(readTracked(line), line);
  t.notOk(readTracked("udp      17 29 src=1.2.3.4"), "and not everything is");
  for (const conn of [UDP, { ...UDP, ...SENT }, ICMP, { ...UDP, protocol: "47" }]) {
    t.ok(readTracked(extendedLine(conn)), extendedLine(conn));
  }
});

t.test("extended: both zones where conntrack writes them", async (t) => {
  t.equal(
    extendedLine(UDP),
    "ipv4     2 udp      17 29 src=192.168.0.10 dst=8.8.8.8 sport=4562 dport=53 zone-orig=10 " +
      "packets=1 bytes=29 src=8.8.8.8 dst=203.0.113.7 sport=53 dport=9553 zone-reply=20 " +
      "packets=2 bytes=300",
  );
  t.match(extendedLine({ ...UDP, ...SENT }), / bytes=29 \[UNREPLIED\] src=.* bytes=0$/);
  t.match(extendedLine({ ...UDP, originalPackets: 2 }, true), / \[ASSURED\] id=0\.3\.2170$/);
});

t.test("extended: ICMP has types and an identifier, translated in the reply", async (t) => {
  t.match(readTracked(extendedLine(ICMP)), {
    original: { type: "8", code: "0", id: "77" },
    reply: { type: "0", code: "0", id: "49924" },
    flags: [],
  });
  const timestamp = {
    ...ICMP,
    original: { ...ICMP.original, destinationPort: 13 },
    reply: { ...ICMP.reply, sourcePort: 13 },
  };
  t.match(readTracked(extendedLine(timestamp)), {
    original: { type: "13" },
    reply: { type: "14" },
  });
});

t.test("extended: TCP's states", async (t) => {
  const state = (phase: string, replyPackets = 1) =>
    readTracked(extendedLine({ ...UDP, protocol: "tcp", phase, replyPackets }))?.state;
  t.equal(state("new", 0), "SYN_SENT");
  t.equal(state("new"), "SYN_RECV");
  t.equal(state("established"), "ESTABLISHED");
  t.equal(state("fin-original"), "FIN_WAIT");
  t.equal(state("fin-reply"), "FIN_WAIT");
  t.equal(state("closing"), "TIME_WAIT");
  t.equal(state("reset"), "CLOSE");
  t.equal(readTracked(extendedLine(UDP))?.state, undefined);
});

t.test("extended: [ASSURED] is what was open, not what was refused or answered once", async (t) => {
  const table: readonly (readonly [string, string, number, number, boolean])[] = [
    ["tcp", "new", 1, 1, false],
    ["tcp", "established", 1, 1, false],
    ["tcp", "established", 2, 1, true],
    ["tcp", "fin-reply", 2, 2, true],
    ["tcp", "closing", 3, 3, true],
    ["tcp", "reset", 1, 1, false],
    ["tcp", "reset", 2, 2, false],
    ["tcp", "reset", 3, 2, true],
    ["udp", "new", 2, 0, false],
    ["udp", "established", 1, 1, false],
    ["udp", "established", 2, 1, true],
    ["icmp", "established", 9, 9, false],
  ];
  for (const [protocol, phase, originalPackets, replyPackets, isAssured] of table) {
    const line = extendedLine({ ...UDP, protocol, phase, originalPackets, replyPackets });
    t.equal(line.includes("[ASSURED]"), isAssured, line);
  }
});

t.test("extended: protocols without ports", async (t) => {
  const bare = { sourcePort: 0, destinationPort: 0 };
  const gre = {
    ...UDP,
    protocol: "47",
    original: { ...UDP.original, ...bare },
    reply: { ...UDP.reply, ...bare },
  };
  t.match(
    extendedLine(gre),
    /^ipv4 {5}2 gre {6}47 29 src=192\.168\.0\.10 dst=8\.8\.8\.8 zone-orig=10 /,
  );
  t.match(extendedLine({ ...gre, protocol: "50" }), /^ipv4 {5}2 unknown {2}50 29 src=/);
});

t.test("ovs: as dpctl/dump-conntrack, one more zone at its end", async (t) => {
  t.equal(
    ovsLine(UDP),
    "udp,orig=(src=192.168.0.10,dst=8.8.8.8,sport=4562,dport=53)," +
      "reply=(src=8.8.8.8,dst=203.0.113.7,sport=53,dport=9553),zone=10,zone-reply=20",
  );
  t.match(
    ovsLine(ICMP),
    /orig=\(src=\S+?,dst=\S+?,id=77,type=8,code=0\),reply=\(\S+?,id=49924,type=0/,
  );
  const tcp = { ...UDP, protocol: "tcp" };
  t.match(ovsLine(tcp), /,protoinfo=\(state=ESTABLISHED\)$/);
  t.match(ovsLine({ ...tcp, phase: "reset" }), /state=TIME_WAIT/);
});

t.test("crosszone: the translation in one line", async (t) => {
  t.equal(
    crosszoneLine(UDP),
    "udp   established   10:192.168.0.10:4562→8.8.8.8:53 ↔ 20:8.8.8.8:53→203.0.113.7:9553",
  );
});

t.test("RFC 4180: CR LF, quotes where they are needed, as many fields as names", async (t) => {
  t.equal(csvLine(["a", 'say "b"', "c,d", "e\nf"]), 'a,"say ""b""","c,d","e\nf"\r\n');
  t.match(csvRow(UDP), /^0\.3\.2170,udp,established,10,192\.168\.0\.10,4562,.*,28001,5\r\n$/);
  t.equal(csvRow(UDP).split(",").length, CSV_HEADING.split(",").length);
});

const SESSION = {
  event: "session-created",
  class: "sessions",
  time: 1_795_714_346_816,
  text: "",
  fields: {
    protocol: "udp",
    zone: "a",
    zoneId: 10,
    address: "192.168.0.10",
    port: 4562,
    externalZone: "public",
    externalZoneId: 20,
    external: "203.0.113.7",
    externalPort: 9553,
    remote: "8.8.8.8",
    remotePort: 53,
  },
} as const;

t.test("events: sessions as conntrack -E", async (t) => {
  const tuples =
    "udp      17 src=192.168.0.10 dst=8.8.8.8 sport=4562 dport=53 zone-orig=10 [UNREPLIED] " +
    "src=8.8.8.8 dst=203.0.113.7 sport=53 dport=9553 zone-reply=20";
  t.equal(eventLine(SESSION, false), `    [NEW] ${tuples}`);
  t.equal(eventLine(SESSION, true), `[1795714346.816000]\t    [NEW] ${tuples}`);
  const deleted = { ...SESSION, event: "session-deleted" } as const;
  t.equal(eventLine(deleted, false), `[DESTROY] ${tuples.replace("[UNREPLIED] ", "")}`);
});

t.test("events: a forwarded session answers from its target", async (t) => {
  const forwarded = {
    ...SESSION,
    fields: { ...SESSION.fields, target: "10.0.0.5", targetPort: 80 },
  };
  t.match(
    eventLine(forwarded, false),
    /\[UNREPLIED\] src=10\.0\.0\.5 dst=203\.0\.113\.7 sport=80 /,
  );
});

t.test(
  "events: what else happens is told by its text, which cannot reach the terminal",
  async (t) => {
    const alarm = {
      ...SESSION,
      event: "table-full",
      class: "alarms",
      text: "full\x1b[2J",
    } as const;
    t.equal(eventLine(alarm, false), " [ALARMS] full?[2J");
  },
);
