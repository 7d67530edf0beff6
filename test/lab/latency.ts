/**
 * Round trip and throughput between a tenant and the server, through crosszone and through the kernel
 * as the gateway of the same lab, in turns:
 *
 *     node dist/test/lab/latency.js [--json] [--rounds N] [--seconds N] [--offload]
 *
 * With --offload the senders leave cutting their segments to the gateway, as containers do.
 *
 * A script, not a test: it judges nothing. A stall is an interval of 100 ms in which the
 * sender could not hand over one byte.
 */
import { parseArgs } from "node:util";
import { Lab } from "../../host/demo/lab.js";
import { table } from "../../host/demo/report.js";
import { type GatewayKind, startGateway } from "./gateways.js";
import { skipReason } from "./tools.js";
import { build, SERVER_ADDRESS, type Topology } from "./topology.js";

const PINGS = 300;
const PING_INTERVAL_SECONDS = 0.01;
const IPERF_PORT = "5202";
const INTERVAL_SECONDS = 0.1;

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
    offload: { type: "boolean", default: false },
  },
});

interface Row {
  gateway: GatewayKind;
  round: number;
  pingMedianMs: number;
  ping99Ms: number;
  pingsLost: number;
  tcpMbps: number;
  tcpRetransmits: number;
  intervals: number;
  stalls: number;
}

function quantile(values: number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

const median = (values: number[]) => quantile(values, 0.5);

async function ping({ tenants }: Topology) {
  const options = `-n -c ${PINGS} -i ${PING_INTERVAL_SECONDS} ${SERVER_ADDRESS}`.split(" ");
  const [tenant] = tenants;
  const said = (await tenant?.host.run("ping", options))?.stdout ?? "";
  const times = [...said.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]));
  return {
    pingMedianMs: median(times),
    ping99Ms: quantile(times, 0.99),
    pingsLost: PINGS - times.length,
  };
}

interface IperfReport {
  intervals: { sum: { bytes: number } }[];
  end: { sum_received: { bits_per_second: number }; sum_sent: { retransmits: number } };
}

async function throughput({ server, tenants }: Topology, seconds: number) {
  const service = server.spawn("iperf3", ["-s", "-1", "-p", IPERF_PORT, "--forceflush"]);
  await service.line("stdout", /listening/);
  const options = ["-c", SERVER_ADDRESS, "-p", IPERF_PORT, "-t", String(seconds), "-J"];
  const [tenant] = tenants;
  const said = await tenant?.host.must("iperf3", [...options, "-i", String(INTERVAL_SECONDS)]);
  await service.stop();
  const { intervals, end } = JSON.parse(said ?? "") as IperfReport;
  return {
    tcpMbps: Math.round(end.sum_received.bits_per_second / 1e6),
    tcpRetransmits: end.sum_sent.retransmits,
    intervals: intervals.length,
    stalls: intervals.filter(({ sum }) => sum.bytes === 0).length,
  };
}

async function measure(gateway: GatewayKind, round: number): Promise<Row> {
  const lab = await Lab.create({ senderOffload: values.offload });
  try {
    const topology = await build(lab, "interfaces", 1);
    const running = await startGateway(gateway, topology);
    // The first ping pays for ARP and the first conn.
    await topology.tenants[0]?.host.must("ping", ["-c", "3", "-i", "0.2", SERVER_ADDRESS]);
    const pings = await ping(topology);
    const row = {
      gateway,
      round,
      ...pings,
      ...(await throughput(topology, Number(values.seconds))),
    };
    await running.stop();
    return row;
  } finally {
    await lab.close();
  }
}

function summary(rows: Row[], gateway: GatewayKind) {
  const of = rows.filter((row) => row.gateway === gateway);
  return {
    gateway,
    pingMedianMs: median(of.map((row) => row.pingMedianMs)),
    tcpMbps: median(of.map((row) => row.tcpMbps)),
    stalls: of.reduce((sum, row) => sum + row.stalls, 0),
  };
}

const skip = skipReason("ping", "nft", "iperf3");
if (skip !== false) {
  console.error(`not measured: ${skip}`);
  process.exit(1);
}
const GATEWAYS = ["nat", "kernel"] as const;
const rows: Row[] = [];
for (let round = 1; round <= Number(values.rounds); round++) {
  for (const gateway of GATEWAYS) rows.push(await measure(gateway, round));
}
const medians = GATEWAYS.map((gateway) => summary(rows, gateway));
if (values.json) console.log(JSON.stringify({ rows, medians }));
else {
  const cells = (row: object) => Object.values(row).map(String);
  console.log(table([Object.keys(rows[0] ?? {}), ...rows.map(cells)]));
  console.log(`\n${table([Object.keys(medians[0] ?? {}), ...medians.map(cells)])}`);
}
