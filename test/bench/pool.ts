/**
 * A pool of one address, from its first port to its last: what an allocation costs by how many are taken. Each is
 * a UDP packet of another inside endpoint, from frame to conn and out again; the whole call of `process` for a
 * group of 64 is timed and nothing subtracted.
 *
 * One edge fills and empties over and over. The first rounds are not measured: the code is optimised and every
 * page of the memory was touched before, so the first ports have no disadvantage that would flatter the last.
 */

import { Limit, Reason } from "../../assembly/abi.js";
import { instantiatorOf, loadModule } from "../../host/datapath.js";
import { Edge, EdgePlan, LAN, Pristine, shuffled } from "./edge.js";
import { list, round, type Sample, sampleOf, timeNs } from "./measure.js";

/** 1024 to 65535. */
export const PORTS = 64_512;
const GROUP = 64;
const WARM_UPS = 3;
/** Where the source port of a frame without tags and options stands. */
const SOURCE_PORT_AT = 34;

export interface PoolRow {
  readonly name: string;
  /** Ports that are taken when the group begins. */
  readonly taken: number;
  readonly nsPerAllocation: number;
  readonly raw: readonly number[];
}

export interface PoolResult {
  readonly ports: number;
  readonly group: number;
  readonly repetitions: number;
  readonly rows: readonly PoolRow[];
  /** Medians, the last group's by the first's. */
  readonly lastByFirst: number;
}

/** The measured groups, by how many ports are taken before. */
export const GROUPS: ReadonlyMap<number, string> = new Map([
  [0, "first 64"],
  ...([25, 50, 75, 99] as const).map(
    (percent) => [Math.floor((PORTS * percent) / 100 / GROUP) * GROUP, `${percent} %`] as const,
  ),
  [PORTS - GROUP, "last 64"],
]);

/** All ports in the batches they are asked for in: a measured group is a batch of its own. */
export function* asked(): Generator<[first: number, frames: number]> {
  const starts = [...GROUPS.keys(), PORTS];
  for (const [i, start] of starts.entries()) {
    if (start === PORTS) return;
    yield [start, GROUP];
    const end = starts[i + 1] ?? PORTS;
    for (let first = start + GROUP; first < end; first += Limit.Batch) {
      yield [first, Math.min(Limit.Batch, end - first)];
    }
  }
}

/** Takes all ports; nanoseconds per allocation of each measured group. Throws where a port comes twice. */
function fill(edge: Edge, frames: Pristine): Map<number, number> {
  const costs = new Map<number, number>();
  const ports = new Set<number>();
  for (const [first, count] of asked()) {
    edge.copy(frames, first, count);
    let sent = 0;
    const ns = timeNs(() => {
      sent = edge.process(count, LAN);
    });
    if (sent !== count) throw new Error(`${first} taken: ${count} ports asked for, ${sent} given`);
    if (GROUPS.has(first)) costs.set(first, ns / count);
    for (let i = 0; i < sent; i++) ports.add(sourcePort(edge.sent(i)));
  }
  if (ports.size !== PORTS) throw new Error(`${PORTS} allocations gave ${ports.size} ports`);
  return costs;
}

function sourcePort(frame: Uint8Array): number {
  return ((frame[SOURCE_PORT_AT] ?? 0) << 8) | (frame[SOURCE_PORT_AT + 1] ?? 0);
}

/** One more than there are: it fails, and says why. */
function exceed(edge: Edge, frames: Pristine): void {
  const exhausted = () => edge.datapath.reasons()[Reason.PoolExhausted] ?? 0n;
  const before = exhausted();
  edge.copy(frames, PORTS, 1);
  edge.process(1, LAN);
  if (exhausted() !== before + 1n) throw new Error(`allocation ${PORTS + 1} did not fail`);
}

export function benchPool(repetitions: number): PoolResult {
  const frames = Pristine.outward(shuffled(PORTS + 1));
  const plan = new EdgePlan({ conns: PORTS + 1, addresses: "203.0.113.64" });
  const edge = new Edge(plan, instantiatorOf(loadModule()));
  const raw = new Map(Array.from(GROUPS.keys(), (taken) => [taken, [] as number[]]));
  for (let n = -WARM_UPS; n < repetitions; n++) {
    const costs = fill(edge, frames);
    exceed(edge, frames);
    edge.expire();
    edge.rest();
    if (n >= 0) for (const [taken, ns] of costs) raw.get(taken)?.push(ns);
  }
  return resultOf(new Map(Array.from(raw, ([taken, all]) => [taken, sampleOf(all)])), repetitions);
}

function resultOf(samples: ReadonlyMap<number, Sample>, repetitions: number): PoolResult {
  const rows = Array.from(samples, ([taken, { raw, median }]) => {
    return { name: GROUPS.get(taken) ?? "", taken, nsPerAllocation: median, raw };
  });
  const first = rows[0]?.nsPerAllocation ?? Number.NaN;
  const last = rows.at(-1)?.nsPerAllocation ?? Number.NaN;
  return { ports: PORTS, group: GROUP, repetitions, rows, lastByFirst: round(last / first) };
}

export function printPool({ rows, lastByFirst }: PoolResult): void {
  for (const { name, taken, nsPerAllocation, raw } of rows) {
    console.log(
      `${name.padEnd(9)} ${String(taken).padStart(6)} taken ${nsPerAllocation.toFixed(1).padStart(8)} ns  (${list(raw)})`,
    );
  }
  console.log(`the last by the first: ${lastByFirst.toFixed(2)}`);
}
