/** The metrics of a router, held against Debian's promtool. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { type Readings, rawCounters, readCounters } from "../../../host/telemetry/counters.js";
import { Exposition } from "../../../host/telemetry/exposition.js";
import {
  formatMetrics,
  type MetricsSource,
  OTHER,
  SERIES_MAX,
} from "../../../host/telemetry/prometheus.js";
import { Workload } from "../../../host/workload.js";
import { SERVER } from "../../harness/host.js";
import { nat } from "../../harness/nat.js";

/** The bootstrap puts it there: its package has 94 MB of other things. */
const EXTRACTED = fileURLToPath(new URL("../../../tools/promtool", import.meta.url));
const PROMTOOL = [EXTRACTED, "/usr/bin/promtool"].find(existsSync);
const skip = PROMTOOL === undefined ? "promtool is not installed" : false;

function work() {
  const workload = new Workload();
  for (const [at, frames] of [1, 0, 5, 256, 0].entries()) {
    workload.begin(at * 2);
    workload.end(frames);
  }
  workload.sleep();
  return workload.read();
}

function readings(): Readings {
  const { router, a } = nat({}, { capacity: { conns: 64 } });
  for (let port = 1; port <= 5; port++) a.udp(SERVER, port, 53);
  const raw = rawCounters(router.datapath, router.config);
  const { config } = router;
  const counters = readCounters(raw, config);
  return { config, counters, tables: raw.tables, work: [work()], eventsLost: raw.eventsLost };
}

function source(changes: Partial<MetricsSource> = {}): MetricsSource {
  const log = { isUp: true, queued: 3, queue: 16, events: 7, messages: 5, bytes: 900, failures: 1 };
  return {
    version: "0.1.0",
    startedAt: 1_800_000_000_000,
    readings: readings(),
    logs: [{ name: "ipfix 192.0.2.1:4739/udp", ...log, lostInQueue: 2, lostOnTheWay: 1 }],
    phases: { new: 1, established: 4 },
    pools: [{ pool: "p1", protocol: "udp", used: 5, capacity: 64512 }],
    ...changes,
  };
}

function check(text: string) {
  const { status, stdout, stderr } = spawnSync(PROMTOOL ?? "", ["check", "metrics"], {
    input: text,
    encoding: "utf8",
  });
  return { status, said: stdout + stderr };
}

t.test("promtool check metrics has nothing to say", { skip }, async (t) => {
  t.same(check(formatMetrics(source())), { status: 0, said: "" });
});

t.test("and it would", { skip }, async (t) => {
  t.not(check("# HELP crosszone_x x\n# TYPE crosszone_x counter\ncrosszone_x 1\n").status, 0);
  t.not(check("crosszone_x{y=} 1\n").status, 0);
});

t.test("what is measured stands in it", async (t) => {
  const lines = formatMetrics(source()).split("\n");
  for (const line of [
    'crosszone_frames_total{reason="Forwarded"} 5',
    'crosszone_zone_conns{zone="a"} 5',
    'crosszone_zone_receive_frames_total{zone="a"} 5',
    'crosszone_table_entries{table="conns"} 5',
    'crosszone_table_capacity_entries{table="conns"} 64',
    'crosszone_worker_turns_total{worker="0"} 5',
    'crosszone_worker_empty_turns_total{worker="0"} 2',
    'crosszone_worker_busy_seconds_total{worker="0"} 0.006',
    'crosszone_worker_sleeps_total{worker="0"} 1',
    'crosszone_worker_batch_frames_bucket{worker="0",le="1"} 1',
    'crosszone_worker_batch_frames_bucket{worker="0",le="4"} 1',
    'crosszone_worker_batch_frames_bucket{worker="0",le="8"} 2',
    'crosszone_worker_batch_frames_bucket{worker="0",le="256"} 3',
    'crosszone_worker_batch_frames_bucket{worker="0",le="+Inf"} 3',
    'crosszone_worker_batch_frames_sum{worker="0"} 262',
    'crosszone_log_lost_events_total{log="ipfix 192.0.2.1:4739/udp",where="queue"} 2',
    'crosszone_conns{state="established"} 4',
    'crosszone_pool_used_ports{pool="p1",protocol="udp"} 5',
    'crosszone_folded_series{label="zone"} 0',
  ]) {
    t.ok(lines.includes(line), line);
  }
});

t.test("a label has so many values; what is beyond is summed, and counted", { skip }, async (t) => {
  const zone = { rxPackets: 1, rxBytes: 2, txPackets: 3, txBytes: 4, conns: 5 };
  const all = { ...zone, connsCreated: 6, dropped: 7 };
  const names = Array.from({ length: SERIES_MAX.zone + 3 }, (_, n) => `z${n}`);
  const flows = Array.from({ length: SERIES_MAX.flow + 2 }, (_, n) => ({
    flow: `f${n}`,
    packets: 1,
    bytes: 10,
  }));
  const base = readings();
  const zones = Object.fromEntries(names.map((name) => [name, all]));
  const text = formatMetrics(
    source({ readings: { ...base, counters: { ...base.counters, zones, flows } } }),
  );
  t.match(text, `crosszone_zone_conns{zone="${OTHER}"} 15\n`);
  t.match(text, `crosszone_flow_bytes_total{flow="${OTHER}"} 20\n`);
  t.match(text, 'crosszone_folded_series{label="zone"} 3\n');
  t.match(text, 'crosszone_folded_series{label="flow"} 2\n');
  t.equal(text.match(/^crosszone_zone_conns\{/gmu)?.length, SERIES_MAX.zone + 1);
  t.same(check(text), { status: 0, said: "" });
});

t.test("labels are escaped", { skip }, async (t) => {
  const out = new Exposition();
  out.family("crosszone_x", "gauge", "back\\slash and\nline", [[{ flow: 'a"b\\c\nd' }, 1]]);
  t.equal(
    out.text(),
    '# HELP crosszone_x back\\\\slash and\\nline\n# TYPE crosszone_x gauge\ncrosszone_x{flow="a\\"b\\\\c\\nd"} 1\n',
  );
  t.equal(check(out.text()).status, 0);
});
