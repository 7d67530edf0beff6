/** A channel over a wire that is only written down, with a clock that is turned by hand. */
import t from "tap";
import { LIMITS } from "../../host/control/admission.js";
import { Link, type Wire } from "../../host/control/channel.js";
import type { Channel, ChannelEvents } from "../../host/control/server.js";

class FakeWire implements Wire {
  bufferedBytes = 0;
  readonly log: string[] = [];
  /** Whether nothing is read at the other end. */
  isStuck = false;

  send(text: Uint8Array): void {
    if (this.isStuck) this.bufferedBytes += text.length;
    this.log.push(`send ${text.length}`);
  }
  ping(): void {
    this.log.push("ping");
  }
  end(code: number, reason: string): void {
    this.log.push(`end ${code} ${reason}`);
  }
  terminate(): void {
    this.log.push("terminate");
  }
}

function setUp(
  events: Partial<ChannelEvents> = {},
  whenOpened: (channel: Channel) => void = () => {},
) {
  const wire = new FakeWire();
  const heard: string[] = [];
  const around = {
    limits: LIMITS,
    time: 0,
    crowded: false,
    now: () => around.time,
    isCrowded: () => around.crowded,
    onNotice: (text: string) => heard.push(`notice ${text}`),
    onLimit: (limit: string) => heard.push(`limit ${limit}`),
    onOver: () => heard.push("over"),
  };
  const link = new Link({ address: "192.0.2.1", isLocalSocket: false }, new Map(), wire, around);
  link.begin((channel) => {
    whenOpened(channel);
    return {
      onMessage: (text) => heard.push(`message ${text}`),
      onDrain: () => heard.push("drain"),
      onClose: (code, reason) => heard.push(`close ${code} ${reason}`),
      ...events,
    };
  });
  return { wire, heard, around, link };
}

t.test("above the soft limit the consumer is slow, and what may be dropped is", async (t) => {
  const { link, wire, heard } = setUp();
  t.ok(link.send("a"));
  wire.isStuck = true;
  t.ok(link.send("b".repeat(LIMITS.softBytes)), "up to the limit all is well");
  t.notOk(link.send("c"), "taken, and told to wait");
  t.notOk(link.offer("d"), "not taken");
  t.same(wire.log, ["send 1", `send ${LIMITS.softBytes}`, "send 1"]);
  link.drained();
  t.notOk(link.offer("e"), "still above");
  wire.bufferedBytes = 10;
  t.notOk(link.offer("f"), "slow until the wire has said that it is not");
  link.drained();
  t.same(heard, ["drain"]);
  t.ok(link.offer("g"));
  t.equal(wire.log.length, 4);
});

t.test("above the hard limit it ends; not one byte more is taken", async (t) => {
  const { link, wire, heard } = setUp();
  wire.isStuck = true;
  const piece = "x".repeat(1 << 20);
  for (let i = 0; i < 4; i++) link.send(piece);
  t.equal(wire.bufferedBytes, LIMITS.hardBytes);
  t.ok(link.isOpen);
  t.notOk(link.send("y"));
  t.notOk(link.isOpen);
  t.equal(wire.bufferedBytes, LIMITS.hardBytes);
  t.equal(wire.log.at(-1), "end 1013 4194304 bytes wait to be read");
  t.same(heard, ["limit tooSlow", "over", "close 1013 4194304 bytes wait to be read"]);
  t.notOk(link.send("z"));
  t.equal(link.bufferedBytes, 0);
});

t.test("a message is measured in bytes", async (t) => {
  const { link, wire } = setUp();
  t.notOk(link.send("ä".repeat(LIMITS.hardBytes / 2 + 1)));
  t.match(wire.log, [/^end 1013/]);
});

t.test("when too much waits for all, whoever is slow ends", async (t) => {
  const { link, wire, around } = setUp();
  wire.isStuck = true;
  around.crowded = true;
  t.ok(link.send("a".repeat(LIMITS.softBytes)), "not the quick");
  link.send("b");
  t.ok(link.isOpen);
  link.send("c");
  t.notOk(link.isOpen);
});

t.test("what comes in too fast ends it", async (t) => {
  const { link, around, heard } = setUp();
  for (let i = 0; i < LIMITS.unitBurst; i++) link.received(() => "a", 1);
  t.equal(heard.length, LIMITS.unitBurst);
  around.time = 10;
  link.received(() => "b", 1);
  link.heard(0);
  t.same(heard.slice(LIMITS.unitBurst), [
    "message b",
    "limit tooMany",
    "over",
    "close 1008 too many messages",
  ]);
});

t.test("a long message counts for many", async (t) => {
  const { link, heard } = setUp();
  const each = 1 + LIMITS.messageBytes / LIMITS.unitBytes;
  for (let i = 0; i < Math.floor(LIMITS.unitBurst / each); i++) {
    link.received(() => "a", LIMITS.messageBytes);
  }
  t.ok(link.isOpen);
  link.received(() => "a", LIMITS.messageBytes);
  t.notOk(link.isOpen);
  t.match(heard, ["message a"]);
});

t.test("binary and long messages end it with their codes", async (t) => {
  const one = setUp();
  one.link.receivedBinary();
  t.same(one.wire.log, ["end 1003 text messages only"]);
  const other = setUp();
  other.link.received(() => "nobody looks at it", LIMITS.messageBytes + 1);
  t.same(other.wire.log, ["end 1009 a message has at most 1048576 bytes"]);
  other.link.received(() => "late", 4);
  t.notOk(other.heard.includes("message late"));
});

t.test("five seconds for authentication", async (t) => {
  const { link, wire } = setUp();
  link.tend(4999);
  t.ok(link.isOpen);
  link.tend(5000);
  t.same(wire.log, ["end 1008 not authenticated within 5 s"]);
  const other = setUp();
  other.link.authenticated();
  other.link.tend(5000);
  t.ok(other.link.isOpen);
});

t.test("silence is asked about, once, and then it is over", async (t) => {
  const { link, wire, around, heard } = setUp();
  link.authenticated();
  const tend = (time: number) => {
    around.time = time;
    link.tend(time);
  };
  tend(14_999);
  t.same(wire.log, []);
  tend(15_000);
  tend(16_000);
  t.same(wire.log, ["ping"]);
  link.heard(0);
  tend(30_999);
  t.same(wire.log, ["ping"]);
  tend(31_000);
  tend(45_999);
  t.same(wire.log, ["ping", "ping"]);
  tend(46_000);
  t.same(wire.log, ["ping", "ping", "terminate"]);
  t.same(heard, ["limit silent", "over", "close 1006 silent for 30 s"]);
});

t.test("its end is told once, and nothing is done afterwards", async (t) => {
  const { link, wire, heard } = setUp();
  link.close(4000, "done");
  link.close(4001, "again");
  link.gone(1006, "");
  link.tend(1e9);
  link.receivedBinary();
  t.same(wire.log, ["end 4000 done"]);
  t.same(heard, ["over", "close 4000 done"]);
  const other = setUp();
  other.link.gone(1001, "leaving");
  other.link.close(1000, "");
  t.same(other.wire.log, []);
  t.same(other.heard, ["over", "close 1001 leaving"]);
});

t.test("it may be closed while it is opened", async (t) => {
  const { wire, heard } = setUp({}, (channel) => channel.close(4401, "no"));
  t.same(wire.log, ["end 4401 no"]);
  t.same(heard, ["over", "close 4401 no"]);
});

t.test("a reason has 123 bytes, in whole characters", async (t) => {
  const { link, wire } = setUp();
  link.close(1000, `${"x".repeat(121)}äöü`);
  t.same(wire.log, [`end 1000 ${"x".repeat(121)}ä`]);
  const other = setUp();
  other.link.close(1000, `${"x".repeat(122)}äöü`);
  t.same(other.wire.log, [`end 1000 ${"x".repeat(122)}`]);
});

t.test("what the session throws ends the channel, and is told", async (t) => {
  const fail = () => {
    throw new Error("oops");
  };
  const { link, wire, heard } = setUp({ onMessage: fail });
  link.received(() => "a", 1);
  t.same(wire.log, ["end 1011 internal error"]);
  t.ok(heard.includes("notice control: a channel failed: oops"));
  const opening = setUp({}, fail);
  t.same(opening.wire.log, ["end 1011 internal error"]);
  const closing = setUp({ onClose: fail });
  closing.link.close(1000, "");
  t.ok(closing.heard.some((text) => text.includes("oops")));
});
