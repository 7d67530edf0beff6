/**
 * The golden traces: what is sent into each, as a scenario that a router plays. What hosts answer depends
 * on what the router sent, ports included, so a scenario is played once, with the seed that the comparison
 * uses, and its frames are recorded: test/trace/CASE/in.DEVICE.pcap.
 *
 * `npm run traces` plays them and writes inputs and expected outputs. A change of either is a change of
 * behaviour, to be looked at before it is committed.
 */

import { TcpFlags, udp } from "../harness/frame.js";
import { around, bareEdge, EXTERNAL, edge, Host, SERVER, TENANT } from "../harness/host.js";
import type { Document, Router } from "../harness/router.js";

export interface TraceCase {
  readonly name: string;
  readonly config: Document;
  play(router: Router): void;
}

const { Syn, Ack, Fin, Psh } = TcpFlags;

/** Found by ARP, as on a real link. */
const unresolved: Document = { neighbors: [] };

const FLOWS = [
  `in_port(1),tcp,conn_state=-tracked        actions=nat(src_zone=10,dst_zone=20,masq=${EXTERNAL})`,
  "in_port(2),tcp,conn_state=+established    actions=nat(reverse,zone=20)",
];

function numbered(document: Document): Document {
  const ports: Record<string, number> = { "lan-a": 1, wan: 2, "lan-b": 3 };
  const devices = document.devices as Document[];
  return {
    ...document,
    devices: devices.map((each) => ({ ...each, port: ports[`${each.name}`] })),
  };
}

export const CASES: readonly TraceCase[] = [
  {
    name: "two-tenants-udp",
    config: edge(),
    play(router) {
      const { a, b, server } = around(router);
      for (let round = 0; round < 3; round++) {
        const fromA = a.udp(SERVER, 4562, 53, `a${round}`);
        router.wait(5);
        const fromB = b.udp(SERVER, 4562, 53, `b${round}`);
        router.wait(5);
        server.answer(fromB[0]);
        server.answer(fromA[0]);
        router.wait(100);
      }
    },
  },
  {
    name: "tcp-handshake-and-close",
    config: edge(),
    play(router) {
      const { a, server } = around(router);
      const [syn] = a.tcp(SERVER, 10000, 80, Syn);
      const port = syn?.ip?.sourcePort ?? 0;
      const steps = [
        () => server.tcp(EXTERNAL, 80, port, Syn | Ack),
        () => a.tcp(SERVER, 10000, 80, Ack),
        () => a.tcp(SERVER, 10000, 80, Psh | Ack),
        () => server.tcp(EXTERNAL, 80, port, Psh | Ack),
        () => a.tcp(SERVER, 10000, 80, Fin | Ack),
        () => server.tcp(EXTERNAL, 80, port, Fin | Ack),
        () => a.tcp(SERVER, 10000, 80, Ack),
      ];
      for (const step of steps) {
        router.wait(20);
        step();
      }
    },
  },
  {
    name: "ping-both-tenants",
    config: edge(),
    play(router) {
      const { a, b, server } = around(router);
      for (let round = 0; round < 3; round++) {
        const sent = [a, b].map((host) => host.ping(SERVER, 500, `${host.device} ${round}`)[0]);
        router.wait(1);
        for (const each of sent.reverse()) server.answer(each);
        a.ping("192.168.0.1", 500, "the gateway");
        router.wait(1000);
      }
    },
  },
  {
    name: "arp-resolution",
    config: edge(unresolved),
    play(router) {
      const { a, server } = around(router);
      a.ask("192.168.0.1");
      a.udp(SERVER, 1, 53, "first");
      a.udp(SERVER, 1, 53, "second");
      router.wait(1500);
      server.answerArp("203.0.113.2");
      const [sent] = a.udp(SERVER, 1, 53, "third");
      server.answer(sent);
      server.ask(EXTERNAL);
      a.udp("203.0.113.77", 1, 53, "to nobody");
      router.wait(5000);
      router.wait(30_000);
      a.udp(SERVER, 1, 53, "to a stale neighbor");
      server.answerArp("203.0.113.2");
    },
  },
  {
    name: "vlan-trunk",
    config: edge({
      devices: [
        { name: "lan-a", zone: "a", interface: "eth1", vlan: 10, addresses: ["192.168.0.1/24"] },
        {
          name: "lan-b",
          zone: "b",
          interface: "eth1",
          vlan: [7, 10],
          addresses: ["192.168.0.1/24"],
        },
        { name: "wan", zone: "public", interface: "eth1", addresses: ["203.0.113.2/24"] },
      ],
    }),
    play(router) {
      const { a, b, server } = around(router);
      for (const host of [a, b]) {
        const [sent] = host.udp(SERVER, 4562, 53, host.device);
        router.wait(3);
        server.answer(sent);
        host.ask("192.168.0.1");
      }
      new Host(router, "wan", "203.0.113.55").ask(EXTERNAL);
    },
  },
  {
    name: "written-flows",
    config: numbered(bareEdge(FLOWS, { pools: [] })),
    play(router) {
      const { a, b, server } = around(router);
      const [syn] = a.tcp(SERVER, 10000, 5201, Syn);
      router.wait(1);
      server.answer(syn);
      a.tcp(SERVER, 10000, 5201, Ack);
      a.udp(SERVER, 1, 53);
      b.tcp(SERVER, 10000, 5201, Syn);
      server.tcp(EXTERNAL, 5201, 4000, Syn);
    },
  },
  {
    name: "forward",
    config: edge({
      forwards: [
        {
          protocol: "tcp",
          zone: "public",
          address: EXTERNAL,
          port: 8080,
          to: { zone: "b", address: TENANT, port: 80 },
        },
      ],
    }),
    play(router) {
      const { b, server } = around(router);
      const [syn] = server.tcp(EXTERNAL, 700, 8080, Syn);
      router.wait(1);
      b.answer(syn);
      router.wait(1);
      server.tcp(EXTERNAL, 700, 8080, Ack);
      server.tcp(EXTERNAL, 700, 8081, Syn);
      b.udp(SERVER, 80, 700);
    },
  },
  {
    name: "time-exceeded",
    config: edge(),
    play(router) {
      const { a, server } = around(router);
      const probe = (port: number) =>
        udp({ sourcePort: 33000, destinationPort: port, data: "hop" });
      for (let ttl = 1; ttl < 4; ttl++) a.send(SERVER, probe(33434 + ttl), { ttl });
      router.wait(50);
      const [sent] = a.udp(SERVER, 1, 53);
      server.answer(sent, { ttl: 1 });
      server.answer(sent, { ttl: 2 });
    },
  },
  {
    name: "expiry",
    config: edge({ timeouts: { udp: 10, icmp: 5, tcpTransitory: 8 } }),
    play(router) {
      const { a, b, server } = around(router);
      const [sent] = a.udp(SERVER, 1, 53);
      b.ping(SERVER, 1);
      b.tcp(SERVER, 1, 80, Syn);
      router.wait(9_000);
      server.answer(sent);
      router.wait(9_000);
      server.answer(sent);
      router.wait(12_000);
      server.answer(sent);
      a.udp(SERVER, 1, 53);
    },
  },
];
