/** What events look like on their way: JSON lines, syslog, IPFIX. Witnesses of all three: test/lab/telemetry.test.ts. */
import t from "tap";
import { EventKind, Reason } from "../../../assembly/abi.js";
import { Element, Ipfix } from "../../../host/telemetry/ipfix.js";
import { jsonLine, jsonLines } from "../../../host/telemetry/jsonlog.js";
import { syslogLines, syslogMessage } from "../../../host/telemetry/syslog.js";
import { event, NOON, session } from "../../harness/events.js";

const SYSLOG = { facility: "local0", hostname: "edge", processId: 7, counted: false } as const;

t.test("a JSON line has the fields of its kind and no others", async (t) => {
  const line = jsonLine(session());
  t.ok(line.endsWith("}\n"));
  t.same(JSON.parse(line), {
    time: "2026-01-31T12:00:00.000Z",
    event: "session-created",
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
  });
  const forwarded = JSON.parse(jsonLine(session({ target: "10.0.0.1", targetNumber: 1 })));
  t.equal(forwarded.target, "10.0.0.1", "where a forward leads");
});

t.test("RFC 5424: header, structured data, text", async (t) => {
  const message = syslogMessage(session(), SYSLOG);
  t.equal(
    message,
    "<134>1 2026-01-31T12:00:00.000Z edge crosszone 7 session-created " +
      '[crosszone@32473 protocol="udp" zone="a" zoneId="10" address="192.168.0.10" port="4562" ' +
      'externalZone="public" externalZoneId="20" external="203.0.113.7" externalPort="9553" ' +
      'remote="8.8.8.8" remotePort="53"] session-created udp 192.168.0.10:4562 of zone a by ' +
      "203.0.113.7:9553 of zone public to 8.8.8.8:53",
  );
  const pool = event(EventKind.PortsExhausted, { pool: 'a"b]c\\d', poolIndex: 0 });
  t.match(syslogMessage(pool, SYSLOG), 'pool="a\\"b\\]c\\\\d"', "section 6.3.3");
  t.match(syslogMessage(pool, { ...SYSLOG, hostname: "a b\u00fc" }), /^<131>1 \S+ ab crosszone /);
});

t.test("RFC 6587: messages in a stream are counted; RFC 5426: one in each datagram", async (t) => {
  const events = [session(), session({ zoneName: "ü" })];
  const stream = syslogLines({ ...SYSLOG, counted: true }).pack(events, 16384);
  let rest = Buffer.from(stream?.bytes ?? []);
  for (let n = 0; n < 2; n++) {
    const [count = ""] = rest.toString().split(" ", 1);
    t.match(rest.subarray(count.length + 1).toString(), /^<134>1 /);
    rest = rest.subarray(count.length + 1 + Number(count));
  }
  t.equal(rest.length, 0);
  t.equal(syslogLines(SYSLOG).pack(events, 1472)?.events, 1);
});

t.test("lines tell of losses in front of what follows, once", async (t) => {
  const lines = jsonLines();
  lines.lost(3, NOON);
  const packed = () =>
    String(lines.pack([session()], 65536)?.bytes)
      .trim()
      .split("\n");
  t.match(JSON.parse(packed()[0] ?? ""), { event: "events-lost", count: 3 });
  t.equal(packed().length, 2, "again, until it has gone");
  lines.sent();
  t.equal(packed().length, 1);
});

interface Parsed {
  readonly sequence: number;
  readonly domain: number;
  readonly sets: readonly { readonly id: number; readonly bytes: Buffer }[];
}

function parse(bytes: Uint8Array | undefined): Parsed {
  const message = Buffer.from(bytes ?? []);
  t.equal(message.readUInt16BE(0), 10);
  t.equal(message.readUInt16BE(2), message.length);
  const sets = [];
  for (let at = 16; at < message.length; at += message.readUInt16BE(at + 2)) {
    const end = at + message.readUInt16BE(at + 2);
    sets.push({ id: message.readUInt16BE(at), bytes: message.subarray(at + 4, end) });
  }
  return { sequence: message.readUInt32BE(8), domain: message.readUInt32BE(12), sets };
}

function ipfix(templateMs?: number) {
  const names = { zones: new Map([[10, "a"]]), pools: new Map([[0, "p1"]]) };
  const format = new Ipfix({ domain: 7, processId: 99, templateMs, names });
  format.begin();
  /** All messages that are due. */
  const messages = (events: Parameters<Ipfix["pack"]>[0], now: number, bytes = 1472) => {
    const found: Parsed[] = [];
    for (let left = [...events]; ; ) {
      const message = format.pack(left, bytes, now);
      if (message === undefined) return found;
      t.ok(message.bytes.length <= bytes, `${message.bytes.length} bytes`);
      found.push(parse(message.bytes));
      format.sent();
      left = left.slice(message.events);
      if (left.length === 0) return found;
    }
  };
  return { format, messages };
}

/** Where an element stands in the records of a template, and how long these are. */
function placeOf(parsed: readonly Parsed[], template: number, element: Element) {
  const set = parsed.flatMap(({ sets }) => sets).find(({ id }) => id === 2)?.bytes;
  if (set === undefined) throw new Error("no templates");
  for (let at = 0; at < set.length; at += 4 + 4 * set.readUInt16BE(at + 2)) {
    if (set.readUInt16BE(at) !== template) continue;
    let place = 0;
    for (let field = 0; field < set.readUInt16BE(at + 2); field++) {
      if (set.readUInt16BE(at + 4 + 4 * field) === element) return place;
      place += set.readUInt16BE(at + 6 + 4 * field);
    }
  }
  throw new Error(`template ${template} has no ${Element[element]}`);
}

t.test("RFC 7011: templates first, then records that they describe", async (t) => {
  const { messages } = ipfix(60_000);
  const block = event(EventKind.BlockAllocated, { externalPort: 1024, lastPort: 1087, zone: 10 });
  const parsed = messages([session(), block, session()], NOON);
  t.same([...new Set(parsed.map(({ domain }) => domain))], [7]);
  t.equal(parsed[0]?.sets[0]?.id, 2);
  const data = parsed.at(-1)?.sets ?? [];
  t.same(
    data.map(({ id, bytes }) => [id, bytes.length]),
    [
      [256, 2 * 42],
      [258, 29],
    ],
    "one set for each template",
  );
  const [sessions, blocks] = data;
  const read = (template: number, element: Element) => placeOf(parsed, template, element);
  t.equal(sessions?.bytes.readUInt8(read(256, Element.NatEvent)), 4);
  t.equal(
    sessions?.bytes.readBigUInt64BE(read(256, Element.ObservationTimeMilliseconds)),
    BigInt(NOON),
  );
  t.equal(sessions?.bytes.readUInt32BE(read(256, Element.IngressVRFID)), 10);
  t.equal(sessions?.bytes.readUInt32BE(read(256, Element.EgressVRFID)), 20);
  t.equal(sessions?.bytes.readUInt16BE(read(256, Element.PostNAPTSourceTransportPort)), 9553);
  t.equal(blocks?.bytes.readUInt16BE(read(258, Element.PortRangeStart)), 1024);
  t.equal(blocks?.bytes.readUInt16BE(read(258, Element.PortRangeEnd)), 1087);
});

t.test(
  "RFC 7011 section 3.1: the sequence counts data records, those of options too",
  async (t) => {
    const { format, messages } = ipfix(60_000);
    const parsed = messages([session(), session()], NOON, 576);
    let expected = 0;
    for (const { sequence, sets } of parsed) {
      t.equal(sequence, expected);
      for (const { id, bytes } of sets) {
        if (id === 256) expected += bytes.length / 42;
        else if (id > 256) expected += 1;
      }
    }
    t.equal(messages([session()], NOON)[0]?.sequence, expected);
    format.begin();
    t.equal(messages([session()], NOON)[0]?.sequence, 0, "anew with each connection");
  },
);

t.test("templates come again over UDP, not over a stream", async (t) => {
  const hasTemplates = (parsed: readonly Parsed[]) =>
    parsed.some(({ sets }) => sets.some(({ id }) => id === 2));
  for (const [templateMs, again] of [
    [60_000, true],
    [undefined, false],
  ] as const) {
    const { messages } = ipfix(templateMs);
    t.ok(hasTemplates(messages([session()], NOON)));
    t.notOk(hasTemplates(messages([session()], NOON + 59_999)));
    t.equal(hasTemplates(messages([session()], NOON + 60_000)), again);
  }
});

t.test("templates come again when the collector was gone, in the same numbering", async (t) => {
  const { format, messages } = ipfix(60_000);
  const sent = messages([session()], NOON);
  format.repeat();
  const [first] = messages([session()], NOON);
  t.equal(first?.sets[0]?.id, 2);
  t.ok((first?.sequence ?? 0) > (sent.at(-1)?.sequence ?? 0));
});

t.test("a message that has not gone is packed again as it was", async (t) => {
  const { format, messages } = ipfix(60_000);
  messages([session()], NOON);
  const first = format.pack([session()], 1472, NOON);
  t.same(format.pack([session()], 1472, NOON), first);
});

t.test("losses are told as an option record", async (t) => {
  const { format, messages } = ipfix(60_000);
  messages([session()], NOON);
  format.lost(5);
  const [report] = messages([], NOON);
  t.equal(report?.sets[0]?.id, 512);
  t.equal(report?.sets[0]?.bytes.readBigUInt64BE(4), 5n);
  t.equal(report?.sets[0]?.bytes.readBigUInt64BE(12), 1n, "and one has been sent");
  t.same(messages([], NOON), [], "once");
});

t.test(
  "RFC 8158 S7: every alarm that has a record gets one, the others are not taken",
  async (t) => {
    const { format, messages } = ipfix(60_000);
    const quota = (value: Reason) => event(EventKind.QuotaExceeded, { value, zone: 10, limit: 5 });
    const alarms = [
      [event(EventKind.AddressesExhausted, { poolIndex: 0 }), 259],
      [event(EventKind.PortsExhausted, { poolIndex: 0 }), 260],
      [quota(Reason.ZoneConnLimit), 261],
      [quota(Reason.HostConnLimit), 262],
      [event(EventKind.TableFull, { value: Reason.HostTableFull }), 263],
      [event(EventKind.ThresholdReached, { poolIndex: 0 }), 264],
      [event(EventKind.ThresholdCleared, { poolIndex: 0 }), 265],
      [event(EventKind.ThresholdReached, { zone: 10 }), 266],
      [event(EventKind.ThresholdReached), 267],
    ] as const;
    for (const [alarm, template] of alarms) {
      t.ok(format.takes(alarm));
      t.equal(messages([alarm], NOON).at(-1)?.sets[0]?.id, template);
    }
    for (const kind of [
      EventKind.ClockJumped,
      EventKind.InterfaceLost,
      EventKind.ThresholdCleared,
    ]) {
      t.notOk(format.takes(event(kind)));
    }
  },
);
