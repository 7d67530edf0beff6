/** What may be traced, and the frames that are built of fields. */

import t from "tap";
import { Limit } from "../../../assembly/abi.js";
import { checkConfig } from "../../../host/config/parse.js";
import { QueryError } from "../../../host/telemetry/filter.js";
import { inputOf, parseTrace } from "../../../host/trace/input.js";
import { readFrame } from "../../harness/frame.js";
import { edge, SERVER, TENANT } from "../../harness/host.js";

const config = checkConfig(edge());
const UDP = {
  protocol: "udp",
  source: TENANT,
  destination: SERVER,
  sourcePort: 1,
  destinationPort: 2,
};

function problemsOf(value: unknown): string {
  try {
    parseTrace(value, config);
  } catch (error) {
    if (error instanceof QueryError) return error.message;
    throw error;
  }
  return "";
}

function built(value: object, document = config) {
  const input = inputOf(parseTrace(value, document), document, () => undefined);
  if (input === undefined) throw new Error("no such device");
  return { ...input, seen: readFrame(Buffer.from(input.frame)) };
}

t.test("what is wrong is named with its place", async (t) => {
  for (const [value, expected] of [
    [null, /an object with device and frame, or with fields of a packet, found null/],
    [{}, /protocol: expected the key protocol, found nothing/],
    [{}, /source: expected an IPv4 address, found nothing/],
    [{}, /expected a device or a zone, found nothing/],
    [{ ...UDP, device: "lan-z" }, /device: expected the name of a device, found "lan-z"/],
    [{ ...UDP, zone: "z" }, /zone: expected the name or number of a zone, found "z"/],
    [{ ...UDP, zone: "a", device: "lan-a" }, /zone: expected nothing beside a device, found "a"/],
    [{ ...UDP, zone: "a", source: "10.0.0" }, /source: expected an IPv4 address, found "10.0.0"/],
    [{ ...UDP, zone: "a", sourcePort: 65536 }, /sourcePort: expected a port/],
    [{ ...UDP, zone: "a", destinationPort: undefined }, /destinationPort: expected the key/],
    [{ ...UDP, zone: "a", tcpFlags: ["syn"] }, /tcpFlags: expected it with TCP alone/],
    [{ ...UDP, zone: "a", tcpFlags: ["sin"] }, /tcpFlags\[0\]: expected .*"syn"/],
    [{ ...UDP, zone: "a", icmpType: 8 }, /icmpType: expected it with ICMP alone, found 8/],
    [{ ...UDP, zone: "a", protocol: 47 }, /sourcePort: expected it with TCP, UDP or SCTP alone/],
    [{ ...UDP, zone: "a", protocol: "gre" }, /protocol: expected a protocol from 0 to 255/],
    [{ ...UDP, zone: "a", mac: "ff:ff:ff:ff:ff:ff" }, /mac: expected a unicast MAC/],
    [{ ...UDP, zone: "a", payloadBytes: 100_000 }, /payloadBytes: expected a number of bytes/],
    [{ ...UDP, zone: "a", dscp: 1 }, /dscp: expected one of the keys device, zone/],
    [{ frame: "00" }, /device: expected the name of a device, found nothing/],
    [{ device: "wan", frame: "0" }, /frame: expected hexadecimal digits/],
    [{ device: "wan", frame: "" }, /frame: expected hexadecimal digits/],
    [{ device: "wan", frame: "xx" }, /frame: expected hexadecimal digits/],
    [{ device: "wan", frame: "00".repeat(Limit.FrameBytes + 1) }, /frame: expected at most 9238/],
    [{ device: "wan", frame: "00", ttl: 3 }, /ttl: expected nothing beside a frame, found 3/],
  ] as const) {
    t.match(problemsOf(value), expected);
  }
});

t.test("several wrong things are told at once", async (t) => {
  t.equal(problemsOf({ ...UDP, device: "x", source: "y" }).split("\n").length, 2);
});

t.test(
  "a zone with several devices wants one of them to be named, unless the source is near one",
  async (t) => {
    const { devices } = edge() as { devices: object[] };
    const far = { name: "far", zone: "a", interface: "eth2", addresses: ["192.168.7.1/24"] };
    const two = checkConfig(edge({ devices: [...devices, far] }));
    t.equal(parseTrace({ ...UDP, zone: "a" }, two).device, "lan-a");
    t.equal(parseTrace({ ...UDP, zone: 10, source: "192.168.7.9" }, two).device, "far");
    t.throws(
      () => parseTrace({ ...UDP, zone: "a", source: "10.0.0.1" }, two),
      /a device to be named/,
    );
  },
);

t.test("a frame may be written with spaces and colons", async (t) => {
  const { frame } = parseTrace({ device: "wan", frame: "00:11 22\n33" }, config);
  t.same(frame, Buffer.from([0, 0x11, 0x22, 0x33]));
});

t.test("built frames are sound, and have the device's tags and MAC", async (t) => {
  for (const [fields, protocol] of [
    [UDP, 17],
    [{ ...UDP, protocol: "tcp", tcpFlags: ["syn"], sequence: 7 }, 6],
    [{ protocol: "icmp", source: TENANT, destination: SERVER, identifier: 9 }, 1],
    [{ ...UDP, payloadBytes: 1001, ttl: 3, dontFragment: true }, 17],
    [{ protocol: 47, source: TENANT, destination: SERVER, payloadBytes: 3 }, 47],
  ] as const) {
    const { seen } = built({ ...fields, device: "lan-a" });
    t.same(seen.vlans, [10]);
    t.match(seen.ip, {
      protocol,
      source: TENANT,
      destination: SERVER,
      headerSound: true,
      sound: true,
    });
  }
  t.match(built({ ...UDP, device: "wan" }), { interface: 1, seen: { vlans: [] } });
  t.match(built({ ...UDP, device: "wan", ttl: 3, mac: "02:00:00:00:00:09" }).seen, {
    from: "02:00:00:00:00:09",
    ip: { ttl: 3, sourcePort: 1, destinationPort: 2 },
  });
});

t.test("double tags are a service tag and a customer tag", async (t) => {
  const { devices } = edge() as { devices: { name: string }[] };
  const vlan = [100, 7];
  const tagged = devices.map((each) => (each.name === "lan-a" ? { ...each, vlan } : each));
  const { frame, seen } = built(
    { ...UDP, device: "lan-a" },
    checkConfig(edge({ devices: tagged })),
  );
  t.same(seen.vlans, [100, 7]);
  t.equal(Buffer.from(frame).readUInt16BE(12), 0x88a8);
});

t.test("a device that is gone by then is no input", async (t) => {
  const request = parseTrace({ ...UDP, device: "lan-b" }, config);
  const { devices } = edge() as { devices: { name: string }[] };
  const { neighbors } = edge() as { neighbors: { zone: string }[] };
  const left = checkConfig(
    edge({
      devices: devices.filter(({ name }) => name !== "lan-b"),
      neighbors: neighbors.filter(({ zone }) => zone !== "b"),
    }),
  );
  t.equal(
    inputOf(request, left, () => undefined),
    undefined,
  );
});
