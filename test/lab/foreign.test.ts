/** The acceptance scenario's look for foreign frames, shown that it can find one. */
import t from "tap";
import { merge } from "./capture.js";
import { foreign, mark } from "./foreign.js";

const BYTES = 1000;
const SERVER = "0a030063";
const TENANT = "0a010003";

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

interface Segment {
  from: string;
  to: string;
  sequence: number;
  acknowledged: number;
  flags: number;
  payload?: string;
}

/** A capture file of one TCP segment. */
function capture({ from, to, sequence, acknowledged, flags, payload = "" }: Segment): Buffer {
  const ip = `4500${hex(40 + payload.length, 4)}0000000040060000${from}${to}`;
  const tcp = `27101451${hex(sequence, 8)}${hex(acknowledged, 8)}50${hex(flags, 2)}ffff00000000`;
  const head = Buffer.from(`${"02".repeat(12)}0800${ip}${tcp}`, "hex");
  const frame = Buffer.concat([head, Buffer.from(payload)]);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(frame.length, 8);
  header.writeUInt32LE(frame.length, 12);
  return Buffer.concat([Buffer.alloc(24), header, frame]);
}

const out = { from: TENANT, to: SERVER };
const back = { from: SERVER, to: TENANT };
const handshake = [
  capture({ ...out, sequence: 0xfffffff0, acknowledged: 0, flags: 2 }),
  capture({ ...back, sequence: 5000, acknowledged: 0xfffffff1, flags: 0x12 }),
];
const own = { sequence: 5001, acknowledged: 100, flags: 0x10 };
const payload = (number: number) => `${mark(number)}00000000..\n`.repeat(3);

t.test(
  "a tenant's own conversation is no stranger, also where sequence numbers wrap",
  async (t) => {
    const data = capture({ ...back, ...own, payload: payload(7) });
    t.strictSame(foreign(merge([...handshake, data]), 7, BYTES), []);
  },
);

t.test("another tenant's payload is found", async (t) => {
  const data = capture({ ...back, ...own, payload: payload(8) });
  t.match(foreign(merge([...handshake, data]), 7, BYTES), [/frame 3: bytes of t008:/]);
});

t.test("another tenant's bare acknowledgement is found", async (t) => {
  const ack = capture({ ...back, ...own, acknowledged: 0x12345678 });
  t.match(foreign(merge([...handshake, ack]), 7, BYTES), [/frame 3: foreign acknowledgement/]);
});

t.test("an address that is not of this conversation is found", async (t) => {
  const stray = capture({ ...back, ...own, to: "0a010004" });
  t.match(foreign(merge([...handshake, stray]), 7, BYTES), [/frame 3: 10.3.0.99 → 10.1.0.4/]);
});

t.test("a capture that saw nothing is no proof", async (t) => {
  t.match(foreign(Buffer.alloc(24), 7, BYTES), [/an empty capture/]);
});
