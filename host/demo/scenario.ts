/**
 * What the demo shows, whatever it runs on: two tenants with the same address talk to one server
 * through one public address, and each gets its own bytes back.
 */
import type { ConnView } from "../telemetry/conn.js";
import type { Answer, Probe, Report } from "./endpoint.js";

export const PUBLIC_ADDRESS = "203.0.113.7";
export const PUBLIC_ZONE = 20;
export const SERVER = "198.51.100.10";
/** The server's side of the public network: the gateway's next hop. */
export const NEXT_HOP = "203.0.113.1";
export const SERVER_PORT = 7;
export const GATEWAY_WAN = "203.0.113.2";

/** What both tenants have in common is the point. */
export const TENANT_ADDRESS = "192.168.0.10";
export const TENANT_GATEWAY = "192.168.0.1";
export const ECHO_IDENTIFIER = 77;
export const UDP_SOURCE_PORT = 4562;
export const TCP_SOURCE_PORT = 10000;

export interface Tenant {
  name: string;
  zone: number;
}

export const TENANTS: readonly Tenant[] = [
  { name: "a", zone: 10 },
  { name: "b", zone: 11 },
];

/** Nobody else's bytes: what the tenant sends and must get back. */
export function words(tenant: Tenant): string {
  return `what tenant ${tenant.name} alone says`;
}

/** The configuration, of a gateway with the interfaces lan-a, lan-b and wan. */
export function configuration(driver: "afpacket" | "loopback") {
  const lans = TENANTS.map(({ name }, index) => ({
    name: `lan-${name}`,
    port: index === 0 ? 1 : index + 2,
    zone: name,
    interface: `lan-${name}`,
    driver,
    addresses: [`${TENANT_GATEWAY}/24`],
  }));
  const addresses = [`${GATEWAY_WAN}/24`];
  const wan = { name: "wan", port: 2, zone: "public", interface: "wan", driver, addresses };
  return {
    version: 1,
    zones: [
      ...TENANTS.map(({ name, zone }) => ({ id: zone, name })),
      { id: PUBLIC_ZONE, name: "public" },
    ],
    devices: [...lans, wan],
    routes: [{ zone: "public", to: "0.0.0.0/0", via: NEXT_HOP }],
    pools: [{ name: "p1", zone: "public", addresses: [PUBLIC_ADDRESS] }],
    nat: [{ from: TENANTS.map(({ name }) => name), to: "public", pool: "p1" }],
    capacity: { conns: 1024 },
  };
}

export interface Outcome {
  rows: { tenant: Tenant; probe: Probe }[];
  conns: ConnView[];
}

/** Of an echo request only the server knows whom it came from. */
export function nameEchoes(rows: Outcome["rows"], seen: Report): void {
  for (const { tenant, probe } of rows) {
    const source = seen.find(({ text }) => text === words(tenant))?.source;
    if (source !== undefined) probe.icmp.source = source;
  }
}

/** What is not as it must be; nothing when all is well. */
export function problems({ rows, conns }: Outcome): string[] {
  const found: string[] = [];
  const sources = new Set<string>();
  for (const { tenant, probe } of rows) {
    for (const [protocol, answer] of Object.entries(probe)) {
      const where = `tenant ${tenant.name}, ${protocol}`;
      const wrong = fault(answer);
      if (wrong !== undefined) found.push(`${where}: ${wrong}`);
      if (protocol !== "icmp" && answer.source !== undefined) {
        const key = `${protocol} ${answer.source}`;
        if (sources.has(key)) found.push(`${where}: another tenant had ${answer.source} too`);
        sources.add(key);
      }
      const conn = conns.find((c) => c.protocol === protocol && c.original.zone === tenant.zone);
      if (conn?.reply.zone !== PUBLIC_ZONE) found.push(`${where}: no conn with both its zones`);
    }
  }
  return found;
}

function fault(answer: Answer): string | undefined {
  if (answer.error !== undefined) return answer.error;
  if (!answer.own) return "came back other than it was sent";
  const address = answer.source?.split(":")[0];
  return address === PUBLIC_ADDRESS ? undefined : `the server saw ${address ?? "nothing"}`;
}
