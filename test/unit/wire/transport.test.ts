import t from "tap";
import { AT, internals } from "../../harness/internals.js";

const wasm = await internals();

function put(hex: string): void {
  wasm.bytes.fill(0xee, AT, AT + 128);
  wasm.bytes.set(Buffer.from(hex.replaceAll(" ", ""), "hex"), AT);
}

function hex(bytes: number): string {
  return Buffer.from(wasm.bytes.subarray(AT, AT + bytes)).toString("hex");
}

t.test("RFC 9293 3.1: every field of TCP", async (t) => {
  put("11d2 0050 89abcdef fedcba98 50 12 7210 beef 0000");
  t.equal(wasm.tcpSourcePort(AT), 4562);
  t.equal(wasm.tcpDestinationPort(AT), 80);
  t.equal(wasm.tcpSequence(AT), 0x89abcdef);
  t.equal(wasm.tcpAcknowledgment(AT), 0xfedcba98);
  t.equal(wasm.tcpHeaderBytes(AT), 20);
  t.equal(wasm.tcpFlags(AT), 0x12);
  t.equal(wasm.tcpWindow(AT), 0x7210);
  t.equal(wasm.tcpChecksum(AT), 0xbeef);
  wasm.tcpSetSourcePort(AT, 40_211);
  wasm.tcpSetDestinationPort(AT, 8080);
  wasm.tcpSetSequence(AT, 1);
  wasm.tcpSetAcknowledgment(AT, 2);
  wasm.tcpSetFlags(AT, 0xff);
  wasm.tcpSetChecksum(AT, 0x1234);
  t.equal(hex(21), "9d131f90000000010000000250ff721012340000ee");
});

t.test("TCP: the data offset must lie within what is there", async (t) => {
  for (const [offset, available, fits] of [
    ["50", 20, 1],
    ["50", 19, 0],
    ["50", 0, 0],
    ["40", 60, 0],
    ["00", 60, 0],
    ["60", 24, 1],
    ["60", 23, 0],
    ["f0", 60, 1],
    ["f0", 59, 0],
    ["5f", 20, 1],
  ] as const) {
    put("");
    wasm.bytes.set(Buffer.from(offset, "hex"), AT + 12);
    t.equal(wasm.tcpFits(AT, available), fits, `${offset} in ${available} bytes`);
  }
});

t.test("RFC 768: every field of UDP", async (t) => {
  put("11d2 0035 0010 beef");
  t.equal(wasm.udpSourcePort(AT), 4562);
  t.equal(wasm.udpDestinationPort(AT), 53);
  t.equal(wasm.udpLength(AT), 16);
  t.equal(wasm.udpChecksum(AT), 0xbeef);
  wasm.udpSetSourcePort(AT, 40_211);
  wasm.udpSetDestinationPort(AT, 5353);
  wasm.udpSetLength(AT, 9);
  wasm.udpSetChecksum(AT, 0x8001);
  t.equal(hex(9), "9d1314e900098001ee");
});

t.test("UDP: the length must hold the header and lie within what is there", async (t) => {
  for (const [length, available, fits] of [
    [8, 8, 1],
    [8, 7, 0],
    [7, 100, 0],
    [0, 100, 0],
    [100, 100, 1],
    [101, 100, 0],
    [65_535, 100, 0],
    [50, 100, 1],
  ] as const) {
    put("");
    wasm.udpSetLength(AT, length);
    t.equal(wasm.udpFits(AT, available), fits, `${length} in ${available} bytes`);
  }
});

t.test("RFC 792: every field of an ICMP echo", async (t) => {
  put("08 00 f7ff abcd 0001");
  t.equal(wasm.icmpFits(AT, 7), 0);
  t.equal(wasm.icmpFits(AT, 8), 1);
  t.equal(wasm.icmpType(AT), 8);
  t.equal(wasm.icmpCode(AT), 0);
  t.equal(wasm.icmpChecksum(AT), 0xf7ff);
  t.equal(wasm.icmpIdentifier(AT), 0xabcd);
  t.equal(wasm.icmpSequence(AT), 1);
  wasm.icmpSetType(AT, 3);
  wasm.icmpSetCode(AT, 13);
  wasm.icmpSetChecksum(AT, 0x0102);
  wasm.icmpSetIdentifier(AT, 0x0304);
  wasm.icmpSetSequence(AT, 0x0506);
  t.equal(hex(9), "030d010203040506ee");
});
