/** ARP (RFC 826): what the router answers, asks, learns and forgets. */

import t from "tap";
import { Limit } from "../../../assembly/abi.js";
import { arpFrame, macOf, udp } from "../../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, TENANT } from "../../harness/host.js";
import { type Document, Router } from "../../harness/router.js";

/** An edge that has to find its neighbors itself. */
function unresolved(changes: Document = {}): Router {
  return new Router(edge({ neighbors: [], ...changes }));
}

t.test("answers for its own addresses and the pools', on the device of their zone", async (t) => {
  const router = unresolved();
  const { a, b, server } = around(router);
  for (const [host, address] of [
    [a, "192.168.0.1"],
    [b, "192.168.0.1"],
    [server, "203.0.113.2"],
    [server, EXTERNAL],
  ] as const) {
    const sent = host.ask(address);
    t.same(router.ended, { Answered: 1 }, `${host.device}: ${address}`);
    t.equal(sent.length, 1);
    t.equal(sent[0]?.device, host.device);
    t.equal(sent[0]?.to, host.mac);
    const senderMac = router.macOf(host.device);
    const arp = { operation: 2, senderMac, sender: address, target: host.address };
    t.same(sent[0]?.arp, arp);
  }
});

t.test("does not answer for anybody else, nor for another zone's addresses", async (t) => {
  const router = unresolved();
  const { a, server } = around(router);
  t.same(a.ask("192.168.0.2"), []);
  t.same(router.ended, { ArpIgnored: 1 });
  t.same(a.ask("203.0.113.2"), [], "the wan's address, on the lan");
  t.same(a.ask(EXTERNAL), [], "the pool's, on the lan");
  t.same(server.ask("192.168.0.1"), [], "the lan's, on the wan");
  t.same(router.ended, { ArpIgnored: 1 });
});

t.test("answers for the addresses of a flow's masq=", async (t) => {
  const flows = ["zone=a actions=nat(src_zone=a,dst_zone=public,masq=203.0.113.40-203.0.113.41)"];
  const router = new Router(edge({ nat: [], pools: [], flows }));
  const { server } = around(router);
  t.equal(server.ask("203.0.113.40").length, 1);
  t.equal(server.ask("203.0.113.41").length, 1);
  t.equal(server.ask("203.0.113.42").length, 0);
});

t.test(
  "two devices of one zone answer for their own address each, both for the pool",
  async (t) => {
    const document = edge();
    const second = {
      name: "wan2",
      zone: "public",
      interface: "eth2",
      addresses: ["198.51.100.2/24"],
    };
    const router = new Router({ ...document, devices: [...(document.devices as []), second] });
    const wan = new Host(router, "wan", SERVER);
    const wan2 = new Host(router, "wan2", "198.51.100.9");
    t.equal(wan.ask(EXTERNAL).length, 1);
    t.equal(wan2.ask(EXTERNAL).length, 1);
    t.equal(wan2.ask("198.51.100.2").length, 1);
    t.equal(wan2.ask("203.0.113.2").length, 0);
  },
);

t.test("RFC 5227: answers a probe and learns nothing from it", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  const [reply] = router.send("lan-a", a.arp({ target: "192.168.0.1", sender: "0.0.0.0" }));
  t.equal(reply?.arp?.target, "0.0.0.0");
  t.equal(reply?.arp?.sender, "192.168.0.1");
  t.same(router.neighbors(), []);
  router.send("lan-a", a.arp({ target: "192.168.0.7", sender: "0.0.0.0" }));
  t.same(router.ended, { ArpBad: 1 }, "a probe for somebody else");
});

t.test("RFC 826: learns who asks for the router", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  a.ask("192.168.0.1");
  t.same(router.neighbors(), [
    { device: "lan-a", address: TENANT, mac: a.mac, state: "reachable" },
  ]);
});

t.test("gratuitous ARP moves a neighbor that is known, and adds none", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  router.send("lan-a", a.arp({ target: TENANT }));
  t.same(router.ended, { ArpIgnored: 1 });
  t.same(router.neighbors(), []);
  a.ask("192.168.0.1");
  router.send("lan-a", a.arp({ target: TENANT, senderMac: "06:00:0a:00:00:77" }));
  t.same(router.ended, { Learned: 1 });
  t.equal(router.neighbors()[0]?.mac, "06:00:0a:00:00:77");
});

t.test("believes no sender that cannot be one", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  for (const [name, sender] of [
    ["an address of another network", "192.168.1.10"],
    ["another zone's network", "203.0.113.9"],
  ] as const) {
    t.equal(router.send("lan-a", a.arp({ target: "192.168.0.1", sender })).length, 1, name);
    t.same(router.ended, { Answered: 1 }, `${name}: answered, and not learned`);
    t.same(router.send("lan-a", a.arp({ target: TENANT, sender })), [], name);
    t.same(router.ended, { ArpBad: 1 }, name);
  }
  t.same(router.send("lan-a", a.arp({ target: "192.168.0.1", sender: "192.168.0.1" })), []);
  t.same(router.ended, { ArpBad: 1 }, "our own address");
  for (const senderMac of ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"]) {
    const bytes = a.arp({ target: "192.168.0.1", senderMac });
    macOf(a.mac).copy(bytes, 6);
    t.same(router.send("lan-a", bytes), [], senderMac);
    t.same(router.ended, { ArpBad: 1 }, senderMac);
    const group = a.arp({ target: "192.168.0.1" });
    macOf(senderMac).copy(group, 6);
    t.same(router.send("lan-a", group), [], `a frame from ${senderMac}`);
    t.same(router.ended, { ArpBad: 1 }, `a frame from ${senderMac}`);
  }
  t.same(router.neighbors(), []);
});

t.test("ARP that is not IPv4 over Ethernet", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  for (let at = 0; at < 6; at++) {
    const bytes = a.arp({ target: "192.168.0.1" });
    bytes[18 + at] = (bytes[18 + at] as number) ^ 0x40;
    router.send("lan-a", bytes);
    t.same(router.ended, { ArpBad: 1 }, `byte ${at}`);
  }
  const bytes = a.arp({ target: "192.168.0.1" });
  bytes.writeUInt16BE(3, 18 + 6);
  t.same(router.send("lan-a", bytes), [], "an operation that is none of ARP's is not answered");
  router.send("lan-a", a.arp({ target: "192.168.0.1" }).subarray(0, 18 + 27));
  t.same(router.ended, { FrameTruncated: 1 });
});

t.test("resolves the next hop: frames wait and leave in order", async (t) => {
  const router = unresolved();
  const { a, server } = around(router);
  const [question, ...others] = a.udp(SERVER, 1, 53, "first");
  t.same(router.ended, { Held: 1 });
  t.same(others, []);
  t.equal(question?.device, "wan");
  t.equal(question?.to, "ff:ff:ff:ff:ff:ff");
  const senderMac = router.macOf("wan");
  t.same(question?.arp, { operation: 1, senderMac, sender: "203.0.113.2", target: SERVER });
  t.same(a.udp(SERVER, 1, 53, "second"), [], "asks once");
  a.udp(SERVER, 2, 53, "third");
  const sent = server.answerArp("203.0.113.2");
  t.same(router.ended, { Learned: 1, HeldSent: 3 });
  t.same(
    sent.map(({ ip, to, device }) => [device, to, ip?.data.toString()]),
    ["first", "second", "third"].map((data) => ["wan", server.mac, data]),
  );
  a.udp(SERVER, 1, 53);
  t.same(router.ended, { Forwarded: 1 });
});

t.test("asks for the gateway, not for what is behind it", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  t.equal(a.udp("8.8.8.8", 1, 53)[0]?.arp?.target, "203.0.113.1");
  t.equal(a.udp("9.9.9.9", 1, 53).length, 0, "the same next hop");
});

t.test("asks from the address that is on the neighbor's network", async (t) => {
  const document = edge({ neighbors: [] });
  const devices = (document.devices as Document[]).map((each) =>
    each.name === "wan" ? { ...each, addresses: ["203.0.113.2/24", "198.51.100.2/24"] } : each,
  );
  const router = new Router({ ...document, devices });
  const { a } = around(router);
  t.equal(a.udp("198.51.100.9", 1, 53)[0]?.arp?.sender, "198.51.100.2");
  t.equal(a.udp("203.0.113.9", 1, 53)[0]?.arp?.sender, "203.0.113.2");
});

t.test("asks three times in all, then drops what waits as NeighborFailed", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  a.udp(SERVER, 1, 53);
  a.udp(SERVER, 2, 53);
  const asked = [];
  for (let second = 1; second <= 2; second++) {
    asked.push(...router.wait(1000 + 64).map(({ arp }) => arp?.target));
  }
  t.same(asked, [SERVER, SERVER]);
  router.wait(1000 + 64);
  t.same(router.ended, { NeighborFailed: 2 });
  t.same(router.neighbors(), []);
  t.equal(a.udp(SERVER, 1, 53)[0]?.arp?.target, SERVER, "the next packet begins anew");
});

t.test("a neighbor ages: reachable, stale, probed when used, gone without an answer", async (t) => {
  const router = unresolved();
  const { a, server } = around(router);
  a.udp(SERVER, 1, 53);
  server.answerArp("203.0.113.2");
  const state = () => router.neighbors().find(({ address }) => address === SERVER)?.state;
  t.equal(state(), "reachable");
  t.same(router.wait(31_000), []);
  t.equal(state(), "stale");
  const sent = a.udp(SERVER, 1, 53);
  t.same(router.ended, { Forwarded: 1 }, "a stale neighbor is used");
  const question = sent.find(({ arp }) => arp !== undefined);
  t.equal(question?.to, server.mac, "and asked, alone");
  t.equal(sent.length, 2);
  t.equal(state(), "probe");
  t.equal(a.udp(SERVER, 1, 53).length, 1, "asked once");
  server.answerArp("203.0.113.2");
  t.equal(state(), "reachable");
  router.wait(31_000);
  a.udp(SERVER, 1, 53);
  t.equal(router.wait(2100).length, 2);
  t.equal(state(), "probe");
  router.wait(1100);
  t.equal(state(), undefined);
  t.equal(a.udp(SERVER, 1, 53)[0]?.to, "ff:ff:ff:ff:ff:ff", "conns do not use what is gone");
  t.same(router.ended, { Held: 1 });
});

t.test("a neighbor that nobody uses is forgotten after ten minutes", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  a.ask("192.168.0.1");
  router.wait(599_000);
  t.equal(router.neighbors().length, 1);
  t.same(router.wait(3_000), [], "without asking");
  t.equal(router.neighbors().length, 0);
});

t.test("a static neighbor replaces ARP: never asked, moved or forgotten", async (t) => {
  const router = new Router(edge());
  const { a, server } = around(router);
  a.udp(SERVER, 1, 53);
  t.same(router.ended, { Forwarded: 1 });
  router.send("wan", server.arp({ target: "203.0.113.2", senderMac: "06:00:14:99:99:99" }));
  t.equal(a.udp(SERVER, 1, 53)[0]?.to, server.mac);
  router.wait(3_600_000);
  t.same(
    router.neighbors().map(({ state }) => state),
    ["permanent", "permanent", "permanent", "permanent"],
  );
});

t.test("a MAC that changes changes for the conns that are open", async (t) => {
  const router = unresolved();
  const { a, server } = around(router);
  a.udp(SERVER, 1, 53);
  server.answerArp("203.0.113.2");
  router.send("wan", server.arp({ target: "203.0.113.2", senderMac: "06:00:14:00:00:42" }));
  t.equal(a.udp(SERVER, 1, 53)[0]?.to, "06:00:14:00:00:42");
});

t.test("bounds: frames that wait for one neighbor, and for one device's", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  const first = Array.from({ length: Limit.HeldPerNeighbor + 1 }, (_, port) =>
    a.frame(SERVER, udp({ sourcePort: port, destinationPort: 53 })),
  );
  router.send("lan-a", ...first);
  t.same(router.ended, { Held: Limit.HeldPerNeighbor, HoldQueueFull: 1 }, "one neighbor");
  const others = Array.from({ length: Limit.HeldPerDevice - Limit.HeldPerNeighbor }, (_, i) =>
    a.frame(`203.0.113.${100 + (i % 40)}`, udp({ sourcePort: i, destinationPort: 53 })),
  );
  router.send("lan-a", ...others);
  t.equal(router.reasons().Held, Limit.HeldPerDevice, "one device");
  a.udp("203.0.113.200", 1, 53);
  t.same(router.ended, { HoldQueueFull: 1 });
  const server = new Host(router, "wan", SERVER);
  t.equal(server.answerArp("203.0.113.2").length, Limit.HeldPerNeighbor, "all of them leave");
  t.same(router.ended, { Learned: 1, HeldSent: Limit.HeldPerNeighbor });
  a.udp("203.0.113.201", 1, 53);
  t.same(router.ended, { Held: 1 }, "room again");
});

t.test("bounds: a frame too long to wait", async (t) => {
  const document = edge({ neighbors: [] });
  const devices = (document.devices as Document[]).map((each) => ({ ...each, mtu: 9000 }));
  const router = new Router({ ...document, devices });
  const { a } = around(router);
  a.udp(SERVER, 1, 53, "x".repeat(1984 - 28));
  t.same(router.ended, { Held: 1 });
  a.udp(SERVER, 1, 53, "x".repeat(1985 - 28));
  t.same(router.ended, { HoldQueueFull: 1 });
});

t.test("bounds: a device fills no more than its share of the table", async (t) => {
  const devices = (edge().devices as Document[]).map((each) =>
    each.name === "lan-a" ? { ...each, addresses: ["10.0.0.1/16"] } : each,
  );
  const capacity = { conns: 64, neighbors: 1100, poolAddresses: 4, imageBytes: 65536 };
  const router = unresolved({ devices, capacity });
  const learn = (from: number, count: number) =>
    router.send(
      "lan-a",
      ...Array.from({ length: count }, (_, i) => {
        const host = new Host(router, "lan-a", `10.0.${(from + i) >> 8}.${(from + i) & 255}`);
        return host.arp({ target: "10.0.0.1" });
      }),
    );
  learn(2, 1030);
  t.equal(router.neighbors().length, Math.floor(1100 / 3), "an even share of three devices");
  const { a } = around(router);
  t.equal(a.udp(SERVER, 1, 53)[0]?.arp?.target, SERVER, "another device has room");
  const limited = new Host(router, "lan-a", "10.0.0.2");
  limited.udp("10.0.200.1", 1, 53);
  t.equal(router.reasons().NeighborTableFull ?? 0, 0);
});

t.test("a tenant that asks for many silent hosts keeps nobody from the next hop", async (t) => {
  const devices = (edge().devices as Document[]).map((each) =>
    each.name === "wan" ? { ...each, addresses: ["203.0.113.2/21"] } : each,
  );
  const routes = [{ zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" }];
  const router = unresolved({ devices, routes });
  const { a, b } = around(router);
  for (let i = 0; i < 1400; i++) a.udp(`203.0.${112 + (i >> 8)}.${(i & 127) + 8}`, 1, 53);
  t.ok((router.reasons().NeighborTableFull ?? 0) > 0 || router.neighbors().length <= 257);
  const [request] = b.udp("8.8.8.8", 1, 53);
  t.equal(request?.arp?.target, "203.0.113.1", "the gateway is asked for all the same");
});

t.test("bounds: a full table, and static neighbors that always have room", async (t) => {
  const capacity = { conns: 64, neighbors: 4, poolAddresses: 4, imageBytes: 65536 };
  const router = unresolved({ capacity });
  const hosts = [10, 11, 12, 13, 14].map((i) => new Host(router, "lan-a", `192.168.0.${i}`));
  for (const host of hosts) host.ask("192.168.0.1");
  t.equal(router.neighbors().length, 4);
  hosts[0]?.udp(SERVER, 1, 53);
  t.same(router.ended, { NeighborTableFull: 1 });
  t.same(router.conns(), [], "and no conn");
  router.reconfigure(edge({ capacity }));
  t.equal(router.neighbors().filter(({ state }) => state === "permanent").length, 4);
});

t.test("static neighbors are not bound by a device's share", async (t) => {
  const neighbors = Array.from({ length: 1100 }, (_, i) => ({
    zone: "a",
    address: `10.0.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`,
    mac: "06:00:0a:00:00:01",
  }));
  const devices = (edge().devices as Document[]).map((each) =>
    each.name === "lan-a" ? { ...each, addresses: ["10.0.255.1/16"] } : each,
  );
  const capacity = { conns: 64, neighbors: 2048, poolAddresses: 4, imageBytes: 1 << 18 };
  const router = new Router(edge({ devices, neighbors, capacity }));
  t.equal(router.neighbors().length, 1100);
  const { a } = around(router);
  router.send("lan-a", a.arp({ target: "10.0.255.1", sender: "10.0.9.9" }));
  t.equal(router.neighbors().length, 1101, "and leave the share to those that are learned");
});

t.test("an answer in one zone does not resolve the same address in another", async (t) => {
  const router = unresolved({
    nat: [],
    flows: ["zone=a actions=route(zone=a)", "zone=b actions=route(zone=b)"],
  });
  const { a, b } = around(router);
  t.equal(a.udp("192.168.0.20", 1, 53)[0]?.device, "lan-a");
  t.equal(b.udp("192.168.0.20", 1, 53)[0]?.device, "lan-b");
  const answering = new Host(router, "lan-b", "192.168.0.20");
  const sent = answering.answerArp("192.168.0.1");
  t.same(
    sent.map(({ device }) => device),
    ["lan-b"],
  );
  t.same(router.ended, { Learned: 1, HeldSent: 1 });
});

t.test("an ARP reply to another host's question confirms nobody across VLANs", async (t) => {
  const router = unresolved();
  const { a } = around(router);
  a.ask("192.168.0.1");
  const bytes = arpFrame({
    operation: 1,
    senderMac: "06:00:0b:00:00:66",
    sender: TENANT,
    target: "192.168.0.1",
    vlans: [11],
  });
  router.send("lan-b", bytes);
  t.equal(router.neighbors().find(({ device }) => device === "lan-a")?.mac, a.mac);
});

t.test(
  "after a link was down its neighbors are asked for anew, static ones and others stay",
  async (t) => {
    const router = new Router(edge({ neighbors: [] }));
    const { a, server } = around(router);
    a.ask("192.168.0.1");
    server.ask("203.0.113.2");
    t.equal(a.udp(SERVER, 1, 53)[0]?.ip?.destination, SERVER, "resolved");
    const wan = router.config.devices.find(({ name }) => name === "wan");
    router.datapath.linkLost(wan?.interface.index ?? -1);
    t.equal(router.neighbors().length, 1, "the tenant's link was not down");
    t.equal(a.udp(SERVER, 1, 53)[0]?.arp?.target, SERVER, "asked for again");
  },
);
