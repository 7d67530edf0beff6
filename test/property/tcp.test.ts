/**
 * Conversations between two TCP ends with the router between them: segments are lost, sent again, sent in
 * another order; windows are scaled, shut and probed; numbers wrap. Nothing that the ends may send is dropped,
 * and what somebody sends who does not know their numbers changes nothing.
 */

import fc from "fast-check";
import t from "tap";
import { TcpFlags, tcp } from "../harness/frame.js";
import { around, EXTERNAL, edge, type Host, SERVER } from "../harness/host.js";
import { holds } from "../harness/property.js";
import { Router, type Sent } from "../harness/router.js";

const { Syn, Ack, Fin, Rst, Psh } = TcpFlags;
const MSS = 1460;
/** What a segment lags behind at most: a place that another one took. Windows hold more than that. */
const WINDOW_MIN = 4 * MSS;

const u32 = (n: number) => n >>> 0;
const isAfter = (a: number, b: number) => ((a - b) | 0) > 0;

interface Segment {
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly window: number;
  readonly options?: Buffer;
  readonly bytes: number;
}

interface Setup {
  readonly first: number;
  /** What it offers, -1 for no option. */
  readonly scale: number;
  readonly buffer: number;
}

function length({ flags, bytes }: Segment): number {
  return bytes + (flags & Syn ? 1 : 0) + (flags & Fin ? 1 : 0);
}

/** One end: what RFC 9293 section 3.3.1 says that it remembers, and what waits to be carried. */
class End {
  readonly queue: Segment[] = [];
  private una: number;
  private next: number;
  private expected = 0;
  private synSeen = false;
  private established = false;
  private closed = false;
  private peerWindow = 0;
  private peerScale = -1;
  /** What came ahead of its turn: from and behind, counted from `expected`'s number space. */
  private ahead: [from: number, behind: number, flags: number][] = [];
  private held = 0;

  constructor(
    private readonly setup: Setup,
    readonly isOpener: boolean,
  ) {
    this.una = setup.first;
    this.next = setup.first;
  }

  get isEstablished(): boolean {
    return this.established;
  }

  private get scaled(): boolean {
    return this.setup.scale >= 0 && this.peerScale >= 0;
  }

  /** Takes the application's part: `held` bytes of the buffer are not read yet. */
  hold(part: number): void {
    const before = this.edge();
    const held = this.held;
    this.held = Math.floor(this.setup.buffer * part);
    // RFC 9293 section 3.8.6.2.1: a window is not taken back.
    if (isAfter(before, this.edge())) this.held = held;
  }

  private edge(): number {
    const { scale } = this.setup;
    const shift = this.scaled ? scale : 0;
    const window = Math.min(this.setup.buffer - this.held, 0xffff * 2 ** shift);
    return u32(this.expected + Math.floor(window / 2 ** shift) * 2 ** shift);
  }

  private advertised(isSyn: boolean): number {
    if (isSyn) return Math.min(this.setup.buffer, 0xffff);
    const window = u32(this.edge() - this.expected);
    return this.scaled ? window / 2 ** this.setup.scale : window;
  }

  private say(flags: number, sequence: number, bytes = 0): void {
    const isSyn = (flags & Syn) !== 0;
    const offers = isSyn && this.setup.scale >= 0 && (this.isOpener || this.peerScale >= 0);
    const segment: Segment = {
      flags,
      sequence: u32(sequence),
      acknowledgment: flags & Ack ? this.expected : 0,
      window: this.advertised(isSyn),
      ...(offers ? { options: Buffer.from([1, 3, 3, this.setup.scale]) } : {}),
      bytes,
    };
    this.queue.push(segment);
    const behind = u32(sequence + length(segment));
    if (isAfter(behind, this.next)) this.next = behind;
  }

  private get synFlags(): number {
    return this.synSeen ? Syn | Ack : Syn;
  }

  /** Says something new, as much as the other side takes. */
  speak(wanted: number): void {
    if (!this.established) {
      if (this.isOpener || this.synSeen) this.say(this.synFlags, this.setup.first);
      return;
    }
    const room = (this.una + this.peerWindow - this.next) | 0;
    const bytes = Math.min(wanted, MSS, room);
    if (bytes > 0 && !this.closed) this.say(Ack | Psh, this.next, bytes);
    else this.say(Ack, this.next);
  }

  /** Says the oldest that is not acknowledged again; where nothing is, a keep-alive; where shut, a probe. */
  repeat(withByte: boolean): void {
    if (!this.established) {
      this.speak(0);
      return;
    }
    const left = u32(this.next - this.una) - (this.closed ? 1 : 0);
    if (left > 0) this.say(Ack, this.una, Math.min(left, MSS));
    else if (this.closed && this.next !== this.una) this.say(Fin | Ack, this.una);
    else if (this.peerWindow === 0 && !this.closed) this.say(Ack, this.next, 1);
    else this.say(Ack, this.next - 1, withByte ? 1 : 0);
  }

  finish(): void {
    const room = (this.una + this.peerWindow - this.next) | 0;
    if (!this.established || this.closed || room < 1) return;
    this.closed = true;
    this.say(Fin | Ack, this.next);
  }

  hear(segment: Segment): void {
    const { flags, sequence, acknowledgment } = segment;
    if (flags & Syn) this.hearSyn(segment);
    if (!this.synSeen) return;
    if (flags & Ack && !isAfter(acknowledgment, this.next) && !isAfter(this.una, acknowledgment)) {
      this.una = acknowledgment;
      if (isAfter(acknowledgment, this.setup.first)) this.established = true;
      const shift = this.scaled && !(flags & Syn) ? this.peerScale : 0;
      this.peerWindow = segment.window * 2 ** shift;
    }
    if (length(segment) === 0) return;
    const behind = u32(sequence + length(segment));
    if (isAfter(behind, this.expected) && !isAfter(behind, u32(this.edge() + 1))) {
      this.ahead.push([sequence, behind, flags]);
      this.join();
    }
    this.say(
      this.established ? Ack : this.synFlags,
      this.established ? this.next : this.setup.first,
    );
  }

  private hearSyn({ sequence, options }: Segment): void {
    if (this.synSeen) return;
    this.synSeen = true;
    this.expected = u32(sequence + 1);
    this.peerScale = options?.[3] ?? -1;
  }

  private join(): void {
    for (let found = true; found; ) {
      found = false;
      for (const [from, behind] of this.ahead) {
        if (isAfter(from, this.expected) || !isAfter(behind, this.expected)) continue;
        this.expected = behind;
        found = true;
      }
    }
    this.ahead = this.ahead.filter(([, behind]) => isAfter(behind, this.expected));
  }
}

type Step =
  | { readonly kind: "speak"; readonly end: 0 | 1; readonly bytes: number }
  | { readonly kind: "repeat"; readonly end: 0 | 1; readonly bytes: number }
  | { readonly kind: "hold"; readonly end: 0 | 1; readonly part: number }
  | { readonly kind: "carry"; readonly end: 0 | 1; readonly fate: number }
  | { readonly kind: "finish"; readonly end: 0 | 1 }
  | {
      readonly kind: "attack";
      readonly end: 0 | 1;
      readonly flags: number;
      readonly far: [number, number];
    };

const end = fc.constantFrom<0 | 1>(0, 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("speak" as const), end, bytes: fc.nat(MSS) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("repeat" as const), end, bytes: fc.nat(1) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("hold" as const),
      end,
      part: fc.constantFrom(0, 0.3, 0.9, 1),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({ kind: fc.constant("carry" as const), end, fate: fc.nat(99) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("finish" as const), end }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("attack" as const),
      end,
      flags: fc.constantFrom(Rst, Rst | Ack, Fin | Ack, Ack, Psh | Ack, Syn | Ack, Syn, 0),
      far: fc.tuple(fc.nat(2 ** 31 - 1), fc.nat(2 ** 31 - 1)),
    }),
  },
);

const setup: fc.Arbitrary<Setup> = fc.record({
  first: fc.oneof(
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    fc.constantFrom(2 ** 32 - 1, 2 ** 32 - 9000),
  ),
  scale: fc.constantFrom(-1, 0, 2, 7),
  buffer: fc.integer({ min: WINDOW_MIN, max: 400_000 }),
});

/** The two ends, and the router between them. */
class Play {
  private readonly router = new Router(edge());
  private readonly hosts: readonly [Host, Host];
  private readonly ends: readonly [End, End];
  private port = 0;
  /** The highest number that each end has used: an attacker is far from it. */
  private readonly near: [number, number];
  carried = 0;

  constructor(setups: readonly [Setup, Setup]) {
    const { a, server } = around(this.router);
    this.hosts = [a, server];
    this.ends = [new End(setups[0], true), new End(setups[1], false)];
    this.near = [setups[0].first, setups[1].first];
    this.ends[0].speak(0);
    this.carry(0, 99);
  }

  step(each: Step): void {
    const one = this.ends[each.end];
    if (each.kind === "speak") one.speak(each.bytes);
    if (each.kind === "repeat") one.repeat(each.bytes === 1);
    if (each.kind === "hold") one.hold(each.part);
    if (each.kind === "finish") one.finish();
    if (each.kind === "carry") this.carry(each.end, each.fate);
    if (each.kind === "attack") this.attack(each.end, each.flags, each.far);
  }

  /** Brings an end's next segment to the other: 20 of 100 are lost, 15 overtaken by the one behind. */
  private carry(from: 0 | 1, fate: number): void {
    const { queue } = this.ends[from];
    const order = fate >= 20 && fate < 35 ? [1, 0] : [0];
    const picked = order.map((i) => queue[i]).filter((each) => each !== undefined);
    queue.splice(0, picked.length);
    for (const segment of picked) {
      // Half of what is lost is lost before the router.
      if (fate < 10) return;
      const sent = this.pass(from, segment);
      if (sent.length !== 1) throw new Error(`dropped ${JSON.stringify(segment)}`);
      this.carried++;
      const behind = u32(segment.sequence + length(segment));
      if (isAfter(behind, this.near[from])) this.near[from] = behind;
      if (fate >= 20) this.ends[1 - from]?.hear(segment);
    }
  }

  private pass(from: 0 | 1, segment: Segment): Sent[] {
    const { flags, sequence, acknowledgment, window, options, bytes } = segment;
    const ports =
      from === 0
        ? { sourcePort: 10000, destinationPort: 80 }
        : { sourcePort: 80, destinationPort: this.port };
    const numbers = { sequence, acknowledgment, window };
    const payload = tcp({
      ...ports,
      ...numbers,
      flags,
      options: options ?? Buffer.of(),
      data: bytes,
    });
    const sent = this.hosts[from].send(from === 0 ? SERVER : EXTERNAL, payload);
    if (from === 0) this.port = sent[0]?.ip?.sourcePort ?? this.port;
    return sent;
  }

  get phase(): string | undefined {
    return this.router.conns()[0]?.phase;
  }

  /** Somebody who knows addresses and ports, but no numbers. */
  private attack(from: 0 | 1, flags: number, [sequence, acknowledgment]: [number, number]): void {
    const before = JSON.stringify(this.router.conns());
    const phase = this.phase;
    // A SYN opens what is ended, and is another try where nothing is open.
    if (flags === Syn && (phase === "closing" || phase === "new")) return;
    const away = (near: number, by: number) => u32(near + 2 ** 25 + (by % (2 ** 32 - 2 ** 26)));
    this.pass(from, {
      flags,
      sequence: away(this.near[from], 2 * sequence),
      acknowledgment: away(this.near[from === 0 ? 1 : 0], 2 * acknowledgment),
      window: 0xffff,
      bytes: flags & (Syn | Rst) ? 0 : 100,
    });
    if (this.phase !== phase) throw new Error(`${flags} made ${phase} ${this.phase}`);
    if (this.router.ended.Forwarded) return;
    const after = JSON.stringify(this.router.conns());
    if (after !== before) throw new Error(`what was dropped changed ${before} to ${after}`);
  }
}

let carried = 0;
const phases = new Set<string | undefined>();

holds(
  t,
  "nothing that two ends may say to each other is dropped, and strangers change nothing",
  fc.property(setup, setup, fc.array(step, { maxLength: 400 }), (one, other, steps) => {
    const play = new Play([one, other]);
    for (const each of steps) play.step(each);
    carried += play.carried;
    phases.add(play.phase);
  }),
  50,
);

t.test(
  "the conversations got somewhere",
  { skip: process.env.PROPERTY_PATH !== undefined },
  async (t) => {
    t.ok(carried > 1000, `${carried} segments`);
    for (const phase of ["established", "closing"]) t.ok(phases.has(phase), phase);
  },
);
