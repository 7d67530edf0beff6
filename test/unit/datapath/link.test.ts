/** Which device a frame belongs to, and which frames are the router's. */

import t from "tap";
import { echoRequest, frame, ipv4Packet, udp } from "../../harness/frame.js";
import { around, edge, Host, SERVER, staticNeighbor, TENANT } from "../../harness/host.js";
import { type Document, Router } from "../../harness/router.js";

const PAYLOAD = udp({ sourcePort: 4562, destinationPort: 53, data: "data" });
const PACKET = ipv4Packet({ source: TENANT, destination: SERVER, payload: PAYLOAD });

/** One interface that carries every kind of device, each in a zone of its own. */
function trunk(): Document {
  const on = { interface: "eth1", addresses: ["192.168.0.1/24"] };
  const zones = ["plain", "single", "double", "other"];
  return edge({
    zones: [...zones.map((name, i) => ({ id: 10 + i, name })), { id: 20, name: "public" }],
    devices: [
      { name: "plain", zone: "plain", ...on },
      { name: "single", zone: "single", vlan: 10, ...on },
      { name: "double", zone: "double", vlan: [100, 10], ...on },
      { name: "other", zone: "other", vlan: [100, 11], ...on },
      { name: "wan", zone: "public", interface: "eth0", addresses: ["203.0.113.2/24"] },
    ],
    neighbors: [
      ...zones.map((name, i) => staticNeighbor(name, 10 + i, TENANT)),
      staticNeighbor("public", 20, SERVER),
    ],
    nat: [{ from: zones, to: "public", pool: "p1" }],
  });
}

/** A frame to the router with tags of one's own choice: type and tag control information. */
function tagged(router: Router, ...tags: readonly (readonly [number, number])[]): Buffer {
  const plain = frame({ to: router.macOf("plain"), from: "06:00:0a:00:00:0a" }, PACKET);
  const words = tags.flatMap(([type, tci]) => [type >> 8, type & 255, tci >> 8, tci & 255]);
  return Buffer.concat([plain.subarray(0, 12), Buffer.from(words), plain.subarray(12)]);
}

/** The zone whose tenant the only conn belongs to. */
function zoneOf(router: Router): number | undefined {
  return router.conns()[0]?.original.zone;
}

const CUSTOMER = 0x8100;
const SERVICE = 0x88a8;

t.test("tags say which device a frame belongs to", async (t) => {
  const cases = [
    { name: "none", tags: [], zone: 10 },
    { name: "one", tags: [[CUSTOMER, 10]], zone: 11 },
    { name: "one with priority and drop eligible", tags: [[CUSTOMER, 0xf00a]], zone: 11 },
    {
      name: "two",
      tags: [
        [SERVICE, 100],
        [CUSTOMER, 10],
      ],
      zone: 12,
    },
    {
      name: "another inner tag",
      tags: [
        [SERVICE, 100],
        [CUSTOMER, 11],
      ],
      zone: 13,
    },
    { name: "IEEE 802.1Q 6.9: a priority tag is no VLAN", tags: [[CUSTOMER, 0xe000]], zone: 10 },
    {
      name: "a priority tag around a VLAN",
      tags: [
        [CUSTOMER, 0],
        [CUSTOMER, 10],
      ],
      zone: 11,
    },
  ] as const;
  for (const { name, tags, zone } of cases) {
    const router = new Router(trunk());
    const sent = router.send("plain", tagged(router, ...tags));
    t.same(router.ended, { Forwarded: 1 }, name);
    t.equal(sent[0]?.device, "wan", name);
    t.equal(zoneOf(router), zone, name);
    const host = new Host(router, "wan", SERVER);
    const back = host.answer(sent[0]);
    t.equal(back[0]?.device, router.config.devices[zone - 10]?.name, `${name}: the answer`);
  }
});

t.test("a tag that the kernel took off travels beside the frame", async (t) => {
  const cases = [
    { name: "single", beside: { tci: 10 }, tags: [], zone: 11 },
    { name: "its priority does not matter", beside: { tci: 0xe00a }, tags: [], zone: 11 },
    { name: "outer of two", beside: { tci: 100, service: true }, tags: [[CUSTOMER, 10]], zone: 12 },
    { name: "priority alone", beside: { tci: 0xe000 }, tags: [], zone: 10 },
    { name: "priority around a VLAN", beside: { tci: 0 }, tags: [[CUSTOMER, 10]], zone: 11 },
  ] as const;
  for (const { name, beside, tags, zone } of cases) {
    const router = new Router(trunk());
    const sent = router.sendBeside("plain", beside, tagged(router, ...tags));
    t.same(router.ended, { Forwarded: 1 }, name);
    t.equal(zoneOf(router), zone, name);
    t.same(sent[0]?.vlans, [], name);
  }
});

t.test("an answer to a frame with a tag beside it has the tag inside", async (t) => {
  const router = new Router(trunk());
  const host = new Host(router, "single", TENANT);
  const tagged = host.frame("192.168.0.1", echoRequest(7));
  const untagged = Buffer.concat([tagged.subarray(0, 12), tagged.subarray(16)]);
  const [reply] = router.sendBeside("single", { tci: 10 }, untagged);
  t.same(reply?.vlans, [10]);
  t.equal(reply?.to, host.mac);
  t.equal(reply?.ip?.icmpType, 0);
});

t.test("tags that no device has", async (t) => {
  const cases = [
    { name: "unknown VLAN", tags: [[CUSTOMER, 12]] },
    { name: "reserved VLAN 4095", tags: [[CUSTOMER, 4095]] },
    { name: "the outer tag alone", tags: [[SERVICE, 100]] },
    {
      name: "unknown inner tag",
      tags: [
        [SERVICE, 100],
        [CUSTOMER, 12],
      ],
    },
    { name: "a service tag where a customer tag belongs", tags: [[SERVICE, 10]] },
    {
      name: "a customer tag where a service tag belongs",
      tags: [
        [CUSTOMER, 100],
        [CUSTOMER, 10],
      ],
    },
    {
      name: "the pair the other way round",
      tags: [
        [SERVICE, 10],
        [CUSTOMER, 100],
      ],
    },
  ] as const;
  const router = new Router(trunk());
  for (const { name, tags } of cases) {
    t.same(router.send("plain", tagged(router, ...tags)), [], name);
    t.same(router.ended, { VlanUnknown: 1 }, name);
  }
  router.send("plain", tagged(router, [SERVICE, 100], [CUSTOMER, 10], [CUSTOMER, 10]));
  t.same(router.ended, { EtherTypeUnknown: 1 }, "three tags");
  router.sendBeside("wan", { tci: 10 }, tagged(router));
  t.same(router.ended, { VlanUnknown: 1 }, "a tag on an interface without VLANs");
});

t.test("frames that are not the router's", async (t) => {
  const router = new Router(edge());
  const to = (mac: string, type?: number) => {
    const link = { to: mac, from: "06:00:0a:00:00:0a", vlans: [10] };
    router.send("lan-a", frame(type === undefined ? link : { ...link, type }, PACKET));
    return router.ended;
  };
  t.same(to("02:00:00:00:00:99"), { NotOurMac: 1 }, "another MAC");
  t.same(to("ff:ff:ff:ff:ff:ff"), { NotOurMac: 1 }, "IPv4 to everybody");
  t.same(to("01:00:5e:00:00:fb"), { NotOurMac: 1 }, "IPv4 to a group");
  t.same(to("01:00:5e:00:00:fb", 0x0806), { NotOurMac: 1 }, "ARP to a group");
  const ours = router.macOf("lan-a");
  t.same(to(ours, 0x86dd), { EtherTypeUnknown: 1 }, "IPv6");
  t.same(to(ours, 0x0801), { EtherTypeUnknown: 1 });
  t.same(to(ours, 46), { EtherTypeUnknown: 1 }, "an 802.3 length");
  t.same(router.conns(), []);
});

t.test("a device with a MAC of its own listens to that alone", async (t) => {
  const document = edge();
  const devices = document.devices as Document[];
  const router = new Router({
    ...document,
    devices: devices.map((each, i) => ({ ...each, mac: `02:00:5e:00:00:0${i}` })),
  });
  const { a } = around(router);
  t.equal(router.macOf("lan-b"), "02:00:5e:00:00:01");
  a.send(SERVER, PAYLOAD);
  t.same(router.ended, { Forwarded: 1 });
  const link = { to: router.macOf("lan-b"), from: a.mac, vlans: [10] };
  router.send("lan-a", frame(link, PACKET));
  t.same(router.ended, { NotOurMac: 1 }, "another device's MAC is not ours here");
});

t.test("a frame that its sender could not have meant to be answered is not", async (t) => {
  const router = new Router(edge());
  const { a } = around(router);
  for (const from of ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"]) {
    const bytes = a.frame("192.168.0.1", echoRequest(1));
    Buffer.from(from.replaceAll(":", ""), "hex").copy(bytes, 6);
    const sent = router.send("lan-a", bytes);
    t.same(sent, [], `an echo request from ${from}`);
  }
});

t.test(
  "a checksum that a sender left to its card is completed, if there may be such",
  async (t) => {
    const router = new Router(edge());
    const { a } = around(router);
    const ports = { sourcePort: 4562, destinationPort: 53 };
    const left = a.frame(SERVER, udp({ ...ports, data: "data", checksum: "pseudo" }));
    t.equal(router.sendUnsure("lan-a", left)[0]?.ip?.sound, true);
    t.equal(router.sendUnsure("lan-a", a.frame(SERVER, PAYLOAD))[0]?.ip?.sound, true);
    t.throws(() => router.send("lan-a", left), /a checksum is wrong/, "else a wrong one stays so");
  },
);

t.test("counters of devices and zones", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  const sent = a.send(SERVER, PAYLOAD);
  server.answer(sent[0]);
  router.send("lan-a", frame({ to: "02:00:00:00:00:99", from: a.mac, vlans: [10] }, PACKET));
  const { devices, zones } = router.counters();
  const bytes = 14 + 20 + 8 + 4;
  const lan = { rxPackets: 2, rxBytes: 2 * (bytes + 4), txPackets: 1, txBytes: bytes + 4 + 2 };
  t.same(devices["lan-a"], { ...lan, dropped: 1 });
  const wan = { rxPackets: 1, rxBytes: bytes + 2, txPackets: 1, txBytes: bytes };
  t.same(devices.wan, { ...wan, dropped: 0 });
  t.same(devices["lan-b"], { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0, dropped: 0 });
  t.same(zones.a, { ...lan, conns: 1, connsCreated: 1, dropped: 1 });
  t.same(zones.public, { ...wan, conns: 0, connsCreated: 0, dropped: 0 });
});
