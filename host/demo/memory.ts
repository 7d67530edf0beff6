/** The scenario over the in-memory device: the same datapath, simulated hosts, no kernel in between. */
import { randomBytes } from "node:crypto";
import { capacityOf, compileImage } from "../config/compile.js";
import { checkConfig } from "../config/parse.js";
import { Datapath } from "../datapath.js";
import { Loopback, loopbackWindowBytes } from "../device/loopback.js";
import { Loop } from "../loop.js";
import { readConn } from "../telemetry/conn.js";
import { ServerHost, TenantHost } from "./hosts.js";
import {
  configuration,
  GATEWAY_WAN,
  NEXT_HOP,
  nameEchoes,
  type Outcome,
  TENANTS,
} from "./scenario.js";

/** Turns after which it is over, answered or not; a round trip with ARP at both ends takes ten. */
const TURNS_MAX = 1000;
const SLOTS = 64;

export async function runMemory(): Promise<Outcome> {
  const clock = () => performance.now();
  const now = () => Math.floor(clock());
  const config = checkConfig(configuration("loopback"));
  const windowBytes = config.interfaces.length * loopbackWindowBytes(SLOTS);
  const capacity = capacityOf(config);
  const datapath = new Datapath({ capacity, seed: randomBytes(16), windowBytes }, now());
  datapath.configure(compileImage(config), now());
  const links = config.interfaces.map(
    ({ name }) => new Loopback(name, datapath.window(loopbackWindowBytes(SLOTS)), SLOTS),
  );
  const server = new ServerHost(NEXT_HOP, GATEWAY_WAN);
  const tenants = TENANTS.map((tenant) => new TenantHost(tenant, clock));
  const hosts = new Map<string, ServerHost | TenantHost>([
    ["wan", server],
    ...tenants.map((host): [string, TenantHost] => [`lan-${host.tenant.name}`, host]),
  ]);
  for (const tenant of tenants) tenant.ask();
  const loop = new Loop(datapath, links);
  for (let turn = 0; turn < TURNS_MAX; turn++) {
    const moved = links.map((link) => carry(link, hosts.get(link.name)));
    loop.turn(now());
    if (!moved.includes(true) && links.every((link) => link.sent === 0)) break;
  }
  const rows = tenants.map(({ tenant, probe }) => ({ tenant, probe }));
  nameEchoes(rows, server.echoes);
  return { rows, conns: [...datapath.connRows(now())].map(readConn) };
}

/** Between an interface and the host behind it; true when there was something to carry. */
function carry(link: Loopback, host: ServerHost | TenantHost | undefined): boolean {
  if (host === undefined) return false;
  const out = host.sent.splice(0);
  for (const frame of out) link.inject(frame);
  let taken = 0;
  for (let frame = link.take(); frame !== undefined; frame = link.take()) {
    host.receive(frame);
    taken++;
  }
  return out.length + taken > 0;
}
