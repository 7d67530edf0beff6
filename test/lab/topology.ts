/**
 * The acceptance scenario's network: tenants that are all 10.1.0.3/24 with the same MAC behind gateway
 * 10.1.0.2, a gateway, a server 10.3.0.99 that knows only 10.3.0.1.
 *
 *     interfaces   tenant N  eth0 ───────────────────────── tN     router  wan ── eth0  server
 *     vlans        tenant N  eth0 ── trunk namespace ── trunk, tag N  router
 *
 * The trunk's far end is taken apart by the kernel's VLAN interfaces, moved into the tenants; where
 * the kernel has none (CONFIG_VLAN_8021Q), by a switch of two BPF programs, see trunk.ts.
 */
import { fileURLToPath } from "node:url";
import type { Child } from "../../host/demo/child.js";
import type { End, Lab, Namespace } from "../../host/demo/lab.js";
import { FIRST_PORT_INDEX, TRUNK_INDEX } from "./trunk.js";

export type Form = "interfaces" | "vlans";

export const TENANT_ADDRESS = "10.1.0.3";
export const TENANT_GATEWAY = "10.1.0.2";
export const TENANT_MAC = "02:00:00:00:00:10";
export const SERVER_ADDRESS = "10.3.0.99";
export const PUBLIC_ADDRESS = "10.3.0.1";
export const SERVER_PORT = 5201;

const ENDPOINT = fileURLToPath(new URL("../../host/demo/endpoint.js", import.meta.url));
const TRUNK = fileURLToPath(new URL("./trunk.js", import.meta.url));

export interface Tenant {
  /** 1 and up: its VLAN, its in_port, the N of its name. */
  number: number;
  host: Namespace;
}

export interface Topology {
  form: Form;
  lab: Lab;
  router: Namespace;
  server: Namespace;
  /** Its echo server. */
  echo: Child;
  tenants: Tenant[];
  /** Bytes that a tenant's interface counts per frame in front of the IP packet. */
  linkBytes: number;
}

/** The router's interface towards a tenant, before VLANs. */
export function routerInterface(form: Form, tenant: { number: number }): string {
  return form === "interfaces" ? `t${tenant.number}` : "trunk";
}

export async function build(lab: Lab, form: Form, count: number): Promise<Topology> {
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const [router, server, ...hosts] = await Promise.all([
    lab.namespace("router"),
    lab.namespace("server"),
    ...numbers.map((number) => lab.namespace(`tenant ${number}`)),
  ]);
  const tenants = hosts.map((host, index) => ({ number: index + 1, host }));
  await lab.cables([
    { at: router, name: "wan" },
    { at: server, name: "eth0" },
  ]);
  const kernelVlans = form === "vlans" && (await hasVlans(server));
  if (form === "interfaces") await connect(lab, router, tenants);
  else await connectTrunk(lab, router, tenants, kernelVlans);
  await Promise.all([
    server.ip(`addr add ${SERVER_ADDRESS}/24 dev eth0`),
    ...tenants.map(({ host }) =>
      host.ip(
        `addr add ${TENANT_ADDRESS}/24 dev eth0`,
        "link set eth0 up",
        `route add default via ${TENANT_GATEWAY}`,
      ),
    ),
  ]);
  const echo = server.spawn(process.execPath, [
    ENDPOINT,
    "serve",
    SERVER_ADDRESS,
    String(SERVER_PORT),
  ]);
  await echo.line("stdout", /^ready$/);
  return { form, lab, router, server, echo, tenants, linkBytes: kernelVlans ? 0 : 14 };
}

function connect(lab: Lab, router: Namespace, tenants: Tenant[]): Promise<void> {
  return lab.cables(
    ...tenants.map((tenant): [End, End] => [
      { at: router, name: routerInterface("interfaces", tenant) },
      { at: tenant.host, name: "eth0", link: `address ${TENANT_MAC}` },
    ]),
  );
}

async function hasVlans(at: Namespace): Promise<boolean> {
  const tried = await at.run("ip", "link add link eth0 name probe type vlan id 1".split(" "));
  if (tried.status === 0) await at.ip("link del probe");
  return tried.status === 0;
}

async function connectTrunk(lab: Lab, router: Namespace, tenants: Tenant[], kernelVlans: boolean) {
  const trunk = await lab.namespace("trunk");
  await lab.cables([
    { at: trunk, name: "trunk", link: `index ${TRUNK_INDEX} address ${TENANT_MAC}` },
    { at: router, name: "trunk" },
  ]);
  if (kernelVlans) {
    const add = ({ number, host }: Tenant) =>
      `link add link trunk name eth0 netns ${host.pid} type vlan id ${number}`;
    return trunk.ip(...tenants.map(add));
  }
  await lab.cables(
    ...tenants.map(({ number, host }): [End, End] => [
      { at: trunk, name: `v${number}`, link: `index ${FIRST_PORT_INDEX + number}` },
      { at: host, name: "eth0", link: `address ${TENANT_MAC}` },
    ]),
  );
  const child = trunk.spawn(process.execPath, [TRUNK, String(tenants.length)]);
  await child.line("stdout", /^ready$/);
}
