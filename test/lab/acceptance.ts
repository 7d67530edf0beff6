/**
 * The acceptance scenario: the steps of the kernel's zone selftest, and what each must give. The steps
 * collect what is wrong instead of stopping at it, so that one run says all.
 */

import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import type { Child } from "../../host/demo/child.js";
import { Lab } from "../../host/demo/lab.js";
import type { DriverName } from "../harness/interface.js";
import { Capture, checksums, merge } from "./capture.js";
import { type Arrivals, countArrivals } from "./counters.js";
import { foreign, mark } from "./foreign.js";
import {
  type GatewayKind,
  PUBLIC_ZONE,
  type Running,
  startGateway,
  tenantZone,
} from "./gateways.js";
import {
  build,
  type Form,
  PUBLIC_ADDRESS,
  routerInterface,
  SERVER_ADDRESS,
  SERVER_PORT,
  TENANT_ADDRESS,
  type Topology,
} from "./topology.js";

/** The compiled file stands in dist/test/lab, the program beside its source. */
const TENANT_PROGRAM = fileURLToPath(new URL("../../../test/lab/tenant.py", import.meta.url));

const PINGS = 3;
/** An echo request of `ping` without options: 20 + 8 + 56. */
const PING_BYTES = 84;
const SOURCE_PORT = 10000;
const PAYLOAD_BYTES = 200_000;
/** The same identifier from everyone: nothing but the zone tells their pings apart. */
const PING_IDENTIFIER = 7;

export interface Options {
  form: Form;
  gateway: GatewayKind;
  /** Crosszone's, "afpacket" by default. */
  driver?: DriverName;
  /** Crosszone's, one by default. */
  workers?: number;
  tenants: number;
  /** Tenants and server leave it to the gateway to cut their segments. */
  senderOffload?: boolean;
}

/** What a tenant's program says of one exchange. */
interface Exchange {
  sources: string[];
  bytes: number;
  own: boolean;
  again: number;
  error?: string;
}

export interface Outcome {
  /** By step; empty lists when all is well. */
  wrong: Record<"ping" | "tcp" | "udp" | "captures" | "checksums" | "conns" | "end", string[]>;
  /** For a person: how much there was to look at, and how long each step took. */
  notes: Record<string, string>;
}

export async function accept(options: Options): Promise<Outcome> {
  const lab = await Lab.create({ senderOffload: options.senderOffload ?? false });
  const wrong: Outcome["wrong"] = {
    ping: [],
    tcp: [],
    udp: [],
    captures: [],
    checksums: [],
    conns: [],
    end: [],
  };
  const notes: Record<string, string> = {};
  const timed = async <T>(name: string, step: () => Promise<T>): Promise<T> => {
    const began = performance.now();
    const result = await step();
    notes[name] = `${((performance.now() - began) / 1000).toFixed(1)} s`;
    return result;
  };
  try {
    const topology = await timed("build", () => build(lab, options.form, options.tenants));
    const gateway = await timed("gateway", () => startGateway(options.gateway, topology, options));
    const captures = await timed("start captures", () => startCaptures(topology, gateway));
    wrong.ping = await timed("ping", () => ping(topology, gateway.takesAllAtOnce));
    const programs = await timed("start tenants", () => startTenants(topology));
    wrong.tcp = await timed("tcp", () => exchange("tcp", topology, programs));
    wrong.udp = await timed("udp", () => exchange("udp", topology, programs));
    wrong.conns = await timed("conns", () => checkConns(topology, gateway));
    await timed("judge", async () => {
      const files = await Promise.all(captures.map((capture) => capture.stop()));
      const tenantFiles = files.slice(1);
      wrong.captures = topology.tenants.flatMap(({ number }, index) =>
        foreign(tenantFiles[index] ?? Buffer.alloc(0), number, PAYLOAD_BYTES),
      );
      wrong.checksums = checkSums(files, macs(topology, gateway), options.tenants, notes);
    });
    const status = await timed("stop", () => gateway.stop());
    if (status !== 0) wrong.end = [`the gateway ended with ${status}`];
  } finally {
    await lab.close();
  }
  return { wrong, notes };
}

function macs({ form, tenants }: Topology, gateway: Running): string[] {
  const inside = tenants.map((tenant) => gateway.mac(routerInterface(form, tenant)));
  return [...new Set([gateway.mac("wan"), ...inside])];
}

/** The server's first. There, only what the gateway sent: it is as much as all the tenants' together. */
function startCaptures({ server, tenants }: Topology, gateway: Running): Promise<Capture[]> {
  return Promise.all([
    Capture.start(server, "server", `ether src ${gateway.mac("wan")}`),
    ...tenants.map(({ host }) => Capture.start(host, "tenant")),
  ]);
}

/**
 * Step 1: every tenant pings three times, all at once or each after the first reply to the one before, and gets
 * its three replies, not one frame more.
 */
async function ping(topology: Topology, atOnce: boolean): Promise<string[]> {
  const { server, tenants, linkBytes } = topology;
  const request = `ip saddr ${PUBLIC_ADDRESS} ip daddr ${SERVER_ADDRESS} icmp type echo-request`;
  const reply = `ip saddr ${SERVER_ADDRESS} ip daddr ${TENANT_ADDRESS} icmp type echo-reply`;
  const atServer = await countArrivals(server, request);
  const atTenants = await Promise.all(tenants.map(({ host }) => countArrivals(host, reply)));
  const pings = tenants.map(({ host, number }) => {
    const pattern = Buffer.from(mark(number)).toString("hex");
    // It waits for the last reply as long as between two requests.
    const options = `-n -c ${PINGS} -i 1 -W 5 -e ${PING_IDENTIFIER} -p ${pattern}`.split(" ");
    return host.spawn("ping", [...options, SERVER_ADDRESS], { gate: true });
  });
  for (const each of pings) {
    each.write("go\n");
    if (!atOnce) await each.line("stdout", /icmp_seq=1 /);
  }
  await Promise.all(pings.map((each) => each.exited));
  const wrong = pings.flatMap(({ stdout }, index) => {
    const summary = /\d+ packets transmitted.*/.exec(stdout.toString())?.[0] ?? "no summary";
    const whole = summary.startsWith(
      `${PINGS} packets transmitted, ${PINGS} received, 0% packet loss`,
    );
    return whole ? [] : [`tenant ${index + 1}: ${summary}`];
  });
  const all = tenants.length * PINGS;
  wrong.push(...judgeArrivals("server", await atServer(), all, 14));
  const arrivals = await Promise.all(atTenants.map((count) => count()));
  arrivals.forEach((each, index) => {
    wrong.push(...judgeArrivals(`tenant ${index + 1}`, each, PINGS, linkBytes));
  });
  return wrong;
}

function judgeArrivals(who: string, seen: Arrivals, echoes: number, linkBytes: number): string[] {
  const packets = echoes + seen.arp.packets;
  const wanted = {
    echo: { packets: echoes, bytes: echoes * PING_BYTES },
    other: { packets: 0, bytes: 0 },
    interface: { packets, bytes: echoes * PING_BYTES + seen.arp.bytes + packets * linkBytes },
  };
  const { echo, other, interface: total } = seen;
  const found = {
    echo,
    other,
    interface: { packets: total.packets, bytes: total.bytes },
  };
  if (isDeepStrictEqual(found, wanted)) return [];
  return [`${who}: counted ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`];
}

function startTenants({ tenants }: Topology): Promise<Child[]> {
  return Promise.all(
    tenants.map(async ({ host, number }) => {
      const args = [number, SERVER_ADDRESS, SERVER_PORT, SOURCE_PORT, PAYLOAD_BYTES].map(String);
      const program = host.spawn("python3", ["-I", "-S", TENANT_PROGRAM, ...args]);
      await program.line("stdout", /^ready$/);
      return program;
    }),
  );
}

/** Steps 2 and 3: all at once from the same port; every one gets its own bytes back. */
async function exchange(protocol: "tcp" | "udp", topology: Topology, programs: Child[]) {
  const done = programs.map((program) => program.stdout.toString().split("\n").length - 1);
  for (const program of programs) program.write(`${protocol}\n`);
  const said = await Promise.all(
    programs.map((program, index) => program.line("stdout", /^\{/, 60_000, done[index])),
  );
  const wrong: string[] = [];
  const taken = new Map<string, number>();
  said.forEach((line, index) => {
    const exchange = JSON.parse(line) as Exchange;
    const number = topology.tenants[index]?.number ?? 0;
    const [source = ""] = exchange.sources;
    const whole = exchange.own && exchange.bytes === PAYLOAD_BYTES;
    if (!whole || exchange.sources.length !== 1) wrong.push(`tenant ${number}: ${line}`);
    if (!source.startsWith(`${PUBLIC_ADDRESS}:`)) wrong.push(`tenant ${number}: seen as ${source}`);
    const other = taken.get(source);
    if (other !== undefined) wrong.push(`tenants ${other} and ${number}: both seen as ${source}`);
    taken.set(source, number);
  });
  return wrong;
}

/** Every conn names both its zones, and every tenant has one of each protocol. */
async function checkConns({ tenants }: Topology, gateway: Running): Promise<string[]> {
  const conns = await gateway.conns();
  if (conns === undefined) return [];
  const wrong: string[] = [];
  for (const tenant of tenants) {
    for (const protocol of ["icmp", "tcp", "udp"]) {
      const zone = tenantZone(tenant);
      const own = conns.filter((c) => c.protocol === protocol && c.original.zone === zone);
      const crossing = own.filter((c) => c.reply.zone === PUBLIC_ZONE);
      if (own.length !== 1 || crossing.length !== 1) {
        wrong.push(`tenant ${tenant.number}, ${protocol}: ${JSON.stringify(own)}`);
      }
    }
  }
  const wanted = tenants.length * 3;
  if (conns.length !== wanted) wrong.push(`${conns.length} conns, not ${wanted}`);
  return wrong;
}

/** Tshark finds every checksum right in every frame that the gateway sent, and does look at them. */
function checkSums(files: Buffer[], from: string[], tenants: number, notes: Outcome["notes"]) {
  const count = checksums(merge(files), from);
  const wrong: string[] = [];
  const least = {
    icmp: 2 * PINGS * tenants,
    udp: (2 * PAYLOAD_BYTES * tenants) / 1500,
    tcp: (2 * PAYLOAD_BYTES * tenants) / 1500,
  };
  for (const [protocol, { other }] of Object.entries(count)) {
    if (other !== 0) wrong.push(`${protocol}: ${other} checksums are not right`);
  }
  for (const protocol of ["icmp", "udp", "tcp"] as const) {
    const { good } = count[protocol];
    if (good < least[protocol]) wrong.push(`${protocol}: tshark looked at only ${good} checksums`);
  }
  const all = count.icmp.good + count.udp.good + count.tcp.good;
  if (count.ip.good !== all) wrong.push(`ip: ${count.ip.good} checksums, but ${all} above it`);
  notes.checksums = `${all} frames right`;
  return wrong;
}
