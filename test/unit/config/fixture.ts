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
