/**
 * TCP as the RFCs ask a NAT to treat it: RFC 5382 (behaviour), RFC 7857 section 2 with the states of RFC 6146
 * section 3.5.2, RFC 5961 (resets), and what peers test. Requirements of mapping and filtering stand elsewhere.
 */

import t from "tap";
import { Policy } from "../../assembly/abi.js";
import { type TcpExtras, TcpFlags } from "../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, TENANT } from "../harness/host.js";
import { setPolicy } from "../harness/policy.js";
import { Router, type Sent } from "../harness/router.js";

const { Syn, Ack, Fin, Rst, Psh } = TcpFlags;

const ESTABLISHED = 7440;
const TRANSITORY = 240;

/** The first sequence numbers of the two sides, so that nobody can mistake one for the other. */
const INSIDE = 1_000_000;
const OUTSIDE = 2_000_000_000;

/** Tenant a's port 10000 and the server's port 80. */
class Talk {
  readonly a: Host;
  readonly server: Host;
  port = 0;

  constructor(readonly router: Router = new Router(edge())) {
    const { a, server } = around(router);
    this.a = a;
    this.server = server;
  }

  /** A segment from inside. */
  inside(flags: number, segment: TcpExtras = {}): Sent[] {
    const sent = this.a.tcp(SERVER, 10000, 80, flags, segment);
    this.port = sent[0]?.ip?.sourcePort ?? this.port;
    return sent;
  }

  /** A segment from outside. */
  outside(flags: number, segment: TcpExtras = {}): Sent[] {
    return this.server.tcp(EXTERNAL, 80, this.port, flags, segment);
  }

  /** SYN, SYN with ACK, ACK. */
  open(inside: TcpExtras = {}, outside: TcpExtras = {}): this {
    this.inside(Syn, { sequence: INSIDE, ...inside });
    this.outside(Syn | Ack, { sequence: OUTSIDE, ...outside });
    this.inside(Ack);
    return this;
  }

  /** FIN of both sides. */
  close(): this {
    this.inside(Fin | Ack);
    this.outside(Fin | Ack);
    this.inside(Ack);
    return this;
  }

  get ended(): Record<string, number> {
    return this.router.ended;
  }

  get phase(): string | undefined {
    return this.router.conns()[0]?.phase;
  }

  /** Seconds that it may be idle from now on. */
  get idle(): number {
    return Math.round((this.router.conns()[0]?.expiresInMs ?? 0) / 1000);
  }

  /** Phase and timer. */
  get state(): unknown[] {
    return [this.phase, this.idle];
  }
}

const FORWARDED = { Forwarded: 1 };
const DROPPED = { TcpOutOfWindow: 1 };

// --- RFC 5382 R2: all valid sequences of segments

t.test(
  "RFC 5382 R2; RFC 7857 S1: handshake, data and close, with a timer of its own for each",
  async (t) => {
    const talk = new Talk();
    talk.inside(Syn, { sequence: INSIDE });
    t.same(talk.state, ["new", TRANSITORY]);
    talk.outside(Syn | Ack, { sequence: OUTSIDE });
    t.same(talk.state, ["established", ESTABLISHED]);
    talk.inside(Ack);
    for (let n = 0; n < 100; n++) {
      talk.inside(Ack | Psh, { data: 1460 });
      t.same(talk.ended, FORWARDED);
      talk.outside(Ack | Psh, { data: 1460 });
      t.same(talk.ended, FORWARDED);
    }
    t.same(talk.state, ["established", ESTABLISHED]);
    talk.inside(Fin | Ack);
    t.same(talk.state, ["fin-original", ESTABLISHED]);
    talk.outside(Fin | Ack);
    t.same(talk.state, ["closing", TRANSITORY]);
    talk.inside(Ack);
    t.same([talk.ended, talk.phase], [FORWARDED, "closing"]);
  },
);

t.test("RFC 5382 R2a; peers P27: simultaneous open", async (t) => {
  const talk = new Talk();
  talk.inside(Syn, { sequence: INSIDE });
  talk.outside(Syn, { sequence: OUTSIDE });
  t.same([talk.ended, talk.state], [FORWARDED, ["new", TRANSITORY]], "SYN of the other side");
  talk.inside(Syn | Ack, { sequence: INSIDE });
  t.same([talk.ended, talk.phase], [FORWARDED, "new"], "its own is not acknowledged yet");
  talk.outside(Syn | Ack, { sequence: OUTSIDE });
  t.same([talk.ended, talk.state], [FORWARDED, ["established", ESTABLISHED]]);
  talk.inside(Ack, { data: 100 });
  t.same(talk.ended, FORWARDED);
  talk.outside(Ack, { data: 100 });
  t.same(talk.ended, FORWARDED);
});

t.test(
  "RFC 5382 R2a: simultaneous open where SYNs and acknowledgments are sent again",
  async (t) => {
    const talk = new Talk();
    for (const flags of [Syn, Syn]) talk.inside(flags, { sequence: INSIDE });
    for (const flags of [Syn, Syn]) {
      talk.outside(flags, { sequence: OUTSIDE });
      t.same(talk.ended, FORWARDED);
    }
    talk.outside(Syn | Ack, { sequence: OUTSIDE });
    t.same(talk.state, ["established", ESTABLISHED], "the other order");
    talk.inside(Syn | Ack, { sequence: INSIDE });
    t.same(talk.ended, FORWARDED);
    talk.outside(Syn | Ack, { sequence: OUTSIDE });
    t.same(talk.ended, FORWARDED);
    t.same(talk.phase, "established");
  },
);

t.test("RFC 5382 R2: a conn that the outside opens, by a forward", async (t) => {
  const to = { zone: "a", address: TENANT, port: 80 };
  const forward = { protocol: "tcp", zone: "public", address: EXTERNAL, port: 8080, to };
  const router = new Router(edge({ forwards: [forward] }));
  const { a, server } = around(router);
  const phase = () => router.conns()[0]?.phase;
  server.tcp(EXTERNAL, 700, 8080, Syn, { sequence: OUTSIDE });
  a.tcp(SERVER, 80, 700, Syn | Ack, { sequence: INSIDE });
  t.equal(phase(), "established");
  server.tcp(EXTERNAL, 700, 8080, Ack, { data: 10 });
  t.same(router.ended, FORWARDED);
  server.tcp(EXTERNAL, 700, 8080, Fin | Ack);
  t.equal(phase(), "fin-original");
  a.tcp(SERVER, 80, 700, Fin | Ack);
  t.equal(phase(), "closing");
});

t.test("RFC 5382 R2: keep-alives, with no byte and with one", async (t) => {
  const talk = new Talk().open();
  talk.inside(Ack, { data: 1000 });
  talk.outside(Ack);
  for (const data of [0, 1]) {
    talk.inside(Ack, { sequence: INSIDE + 1000, data });
    t.same(talk.ended, FORWARDED, `${data} bytes from inside`);
    talk.outside(Ack, { sequence: OUTSIDE, data });
    t.same(talk.ended, FORWARDED, `${data} bytes from outside`);
  }
});

t.test("RFC 5382 R2: a window that is shut, and the probe of it", async (t) => {
  const talk = new Talk().open({ window: 500 }, { window: 500 });
  talk.outside(Ack, { window: 500 });
  talk.inside(Ack, { data: 500, window: 500 });
  talk.outside(Ack, { window: 0 });
  talk.inside(Ack, { data: 1, sequence: INSIDE + 501, window: 500 });
  t.same(talk.ended, FORWARDED, "the probe");
  talk.inside(Ack, { sequence: INSIDE + 502 });
  t.same(talk.ended, FORWARDED, "what is said behind it");
  talk.outside(Ack, { window: 0, acknowledgment: INSIDE + 501 });
  t.same(talk.ended, FORWARDED, "refused, still shut");
  talk.outside(Ack, { window: 500, acknowledgment: INSIDE + 501 });
  t.same(talk.ended, FORWARDED, "open");
});

t.test("RFC 7323 S1: windows are scaled where both SYNs offer it, and only there", async (t) => {
  const scale = (shift: number) => Buffer.from([1, 3, 3, shift]);
  const far = (talk: Talk, bytes: number) => {
    talk.inside(Ack, { sequence: INSIDE + 1 + bytes, data: 10 });
    return talk.ended;
  };
  const both = () => new Talk().open({ options: scale(7) }, { options: scale(4), window: 1000 });
  t.same(far(both(), 1000), FORWARDED, "the window of a SYN is not scaled");
  t.same(far(both(), 1001), DROPPED);
  const later = both();
  later.outside(Ack, { window: 1000 });
  t.same(far(later, 16_001), DROPPED);
  t.same(far(later, 16_000), FORWARDED, "1000 << 4");
  const one = new Talk().open({ options: scale(7) }, { window: 1000 });
  one.outside(Ack, { window: 1000 });
  t.same(far(one, 1001), DROPPED, "only one side offered");
  const fifteen = new Talk().open({ options: scale(15) }, { options: scale(255), window: 1000 });
  fifteen.outside(Ack, { window: 0xffff });
  t.same(far(fifteen, 0xffff * 2 ** 14), FORWARDED, "RFC 7323 2.3: above 14 is 14");
  t.same(far(fifteen, 0xffff * 2 ** 14 + 1), DROPPED);
});

t.test("RFC 7323 S1: options that contradict themselves offer nothing", async (t) => {
  const bad = ["03000000", "03010101", "03ff0101", "01010103", "00030307", "02020301", "03040701"];
  for (const hex of bad) {
    const options = Buffer.from(hex, "hex");
    const talk = new Talk().open({ options }, { options: Buffer.from([3, 3, 7, 0]), window: 1000 });
    talk.outside(Ack, { window: 1000 });
    talk.inside(Ack, { sequence: INSIDE + 2000, data: 10 });
    t.same(talk.ended, DROPPED, hex);
  }
});

t.test("RFC 5382 R2: a SYN with data, acknowledged in part or whole (RFC 7413)", async (t) => {
  for (const acknowledged of [0, 100]) {
    const talk = new Talk();
    talk.inside(Syn, { sequence: INSIDE, data: 100 });
    talk.outside(Syn | Ack, { sequence: OUTSIDE, acknowledgment: INSIDE + 1 + acknowledged });
    t.same([talk.ended, talk.phase], [FORWARDED, "established"], `${acknowledged} bytes`);
  }
});

// --- windows

t.test("RFC 5382 R2: a segment outside of the window is dropped and changes nothing", async (t) => {
  const talk = new Talk().open();
  talk.router.wait(60_000);
  const before = talk.router.conns();
  const inside: TcpExtras[] = [
    { sequence: INSIDE + 1 + 65_537 },
    { sequence: INSIDE + 1 - 65_537 },
    { acknowledgment: OUTSIDE + 2 },
    { acknowledgment: OUTSIDE + 1 - 65_536 },
    { sequence: INSIDE + 2 ** 31, acknowledgment: OUTSIDE + 1 },
    { acknowledgment: (OUTSIDE + 2 ** 31) % 2 ** 32 },
  ];
  for (const segment of inside) {
    for (const flags of [Ack, Ack | Fin, Ack | Psh]) {
      t.same(talk.inside(flags, segment), []);
      t.same(talk.ended, DROPPED, JSON.stringify(segment));
    }
  }
  for (const flags of [0, Fin, Psh]) {
    talk.inside(flags, { sequence: INSIDE + 1 });
    t.same(talk.ended, DROPPED, "RFC 9293 3.10.7.4: no ACK");
  }
  t.same(talk.router.conns(), before, "phase, timer, packets and bytes");
  talk.inside(Ack, { sequence: INSIDE + 1 });
  t.same([talk.ended, talk.idle], [FORWARDED, ESTABLISHED]);
});

t.test("RFC 5382 R2: sequence numbers wrap", async (t) => {
  const talk = new Talk().open({ sequence: 2 ** 32 - 1 }, { sequence: 2 ** 32 - 1000 });
  let [mine, theirs] = [0, 2 ** 32 - 999];
  for (let n = 0; n < 10; n++) {
    const [at, expected] = [mine % 2 ** 32, theirs % 2 ** 32];
    talk.inside(Ack, { sequence: at, acknowledgment: expected, data: 500 });
    t.same(talk.ended, FORWARDED);
    mine += 500;
    const [next] = [mine % 2 ** 32];
    talk.outside(Ack, { sequence: expected, acknowledgment: next, data: 700 });
    t.same(talk.ended, FORWARDED);
    theirs += 700;
  }
});

t.test("RFC 5382 R2: nothing is judged by its window where the policy is liberal", async (t) => {
  const talk = new Talk();
  setPolicy(talk.router, Policy.TcpLiberal);
  talk.inside(Syn, { sequence: INSIDE });
  talk.outside(Ack, { sequence: 7, acknowledgment: 7 });
  t.same([talk.ended, talk.phase], [FORWARDED, "established"]);
  for (const sequence of [0, 2 ** 30, 2 ** 31, 2 ** 32 - 1]) {
    talk.inside(Ack, { sequence, acknowledgment: sequence });
    t.same(talk.ended, FORWARDED);
    talk.outside(Ack, { sequence, acknowledgment: sequence });
    t.same(talk.ended, FORWARDED);
  }
  talk.outside(Fin | Ack, { sequence: 99 });
  t.equal(talk.phase, "fin-reply");
  talk.outside(Rst, { sequence: 12345 });
  t.same([talk.ended, talk.state], [FORWARDED, ["reset", TRANSITORY]], "any RST");
});

// --- RFC 5382 R4: unsolicited SYNs

/** A stranger on the public network. */
function stranger(router: Router): Host {
  return new Host(router, "wan", "203.0.113.98");
}

t.test(
  "RFC 5382 R4; RFC 5382 R4c: an unsolicited SYN meets silence for six seconds, then ICMP 3/3",
  async (t) => {
    const router = new Router(edge());
    const from = stranger(router);
    const frame = from.frame(EXTERNAL, from.segment(EXTERNAL, 7, 4000, Syn, { data: 200 }));
    t.same(router.send("wan", frame), []);
    t.same(router.ended, { TcpUnsolicited: 1 });
    t.same(router.wait(5999), []);
    const [told, ...more] = router.wait(200);
    t.same(more, []);
    t.same([told?.device, told?.to], ["wan", from.mac]);
    t.same([told?.ip?.source, told?.ip?.destination], ["203.0.113.2", "203.0.113.98"]);
    t.same([told?.ip?.icmpType, told?.ip?.icmpCode], [3, 3]);
    t.same(told?.ip?.data, frame.subarray(14, 14 + 120), "the SYN as it came, as much as is kept");
    t.same(router.wait(100_000), [], "once");
    t.same(router.conns(), []);
  },
);

t.test("RFC 5382 R4: a SYN that is sent again is answered once, and anew after that", async (t) => {
  const router = new Router(edge());
  const from = stranger(router);
  const send = () => from.tcp(EXTERNAL, 7, 4000, Syn);
  send();
  router.wait(1000);
  send();
  router.wait(2000);
  t.same(send(), []);
  t.same(router.ended, { TcpUnsolicited: 1 });
  t.equal(router.wait(3000).length, 1);
  t.equal(router.wait(60_000).length, 0);
  send();
  t.equal(router.wait(6000).length, 1);
});

t.test(
  "RFC 5382 R4b: an outbound SYN meanwhile opens both at once, and nobody is told",
  async (t) => {
    const talk = new Talk(new Router(edge({ pools: [pool("5000-5000")] })));
    talk.port = 5000;
    talk.outside(Syn, { sequence: OUTSIDE });
    t.same(talk.ended, { TcpUnsolicited: 1 });
    talk.router.wait(3000);
    t.equal(talk.inside(Syn, { sequence: INSIDE })[0]?.ip?.sourcePort, 5000);
    talk.outside(Syn, { sequence: OUTSIDE });
    t.same([talk.ended, talk.phase], [FORWARDED, "new"], "sent again, it passes");
    talk.inside(Syn | Ack, { sequence: INSIDE });
    talk.outside(Syn | Ack, { sequence: OUTSIDE });
    t.same([talk.ended, talk.phase], [FORWARDED, "established"]);
    t.same(talk.router.wait(10_000), [], "silently discarded");
  },
);

function pool(ports: string) {
  return { name: "p1", zone: "public", addresses: [EXTERNAL], ports };
}

t.test("RFC 5382 R4a: silent by policy", async (t) => {
  const router = new Router(edge());
  setPolicy(router, Policy.SilentSyn);
  stranger(router).tcp(EXTERNAL, 7, 4000, Syn);
  t.same(router.ended, { TcpUnsolicited: 1 });
  t.same(router.wait(60_000), []);
});

t.test("RFC 5382 R4: only SYNs, and only for external addresses", async (t) => {
  const router = new Router(edge());
  const from = stranger(router);
  for (const flags of [Ack, Syn | Ack, Rst, Fin, Syn | Rst, Syn | Fin]) {
    from.tcp(EXTERNAL, 7, 4000, flags);
    t.same(router.ended, { NoFlow: 1 }, `flags ${flags}`);
  }
  from.udp(EXTERNAL, 7, 4000);
  t.same(router.ended, { NoFlow: 1 });
  from.tcp("203.0.113.77", 7, 4000, Syn);
  t.same(router.ended, { NoFlow: 1 });
  t.same(router.wait(60_000), []);
});

t.test("RFC 5382 R4: an external address that is the router's own", async (t) => {
  const pools = [{ name: "p1", zone: "public", addresses: ["203.0.113.2"] }];
  const router = new Router(edge({ pools }));
  stranger(router).tcp("203.0.113.2", 7, 4000, Syn);
  t.same(router.ended, { TcpUnsolicited: 1 });
  t.equal(router.wait(7000).length, 1);
});

t.test("RFC 5382 R4: bounded per zone; beyond the bound there is no answer", async (t) => {
  const router = new Router(edge());
  const from = stranger(router);
  for (let port = 1; port <= 100; port++) {
    from.tcp(EXTERNAL, port, 4000, Syn);
    t.same(router.ended, { TcpUnsolicited: 1 });
    router.wait(20);
  }
  const told = router.wait(7000);
  t.same(
    told.map(({ ip }) => ip?.data.readUInt16BE(20)),
    Array.from({ length: 64 }, (_, i) => i + 1),
  );
});

t.test("RFC 5382 R4: errors about many SYNs are limited as all errors are", async (t) => {
  const router = new Router(edge());
  const from = stranger(router);
  for (let port = 1; port <= 64; port++) from.tcp(EXTERNAL, port, 4000, Syn);
  t.equal(router.wait(7000).length, 50);
});

t.test("RFC 5382 R4: what waits is forgotten with its configuration", async (t) => {
  const router = new Router(edge());
  stranger(router).tcp(EXTERNAL, 7, 4000, Syn);
  router.reconfigure(edge({ pools: [], nat: [] }));
  t.same(router.wait(60_000), []);
  router.reconfigure(edge());
  for (let round = 0; round < 10; round++) {
    for (let port = 1; port <= 64; port++) stranger(router).tcp(EXTERNAL, port, 4000, Syn);
    router.reconfigure(edge());
  }
  stranger(router).tcp(EXTERNAL, 7, 4000, Syn);
  t.equal(router.wait(60_000).length, 1, "and leaves its place");
});

t.test("RFC 5382 R4: across the wrap of the 32-bit clock", async (t) => {
  const router = new Router(edge(), { now: 2 ** 32 - 3000 });
  stranger(router).tcp(EXTERNAL, 7, 4000, Syn);
  t.same(router.wait(5999), []);
  t.equal(router.wait(200).length, 1);
});

// --- RFC 5382 R5, RFC 7857 2.1: timers

t.test("RFC 5382 R5; RFC 5382 R5b: established 2 h 4 min, transitory 4 min", async (t) => {
  const lives = (talk: Talk, seconds: number) => {
    talk.router.wait(seconds * 1000 - 1);
    const before = talk.router.conns().length;
    talk.router.wait(300);
    return [before, talk.router.conns().length];
  };
  const opening = new Talk();
  opening.inside(Syn);
  t.same(lives(opening, 240), [1, 0], "opening");
  t.same(lives(new Talk().open(), 7440), [1, 0], "established");
  t.same(lives(new Talk().open().close(), 240), [1, 0], "closing");
  const half = new Talk().open();
  half.outside(Fin | Ack);
  t.same(lives(half, 7440), [1, 0], "half-closed");
  const reset = new Talk().open();
  reset.outside(Rst);
  t.same(lives(reset, 240), [1, 0], "reset");
});

t.test("RFC 5382 R5a: configurable", async (t) => {
  const router = new Router(edge({ timeouts: { tcpEstablished: 8000, tcpTransitory: 300 } }));
  const talk = new Talk(router);
  talk.inside(Syn);
  t.equal(talk.idle, 300);
  talk.outside(Syn | Ack);
  t.equal(talk.idle, 8000);
});

t.test("RFC 7857 S1: half-closed, the other side goes on for as long as it likes", async (t) => {
  const talk = new Talk().open();
  talk.inside(Fin | Ack);
  for (let hour = 0; hour < 10; hour++) {
    talk.router.wait(3_600_000);
    talk.outside(Ack, { data: 1000 });
    t.same([talk.ended, talk.state], [FORWARDED, ["fin-original", ESTABLISHED]]);
    talk.inside(Ack);
    t.same(talk.ended, FORWARDED);
  }
  talk.outside(Fin | Ack);
  t.same(talk.state, ["closing", TRANSITORY]);
});

// --- RFC 7857 2.2, RFC 5961: RST

t.test("RFC 7857 S2; RFC 7857 S7: a RST is translated, then four minutes are left", async (t) => {
  for (const side of ["inside", "outside"] as const) {
    const talk = new Talk().open();
    talk.router.wait(1000);
    const [sent] = talk[side](Rst);
    t.equal(sent?.ip?.payload[13], Rst, `from ${side}`);
    t.same(talk.state, ["reset", TRANSITORY]);
    talk.router.wait(100_000);
    talk[side](Rst);
    t.same([talk.ended, talk.state], [FORWARDED, ["reset", 140]], "another one prolongs nothing");
  }
});

t.test(
  "RFC 7857 S2: after a RST, whoever speaks on is established again (RFC 6146 3.5.2.2)",
  async (t) => {
    const talk = new Talk().open();
    talk.outside(Rst);
    talk.inside(Ack, { data: 10, sequence: INSIDE + 2 ** 25 });
    t.same([talk.ended, talk.phase], [DROPPED, "reset"], "not what is outside of the window");
    talk.inside(Ack, { data: 10 });
    t.same([talk.ended, talk.state], [FORWARDED, ["established", ESTABLISHED]]);
  },
);

t.test(
  "RFC 5961 S1; RFC 5961 S2: a RST counts only with the number that its receiver expects",
  async (t) => {
    const talk = new Talk().open();
    talk.outside(Ack, { data: 1000 });
    talk.router.wait(50_000);
    const before = talk.state;
    for (const sequence of [OUTSIDE + 2, OUTSIDE + 1000, OUTSIDE + 1002, OUTSIDE + 1 + 65_535]) {
      t.equal(talk.outside(Rst, { sequence }).length, 1, "its receiver is to challenge it");
      t.same([talk.ended, talk.state], [FORWARDED, before], `${sequence - OUTSIDE} on`);
    }
    for (const sequence of [OUTSIDE + 1 + 65_537, OUTSIDE + 1000 - 65_535, OUTSIDE + 2 ** 31]) {
      talk.outside(Rst, { sequence: sequence % 2 ** 32 });
      t.same([talk.ended, talk.state], [DROPPED, before], `${sequence - OUTSIDE} on`);
    }
    talk.outside(Rst, { sequence: OUTSIDE + 1001 });
    t.same(talk.state, ["reset", TRANSITORY], "the end of what its sender sent");
    const other = new Talk().open();
    other.outside(Ack, { data: 1000 });
    other.outside(Rst, { sequence: OUTSIDE + 1 });
    t.same(other.state, ["reset", TRANSITORY], "what its receiver acknowledged");
  },
);

t.test("RFC 5961 S1: a SYN is refused only by a RST that acknowledges it", async (t) => {
  const talk = new Talk();
  talk.inside(Syn, { sequence: INSIDE });
  for (const [flags, acknowledgment] of [
    [Rst, INSIDE + 1],
    [Rst | Ack, INSIDE],
    [Rst | Ack, INSIDE + 2],
    [Rst | Ack, 0],
  ] as const) {
    talk.outside(flags, { sequence: 0, acknowledgment });
    t.same([talk.ended, talk.phase], [DROPPED, "new"]);
  }
  talk.outside(Rst | Ack, { sequence: 0, acknowledgment: INSIDE + 1 });
  t.same([talk.ended, talk.state], [FORWARDED, ["reset", TRANSITORY]]);
});

t.test("RFC 5961 S3: a SYN of an open connection passes and changes nothing", async (t) => {
  for (const side of ["inside", "outside"] as const) {
    const talk = new Talk().open();
    talk.router.wait(100_000);
    const before = talk.state;
    for (const sequence of [0, INSIDE + 1, OUTSIDE + 1]) {
      talk[side](Syn, { sequence });
      t.same([talk.ended, talk.state], [FORWARDED, before], `from ${side}`);
    }
  }
});

// --- what peers test

t.test(
  "peers P19; peers P20; peers P21: close from inside, from outside, and by both at once",
  async (t) => {
    const orders = {
      inside: ["inside", "outside"],
      outside: ["outside", "inside"],
    } as const;
    for (const [name, [first, second]] of Object.entries(orders)) {
      const talk = new Talk().open();
      talk[first](Fin | Ack);
      talk[second](Ack);
      talk[second](Fin | Ack);
      talk[first](Ack);
      t.same([talk.ended, talk.state], [FORWARDED, ["closing", TRANSITORY]], name);
    }
    const both = new Talk().open();
    both.inside(Fin | Ack);
    both.outside(Fin | Ack, { acknowledgment: INSIDE + 1 });
    both.inside(Ack);
    both.outside(Ack);
    t.same([both.ended, both.state], [FORWARDED, ["closing", TRANSITORY]]);
  },
);

t.test("peers P19: a FIN that is sent again closes one side only", async (t) => {
  const talk = new Talk().open();
  for (let n = 0; n < 3; n++) {
    talk.outside(Fin | Ack, { sequence: OUTSIDE + 1 });
    t.same([talk.ended, talk.phase], [FORWARDED, "fin-reply"]);
  }
});

t.test("peers P24: a retransmitted SYN, also with another number", async (t) => {
  const talk = new Talk();
  for (const sequence of [INSIDE, INSIDE, 77, INSIDE]) {
    talk.inside(Syn, { sequence });
    t.same([talk.ended, talk.state], [FORWARDED, ["new", TRANSITORY]]);
    talk.router.wait(100_000);
  }
  t.equal(talk.router.conns().length, 1);
  talk.outside(Syn | Ack, { sequence: OUTSIDE, acknowledgment: 78 });
  t.same([talk.ended, talk.phase], [FORWARDED, "new"], "an answer to the other one does not open");
  talk.outside(Syn | Ack, { sequence: OUTSIDE, acknowledgment: INSIDE + 1 });
  t.equal(talk.phase, "established");
  talk.outside(Syn | Ack, { sequence: OUTSIDE, acknowledgment: INSIDE + 1 });
  t.same([talk.ended, talk.phase], [FORWARDED, "established"], "a retransmitted answer");
});

t.test("peers P25; RFC 7857 S3: RST out of window", async (t) => {
  for (const side of ["inside", "outside"] as const) {
    const talk = new Talk().open();
    talk[side](Rst, { sequence: 5 });
    t.same([talk.ended, talk.state], [DROPPED, ["established", ESTABLISHED]], `from ${side}`);
  }
});

t.test("peers P26: time-wait reuse, from either side", async (t) => {
  for (const [first, second] of [
    ["inside", "outside"],
    ["outside", "inside"],
  ] as const) {
    const talk = new Talk().open().close();
    talk[first](Syn, { sequence: 3_000_000 });
    t.same([talk.ended, talk.state], [FORWARDED, ["new", TRANSITORY]], `opened from ${first}`);
    talk[second](Syn | Ack, { sequence: 4_000_000, acknowledgment: 3_000_001 });
    t.same([talk.ended, talk.state], [FORWARDED, ["established", ESTABLISHED]]);
    talk[first](Ack, { data: 10, sequence: 3_000_001, acknowledgment: 4_000_001 });
    t.same(talk.ended, FORWARDED);
    t.equal(talk.router.conns().length, 1);
  }
});

t.test("peers P22; peers P23: half-open, then opened again from either side", async (t) => {
  for (const [crashed, other] of [
    ["inside", "outside"],
    ["outside", "inside"],
  ] as const) {
    const talk = new Talk().open();
    const [mine, theirs] = crashed === "inside" ? [INSIDE, OUTSIDE] : [OUTSIDE, INSIDE];
    talk[crashed](Syn, { sequence: 70_000 });
    t.same([talk.ended, talk.phase], [FORWARDED, "established"], "SYN of who has forgotten");
    const numbers = { sequence: theirs + 1, acknowledgment: mine + 1 };
    talk[other](Ack, numbers);
    t.same([talk.ended, talk.phase], [FORWARDED, "established"], "challenged");
    talk[crashed](Rst, { sequence: mine + 1 });
    t.same([talk.ended, talk.phase], [FORWARDED, "reset"], "RST");
    talk[crashed](Syn, { sequence: 70_000 });
    talk[other](Syn | Ack, { sequence: 90_000, acknowledgment: 70_001 });
    t.same([talk.ended, talk.state], [FORWARDED, ["established", ESTABLISHED]], "opened again");
  }
});

t.test("peers P22: half-open where the router has forgotten too", async (t) => {
  const talk = new Talk();
  talk.inside(Syn, { sequence: INSIDE });
  talk.outside(Ack, { sequence: 5, acknowledgment: 6 });
  t.same([talk.ended, talk.phase], [FORWARDED, "new"], "the other end remembers another one");
  talk.outside(Ack, { sequence: 5, acknowledgment: 6, data: 10 });
  t.same([talk.ended, talk.phase], [DROPPED, "new"], "but may not say more than that");
  talk.inside(Rst, { sequence: 6 });
  t.same([talk.ended, talk.phase], [FORWARDED, "new"]);
  talk.inside(Syn, { sequence: INSIDE });
  talk.outside(Syn | Ack, { sequence: OUTSIDE, acknowledgment: INSIDE + 1 });
  t.equal(talk.phase, "established");
});

t.test("peers P22: the opener gives up before it is answered", async (t) => {
  const talk = new Talk();
  talk.inside(Syn, { sequence: INSIDE });
  talk.inside(Rst, { sequence: INSIDE + 1 });
  t.same(talk.state, ["reset", TRANSITORY]);
  talk.outside(Syn | Ack, { sequence: OUTSIDE });
  t.same([talk.ended, talk.phase], [FORWARDED, "established"], "the answer crossed the RST");
  talk.inside(Rst, { sequence: INSIDE + 1 });
  t.same(talk.phase, "reset");
});

t.test("peers P27: a SYN forged from the other side does not keep the answer out", async (t) => {
  const talk = new Talk();
  talk.inside(Syn, { sequence: INSIDE });
  talk.outside(Syn, { sequence: 12_345 });
  talk.outside(Syn | Ack, { sequence: OUTSIDE, acknowledgment: INSIDE + 1 });
  t.same([talk.ended, talk.phase], [FORWARDED, "established"]);
  talk.inside(Ack, { sequence: INSIDE + 1, acknowledgment: OUTSIDE + 1, data: 10 });
  t.same(talk.ended, FORWARDED);
});
