/** The document of docs/config.md, small changes to it, and what is said about them. */

import fc from "fast-check";
import type { Test } from "tap";
import { ConfigError } from "../../../host/config/error.js";
import { checkConfig } from "../../../host/config/parse.js";

/** A fresh copy of a document that uses every section. */
export function example(): Record<string, unknown> {
  return {
    version: 1,
    zones: [
      { id: 10, name: "a", limits: { conns: 20000 } },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
    devices: [
      {
        name: "lan-a",
        port: 1,
        zone: "a",
        interface: "eth1",
        vlan: 10,
        driver: "afpacket",
        mac: "02:00:5e:00:00:01",
        addresses: ["192.168.0.1/24"],
        mtu: 1500,
      },
      {
        name: "lan-b",
        port: 3,
        zone: "b",
        interface: "eth1",
        vlan: 11,
        addresses: ["192.168.0.1/24"],
      },
      {
        name: "wan",
        port: 2,
        zone: "public",
        interface: "eth0",
        addresses: ["203.0.113.2/24"],
      },
    ],
    routes: [{ zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" }],
    neighbors: [{ zone: "public", address: "203.0.113.1", mac: "02:00:00:00:02:01" }],
    pools: [
      {
        name: "p1",
        zone: "public",
        addresses: ["203.0.113.7", "203.0.113.16/28"],
        ports: "1024-65535",
        allocation: "random",
      },
    ],
    nat: [{ from: ["a", "b"], to: "public", pool: "p1" }],
    forwards: [
      {
        protocol: "tcp",
        zone: "public",
        address: "203.0.113.7",
        port: 8080,
        to: { zone: "a", address: "192.168.0.10", port: 80 },
      },
    ],
    flows: ["priority=50,in_port(1),udp,tp_dst=25 actions=drop"],
    timeouts: { udp: 300, tcpEstablished: 7440, tcpTransitory: 240, icmp: 60 },
    capacity: { conns: 65536 },
  };
}

/** The same with a value other than the default for every policy, limit and timeout. */
export function policies(): Record<string, unknown> {
  const hosts = [
    { zone: "a", prefix: "10.0.0.0/28" },
    { zone: "b", prefix: "192.168.0.0/30" },
    { zone: "a", prefix: "10.0.1.9/32" },
  ];
  return {
    ...example(),
    zones: [
      {
        id: 10,
        name: "a",
        limits: { conns: 20000, connsPerHost: 100, portsPerHost: { tcp: 512, icmp: 8 } },
        timeouts: { udp: 30, tcpTransitory: 20, tcpClosing: 10 },
      },
      { id: 11, name: "b", limits: { portsPerHost: 256 }, pcp: true },
      { id: 20, name: "public", timeouts: { udp: 30, tcpOpening: 20, tcpClosing: 10 } },
    ],
    pools: [
      {
        name: "p1",
        zone: "public",
        addresses: ["203.0.113.7", "203.0.113.16/28"],
        mapping: { tcp: "address-and-port-dependent", udp: "address-dependent" },
        filtering: "endpoint-independent",
        allocation: "preserve",
        parity: true,
        inboundRefresh: false,
        pooling: "arbitrary",
      },
      {
        name: "p2",
        zone: "public",
        addresses: ["203.0.113.40/30"],
        filtering: { icmp: "address-and-port-dependent" },
        allocation: "block",
        block: { ports: 1024, perHost: 2 },
      },
      {
        name: "p3",
        zone: "public",
        addresses: ["203.0.113.50", "203.0.113.60"],
        ports: "1000-1999",
        allocation: "deterministic",
        deterministic: { hosts, portsPerHost: 64, overflowPorts: 100 },
      },
    ],
    nat: [
      { from: ["a"], to: "public", pool: "p2" },
      { from: ["b"], to: "public", pool: "p3" },
    ],
    forwards: [
      {
        protocol: "tcp",
        zone: "public",
        address: "203.0.113.7",
        port: "8000-8010",
        to: { zone: "a", address: "192.168.0.10", port: 80 },
      },
      {
        protocol: "any",
        zone: "public",
        address: "203.0.113.70",
        to: { zone: "b", address: "192.168.0.20" },
      },
    ],
    timeouts: {
      udp: 300,
      tcpOpening: 100,
      holdDown: 0,
      fragment: 15,
      unsolicitedSyn: 7,
      ports: [
        { protocol: "udp", port: 53, seconds: 10 },
        { protocol: "tcp", port: "22-23", seconds: 86400 },
      ],
    },
    tcp: { window: "liberal" },
    icmp: { exhaustion: false, unsolicitedSyn: false },
    gateways: { ftp: true, tftp: true },
  };
}

/** Two zones and their devices, and nothing else. */
export function minimal(): Record<string, unknown> {
  return {
    version: 1,
    zones: [{ id: 10 }, { id: 20 }],
    devices: [
      { name: "lan", zone: 10, interface: "eth1", addresses: ["192.168.0.1/24"] },
      { name: "wan", zone: 20, interface: "eth0", addresses: ["203.0.113.2/24"] },
    ],
  };
}

/** A value at a place such as `zones[1].name`; undefined takes it away. */
export type Changes = Readonly<Record<string, unknown>>;

export function changed(document: Record<string, unknown>, changes: Changes): unknown {
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split(/[.[\]]+/).filter((key) => key !== "");
    const last = keys.pop() ?? "";
    let holder: object = document;
    for (const key of keys) {
      const next: unknown = Reflect.get(holder, key);
      if (typeof next !== "object" || next === null) throw new Error(`${path} leads nowhere`);
      holder = next;
    }
    if (value === undefined) Reflect.deleteProperty(holder, last);
    else Reflect.set(holder, last, value);
  }
  return document;
}

/** The lines of the ConfigError that a call ends with; none when it ends well. */
export function linesOf(call: () => unknown): string[] {
  try {
    call();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(String);
    throw error;
  }
}

/** What is said about a document. */
export function problemsOf(document: unknown): string[] {
  return linesOf(() => checkConfig(document));
}

/** Runs a property; when it fails, the message has fast-check's seed and path to run it again. */
export function holds<Ts>(t: Test, property: fc.IProperty<Ts>, runs: number): void {
  t.doesNotThrow(() => fc.assert(property, { numRuns: runs }));
}
