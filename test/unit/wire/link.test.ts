import t from "tap";
import { AT, internals } from "../../harness/internals.js";

const wasm = await internals();

function put(hex: string): void {
  wasm.bytes.fill(0xee, AT, AT + 128);
  wasm.bytes.set(Buffer.from(hex.replaceAll(" ", ""), "hex"), AT);
}

function hex(at: number, bytes: number): string {
  return Buffer.from(wasm.bytes.subarray(at, at + bytes)).toString("hex");
}

t.test("Ethernet: destination, source, type, payload", async (t) => {
  put("02005e000001 020000000201 0800");
  t.equal(wasm.ethernetFits(AT, 13), 0);
  t.equal(wasm.ethernetFits(AT, 14), 1);
  t.equal(hex(wasm.ethernetDestination(AT), 6), "02005e000001");
  t.equal(hex(wasm.ethernetSource(AT), 6), "020000000201");
  t.equal(wasm.ethernetType(AT), 0x0800);
  t.equal(wasm.ethernetPayload(AT), AT + 14);
  wasm.ethernetSetType(AT, 0x86dd);
  t.equal(hex(AT, 16), "02005e00000102000000020186ddeeee");
});

t.test("Ethernet: to one, to a group, to everybody", async (t) => {
  for (const [mac, multicast, broadcast] of [
    ["02005e000001", 0, 0],
    ["01005e000001", 1, 0],
    ["ffffffffffff", 1, 1],
    ["ffffffffff7f", 1, 0],
    ["ffffff7fffff", 1, 0],
    ["feffffffffff", 0, 0],
  ] as const) {
    put(mac);
    t.equal(wasm.ethernetIsMulticast(AT), multicast, mac);
    t.equal(wasm.ethernetIsBroadcast(AT), broadcast, mac);
  }
});

t.test("Vlan: 12 bits of identifier behind priority and drop bits", async (t) => {
  put("f00a 0806");
  t.equal(wasm.vlanFits(AT, 3), 0);
  t.equal(wasm.vlanFits(AT, 4), 1);
  t.equal(wasm.vlanTci(AT), 0xf00a);
  t.equal(wasm.vlanId(AT), 10);
  t.equal(wasm.vlanInnerType(AT), 0x0806);
  t.equal(wasm.vlanPayload(AT), AT + 4);
  wasm.vlanSetTci(AT, 0x0fff);
  wasm.vlanSetInnerType(AT, 0x8100);
  t.equal(wasm.vlanId(AT), 4095);
  t.equal(hex(AT, 5), "0fff8100ee");
});

const REQUEST = "0001 0800 06 04 0001 020000000201 cb007101 000000000000 cb007107";

t.test("RFC 826: an ARP request", async (t) => {
  put(REQUEST);
  t.equal(wasm.arpFits(AT, 27), 0);
  t.equal(wasm.arpFits(AT, 28), 1);
  t.equal(wasm.arpWellFormed(AT), 1);
  t.equal(wasm.arpOperation(AT), 1);
  t.equal(hex(wasm.arpSenderMac(AT), 6), "020000000201");
  t.equal(wasm.arpSenderAddress(AT), 0xcb007101);
  t.equal(hex(wasm.arpTargetMac(AT), 6), "000000000000");
  t.equal(wasm.arpTargetAddress(AT), 0xcb007107);
});

t.test("RFC 826: other hardware, protocols and lengths are not well-formed", async (t) => {
  for (let i = 0; i < 6; i++) {
    put(REQUEST);
    wasm.bytes[AT + i] = 0x55;
    t.equal(wasm.arpWellFormed(AT), 0, `byte ${i}`);
  }
});

t.test("Arp.write and setters write 28 bytes", async (t) => {
  put("");
  wasm.bytes.set(Buffer.from("020000000201020000000202", "hex"), AT + 64);
  wasm.arpWrite(AT, 1, AT + 64, 0xcb007101, 0, 0xcb007107);
  t.equal(hex(AT, 29), `${REQUEST.replaceAll(" ", "")}ee`);
  wasm.arpWrite(AT, 2, AT + 64, 1, AT + 70, 2);
  t.equal(hex(AT, 28), "00010800060400020200000002010000000102000000020200000002");
  wasm.arpSetOperation(AT, 3);
  wasm.arpSetSenderAddress(AT, 0xfffffffe);
  wasm.arpSetTargetAddress(AT, 0x80000000);
  t.same(
    [wasm.arpOperation(AT), wasm.arpSenderAddress(AT), wasm.arpTargetAddress(AT)],
    [3, 0xfffffffe, 0x80000000],
  );
});
