/** The scenario on real interfaces of a real kernel: four namespaces and three cables. */
import { fileURLToPath } from "node:url";
import type { Child } from "./child.js";
import type { Probe, ProbeOrder, Report } from "./endpoint.js";
import { Gateway } from "./gateway.js";
import type { End, Lab, Namespace } from "./lab.js";
import {
  configuration,
  ECHO_IDENTIFIER,
  NEXT_HOP,
  nameEchoes,
  type Outcome,
  SERVER,
  SERVER_PORT,
  TCP_SOURCE_PORT,
  TENANT_ADDRESS,
  TENANT_GATEWAY,
  TENANTS,
  type Tenant,
  UDP_SOURCE_PORT,
  words,
} from "./scenario.js";

const ENDPOINT = fileURLToPath(new URL("./endpoint.js", import.meta.url));

const PINGS = 3;

/** What runs, once everything is up. */
export interface Live {
  gateway: Gateway;
  /** Rows: the namespace's name, the command that enters it. */
  ways: string[][];
  outcome: Outcome;
}

export async function runLive(lab: Lab): Promise<Live> {
  const [router, server, ...hosts] = await Promise.all([
    lab.namespace("gateway"),
    lab.namespace("server"),
    ...TENANTS.map(({ name }) => lab.namespace(`tenant ${name}`)),
  ]);
  const tenants = hosts.map((host, index) => ({ host, tenant: TENANTS[index] as Tenant }));
  await wire(lab, router, server, tenants);
  const [gateway, echo] = await Promise.all([
    Gateway.start(router, configuration("afpacket")),
    serve(server),
  ]);
  // All tenants at once, with the same ports: nothing but their zones keeps them apart.
  const rows = await Promise.all(
    tenants.map(async ({ host, tenant }) => ({ tenant, probe: await ask(host, tenant) })),
  );
  echo.write("report\n");
  nameEchoes(rows, JSON.parse(await echo.line("stdout", /^\[/)) as Report);
  const ways = [router, server, ...hosts].map((each) => [each.name, each.enter("COMMAND")]);
  return { gateway, ways, outcome: { rows, conns: await gateway.conns() } };
}

async function wire(
  lab: Lab,
  router: Namespace,
  server: Namespace,
  tenants: { host: Namespace; tenant: Tenant }[],
): Promise<void> {
  const lans = tenants.map(({ host, tenant }): [End, End] => [
    { at: router, name: `lan-${tenant.name}` },
    { at: host, name: "eth0" },
  ]);
  await lab.cables(...lans, [
    { at: router, name: "wan" },
    { at: server, name: "eth0" },
  ]);
  await Promise.all([
    server.ip(`addr add ${NEXT_HOP}/24 dev eth0`, `addr add ${SERVER}/32 dev lo`),
    ...tenants.map(({ host }) =>
      host.ip(`addr add ${TENANT_ADDRESS}/24 dev eth0`, `route add default via ${TENANT_GATEWAY}`),
    ),
  ]);
}

async function serve(server: Namespace): Promise<Child> {
  const child = server.spawn(process.execPath, [ENDPOINT, "serve", SERVER, String(SERVER_PORT)]);
  await child.line("stdout", /^ready$/);
  return child;
}

async function ask(host: Namespace, tenant: Tenant): Promise<Probe> {
  const order: ProbeOrder = {
    server: SERVER,
    port: SERVER_PORT,
    echoIdentifier: ECHO_IDENTIFIER,
    udpSourcePort: UDP_SOURCE_PORT,
    tcpSourcePort: TCP_SOURCE_PORT,
    text: words(tenant),
    pings: PINGS,
  };
  const said = await host.must(process.execPath, [ENDPOINT, "probe", JSON.stringify(order)]);
  return JSON.parse(said) as Probe;
}
