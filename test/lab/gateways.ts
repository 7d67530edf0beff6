/**
 * What stands between the tenants and the server: crosszone by its `nat` shorthand, crosszone by the two
 * flows that started the project, or the kernel as its own zone selftest sets it up (nft_nat_zones.sh).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Gateway } from "../../host/demo/gateway.js";
import type { ConnView } from "../../host/telemetry/conn.js";
import type { DriverName } from "../harness/interface.js";
import {
  type Form,
  PUBLIC_ADDRESS,
  routerInterface,
  TENANT_GATEWAY,
  type Tenant,
  type Topology,
} from "./topology.js";

export type GatewayKind = "nat" | "flows" | "kernel";

export const PUBLIC_ZONE = 1000;
const WAN_PORT = 1000;
const PROTOCOLS = ["tcp", "udp", "icmp"];

export interface Running {
  /**
   * Whether the first packets of two tenants may come at the same instant. In the kernel both may choose one
   * external endpoint then, and one is dropped when its conn is entered (insert_failed of nf_conntrack).
   */
  readonly takesAllAtOnce: boolean;
  /** MAC of the frames it sends through the router's interface of that name. */
  mac(routerInterface: string): string;
  /** Undefined where it is the kernel. */
  conns(): Promise<ConnView[] | undefined>;
  /** Its exit code, 0 when all was well. */
  stop(): Promise<number>;
}

export function tenantZone(tenant: Tenant): number {
  return 100 + tenant.number;
}

/** Crosszone's virtual MACs: nobody else's begin like this. */
function virtualMac(name: string): string {
  const number = /^t(\d+)$/.exec(name)?.[1] ?? (name === "wan" ? "255" : "0");
  return `02:cc:00:00:00:${Number(number).toString(16).padStart(2, "0")}`;
}

/** What can differ of crosszone's configuration. */
export interface Settings {
  readonly driver?: DriverName | undefined;
  readonly workers?: number | undefined;
}

export function configuration(
  form: Form,
  tenants: Tenant[],
  kind: "nat" | "flows",
  { driver = "afpacket", workers = 1 }: Settings,
) {
  const inside = tenants.map((tenant) => ({
    name: `lan${tenant.number}`,
    port: tenant.number,
    zone: tenantZone(tenant),
    interface: routerInterface(form, tenant),
    driver,
    ...(form === "vlans" ? { vlan: tenant.number } : {}),
    mac: virtualMac(routerInterface(form, tenant)),
    addresses: [`${TENANT_GATEWAY}/24`],
  }));
  const outside = {
    name: "wan",
    port: WAN_PORT,
    zone: PUBLIC_ZONE,
    interface: "wan",
    driver,
    mac: virtualMac("wan"),
    addresses: [`${PUBLIC_ADDRESS}/24`],
  };
  return {
    version: 1,
    zones: [
      ...tenants.map((tenant) => ({ id: tenantZone(tenant), name: `tenant${tenant.number}` })),
      { id: PUBLIC_ZONE, name: "public" },
    ],
    devices: [...inside, outside],
    ...(kind === "nat" ? shorthand(tenants) : { flows: flows(tenants) }),
    capacity: { conns: 4096 },
    workers,
  };
}

function shorthand(tenants: Tenant[]) {
  return {
    pools: [{ name: "p1", zone: "public", addresses: [PUBLIC_ADDRESS] }],
    nat: [{ from: tenants.map(tenantZone), to: "public", pool: "p1" }],
  };
}

/** The two flows of the design, with nothing but numbers changed; the second serves all tenants. */
function flows(tenants: Tenant[]): string[] {
  return PROTOCOLS.flatMap((protocol) => [
    ...tenants.map(
      (tenant) =>
        `in_port(${tenant.number}),${protocol},conn_state=-tracked        ` +
        `actions=nat(src_zone=${tenantZone(tenant)},dst_zone=${PUBLIC_ZONE},masq=${PUBLIC_ADDRESS})`,
    ),
    `in_port(${WAN_PORT}),${protocol},conn_state=+established    ` +
      `actions=nat(reverse,zone=${PUBLIC_ZONE})`,
  ]);
}

export async function startGateway(
  kind: GatewayKind,
  topology: Topology,
  settings: Settings = {},
): Promise<Running> {
  if (kind === "kernel") return startKernel(topology);
  const { router, form, tenants } = topology;
  const config = configuration(form, tenants, kind, settings);
  const gateway = await Gateway.start(router, config);
  if (settings.driver === "afxdp")
    await throughXdp(gateway, new Set(config.devices.map(interfaceOf)).size);
  return {
    takesAllAtOnce: true,
    mac: virtualMac,
    conns: () => gateway.conns(),
    stop: () => gateway.stop(),
  };
}

function interfaceOf(device: { interface: string }): string {
  return device.interface;
}

/** Every interface works by AF_XDP, none as afpacket instead. */
async function throughXdp(gateway: Gateway, interfaces: number): Promise<void> {
  const notice = /^crosszone: afxdp \S+: by the driver's own XDP/gm;
  const said = () => gateway.child.stderr.match(notice)?.length ?? 0;
  for (let tries = 0; tries < 500 && said() < interfaces; tries++) await sleep(10);
  if (said() !== interfaces) throw new Error(`${said()} of ${interfaces}: ${gateway.child.stderr}`);
  if (gateway.child.stderr.includes("works as afpacket")) throw new Error(gateway.child.stderr);
}

/**
 * The zone is known by the interface in the original direction only; the way back is found by a mark
 * that the conn keeps and a routing table per mark.
 */
async function startKernel({ router, form, tenants }: Topology): Promise<Running> {
  if (form === "vlans") throw new Error("the kernel is the gateway of interfaces only");
  const name = (tenant: Tenant) => routerInterface(form, tenant);
  await router.must("sh", [
    "-c",
    "echo 1 > /proc/sys/net/ipv4/ip_forward; for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done",
  ]);
  await router.ip(
    `addr add ${PUBLIC_ADDRESS}/24 dev wan`,
    ...tenants.flatMap((tenant) => [
      `addr add ${TENANT_GATEWAY}/24 dev ${name(tenant)}`,
      `route add 10.1.0.0/24 dev ${name(tenant)} table ${1000 + tenant.number}`,
      `rule add fwmark ${tenant.number} lookup ${1000 + tenant.number}`,
    ]),
  );
  const byName = tenants.map((tenant) => `"${name(tenant)}" : ${tenant.number}`).join(", ");
  const rules = `
table inet zones {
  map marks {
    type ifname : mark
    elements = { ${byName} }
  }
  map zones {
    typeof iifname : ct zone
    elements = { ${byName} }
  }
  chain raw {
    type filter hook prerouting priority -300;
    iifname != "wan" ct original zone set meta iifname map @zones
  }
  chain prerouting {
    type filter hook prerouting priority -150;
    ct direction original iifname != "wan" meta mark set meta iifname map @marks
    ct direction reply meta mark set ct mark
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname "wan" ct mark set meta mark masquerade
  }
}`;
  await router.must("nft", ["-f", "-"], { input: rules });
  const links = JSON.parse(await router.must("ip", ["-j", "link"])) as {
    ifname: string;
    address: string;
  }[];
  return {
    takesAllAtOnce: false,
    mac: (interfaceName) => links.find((each) => each.ifname === interfaceName)?.address ?? "",
    conns: async () => undefined,
    stop: async () => 0,
  };
}
