/**
 * The network of the witness tests: two tenants with equal addresses behind crosszone, a Linux router of the
 * provider behind it, and a server.
 *
 *     tenant a  192.168.0.10 ── lan-a ┐
 *                                     crosszone ── wan ── provider ── server 198.51.100.10
 *     tenant b  192.168.0.10 ── lan-b ┘   203.0.113.7     203.0.113.1
 *
 * The provider's router has no route to the tenants and tracks connections: what it takes for invalid is
 * counted.
 */

import { Gateway } from "../../host/demo/gateway.js";
import { Lab, type Namespace } from "../../host/demo/lab.js";

export const TENANT = "192.168.0.10";
export const TENANT_GATEWAY = "192.168.0.1";
export const EXTERNAL = "203.0.113.7";
export const PROVIDER = "203.0.113.1";
export const SERVER = "198.51.100.10";
/** Forwards of the configuration: to tenant a's ports 80 and 21, and 9000. */
export const WEB_PORT = 8080;
export const FTP_PORT = 2121;
export const CHAT_PORT = 9000;
/** Conns that tenant a may have. */
export const CONNS_OF_A = 500;

export interface Site {
  readonly lab: Lab;
  readonly gateway: Gateway;
  readonly a: Namespace;
  readonly b: Namespace;
  readonly provider: Namespace;
  readonly server: Namespace;
}

function forward(port: number, inside: number) {
  return {
    protocol: "tcp",
    zone: "public",
    address: EXTERNAL,
    port,
    to: { zone: "a", address: TENANT, port: inside },
  };
}

function configuration() {
  return {
    version: 1,
    zones: [
      { id: 10, name: "a", limits: { conns: CONNS_OF_A } },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
    devices: [
      { name: "lan-a", zone: "a", interface: "lan-a", addresses: [`${TENANT_GATEWAY}/24`] },
      { name: "lan-b", zone: "b", interface: "lan-b", addresses: [`${TENANT_GATEWAY}/24`] },
      { name: "wan", zone: "public", interface: "wan", addresses: ["203.0.113.2/24"] },
    ],
    routes: [{ zone: "public", to: "0.0.0.0/0", via: PROVIDER }],
    pools: [{ name: "p1", zone: "public", addresses: [EXTERNAL] }],
    nat: [{ from: ["a", "b"], to: "public", pool: "p1" }],
    forwards: [forward(WEB_PORT, 80), forward(FTP_PORT, 21), forward(CHAT_PORT, CHAT_PORT)],
    gateways: { ftp: true, tftp: true },
    capacity: { conns: 4096 },
  };
}

const INVALID = `
table ip watch {
  counter invalid {}
  chain forward {
    type filter hook forward priority 0;
    ct state invalid counter name invalid
  }
}`;

export async function buildSite(): Promise<Site> {
  const lab = await Lab.create();
  const names = ["router", "a", "b", "provider", "server"];
  const [router, a, b, provider, server] = await Promise.all(
    names.map((name) => lab.namespace(name)),
  );
  if (!router || !a || !b || !provider || !server) throw new Error("the lab has no namespaces");
  await lab.cables(
    [
      { at: router, name: "lan-a" },
      { at: a, name: "eth0" },
    ],
    [
      { at: router, name: "lan-b" },
      { at: b, name: "eth0" },
    ],
    [
      { at: router, name: "wan" },
      { at: provider, name: "eth0" },
    ],
    [
      { at: provider, name: "eth1" },
      { at: server, name: "eth0" },
    ],
  );
  const tenant = [`addr add ${TENANT}/24 dev eth0`, `route add default via ${TENANT_GATEWAY}`];
  await Promise.all([
    a.ip(...tenant),
    b.ip(...tenant),
    provider.ip(`addr add ${PROVIDER}/24 dev eth0`, "addr add 198.51.100.1/24 dev eth1"),
    server.ip(`addr add ${SERVER}/24 dev eth0`, "route add default via 198.51.100.1"),
  ]);
  await provider.must("sh", ["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
  await provider.must("nft", ["-f", "-"], { input: INVALID });
  const gateway = await Gateway.start(router, configuration());
  return { lab, gateway, a, b, provider, server };
}

/** Packets that the provider's router could not make sense of. */
export async function invalidPackets({ provider }: Site): Promise<number> {
  const text = await provider.must("nft", ["-j", "list", "counter", "ip", "watch", "invalid"]);
  const { nftables } = JSON.parse(text) as { nftables: { counter?: { packets: number } }[] };
  return nftables.find(({ counter }) => counter !== undefined)?.counter?.packets ?? Number.NaN;
}
