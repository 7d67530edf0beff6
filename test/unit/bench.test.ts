/** What the benchmarks make of their figures; what they measure, they judge not. */

import t from "tap";
import { type Instantiate, instantiatorOf, loadModule } from "../../host/datapath.js";
import { compare } from "../bench/against.js";
import { Barrier, together } from "../bench/barrier.js";
import { clockName, nowNs, useClock } from "../bench/clock.js";
import { type CoreRow, rowsOf } from "../bench/core.js";
import { bestRatio, median, quantile } from "../bench/measure.js";
import { benchMemory } from "../bench/memory.js";
import {
  compileNative,
  exportsOf,
  hasCompiler,
  refuseDifference,
  wasm2c,
} from "../bench/native.js";
import { asked, GROUPS, PORTS } from "../bench/pool.js";
import { benchScale } from "../bench/scale.js";
import { fitting, workerRows } from "../bench/workers.js";

// A compiler, and threads that spin: a busy machine takes its time.
t.setTimeout(240_000);

t.test("the median of raw values", async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 2, 3]), 2.5);
});

t.test("the CPU's clock stands still while the thread waits", async (t) => {
  t.equal(clockName(), "wall");
  t.teardown(() => useClock("wall"));
  useClock("cpu");
  t.equal(clockName(), "cpu");
  const [wall, cpu] = [process.hrtime.bigint(), nowNs()];
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  const [waited, worked] = [Number(process.hrtime.bigint() - wall), nowNs() - cpu];
  t.ok(worked > 0 && worked < waited / 2, `${worked} of ${waited} ns`);
});

t.test("the ratio of the fastest repetitions", async (t) => {
  t.equal(bestRatio([30, 12, 90], [11, 8, 9]), 1.5);
});

t.test("a share of values is not beyond a quantile", async (t) => {
  t.equal(quantile([5, 1, 4, 2, 3], 0.9), 5);
  t.equal(quantile([10, 1, 9, 2, 8, 3, 7, 4, 6, 5], 0.9), 9);
  t.equal(quantile([7], 0.5), 7);
});

t.test("repetitions become rows", async (t) => {
  const all = [4, 2, 3].map((ns) => ({ out: ns, in: ns * 2, setUp: ns * 3, end: ns, copy: 1 }));
  const rows = rowsOf(1000, 5000, all);
  t.same(
    rows.map(({ name, nsPerPacket }) => [name, nsPerPacket]),
    [
      ["steady-out", 3],
      ["steady-in", 6],
      ["set-up", 9],
      ["expiry", 3],
    ],
  );
  t.same(rows[0]?.raw, [4, 2, 3]);
  t.same(
    rowsOf(1, 5000, all).map(({ name }) => name),
    ["steady-out", "steady-in"],
  );
});

t.test("new by old, where both have a row", async (t) => {
  const row = (name: CoreRow["name"], ns: number): CoreRow => {
    const rest = { packetsPerRepetition: 1, copyNs: 0 };
    return { name, conns: 1, nsPerPacket: ns, raw: [ns], ...rest };
  };
  const old = [row("steady-out", 10), row("steady-out", 30), row("steady-out", 20)];
  const now = [row("steady-out", 30), row("steady-out", 32), row("expiry", 1)];
  t.same(compare(1, old, now), [
    {
      name: "steady-out",
      conns: 1,
      oldNs: 20,
      newNs: 31,
      ratio: 1.55,
      oldRaw: [10, 30, 20],
      newRaw: [30, 32],
    },
  ]);
});

t.test("every port is asked for once, and each measured group is a batch", async (t) => {
  let next = 0;
  const measured: number[] = [];
  for (const [first, frames] of asked()) {
    t.equal(first, next);
    next += frames;
    if (GROUPS.has(first)) measured.push(frames);
    else if (frames > 256) t.fail(`${frames} frames`);
  }
  t.equal(next, PORTS);
  t.same(measured, Array(6).fill(64));
});

t.test("native: exports and their types, as wasm2c writes them", async (t) => {
  const header = `struct w2c_env;
extern wasm_rt_memory_t* w2c_env_memory(struct w2c_env*);
/* export: 'start' */
void w2c_datapath_start(w2c_datapath*, u32);

/* export: 'listZones' */
u32 w2c_datapath_listZones(w2c_datapath*, u32, u32);
`;
  t.same(
    [...exportsOf(header)],
    [
      { name: "start", symbol: "w2c_datapath_start", result: "void", parameters: 1 },
      { name: "listZones", symbol: "w2c_datapath_listZones", result: "uint32_t", parameters: 2 },
    ],
  );
});

t.test("native: a form of the code that does something else is refused", async (t) => {
  const wasm = instantiatorOf(loadModule());
  const late: Instantiate = (memory) => {
    const exports = wasm(memory);
    return { ...exports, process: (received, now) => exports.process(received, now + 1) };
  };
  t.doesNotThrow(() => refuseDifference(wasm, wasm, 500));
  t.throws(() => refuseDifference(wasm, late, 500), /different memories/);
});

t.test("native: a tool that fails is quoted", async (t) => {
  t.throws(() => wasm2c("nowhere.wasm"), /wasm2c failed \(exit code 1\):\nnowhere\.wasm: No such/);
});

const skip = hasCompiler() ? false : "needs gcc and libsimde-dev";
t.test("native: C does the same as Wasm, to the byte", { skip }, async (t) => {
  const [native, build] = compileNative("register", "-O0");
  t.doesNotThrow(() => refuseDifference(instantiatorOf(loadModule()), native, 2000));
  t.equal(build.form, "register");
});

t.test("scale: every site that fits has its costs, one that does not says why", async (t) => {
  const sizes = { conns: [1000, 16_000_000], zones: [1, 3], "nat zones": [2], flows: [1, 5] };
  const options = { conns: 1000, workers: [], workersConns: [], repetitions: 1, packets: 1000 };
  const { sites, rows } = await benchScale({ sizes, ...options });
  t.same(
    sites.map(({ dimension, tenants, flows }) => [dimension, tenants, flows]),
    [
      ["conns", 1, 2],
      ["conns", 1, 2],
      // A flow for each zone and one for all replies; with `nat` that is the same.
      ["zones", 1, 2],
      ["zones", 3, 4],
      ["nat zones", 2, 3],
      ["flows", 1, 3],
      ["flows", 1, 7],
    ],
  );
  t.match(sites[1]?.unfit, /4 GiB/);
  t.equal(rows.length, 6 * 6);
  t.ok(rows.every(({ size, raw: { length } }) => size < 16_000_000 && length === 1));
  t.ok(rows.filter(({ size }) => size === 1).every(({ byFirst }) => byFirst === 1));
});

t.test("workers: there are no more than cores", async (t) => {
  t.same(fitting([1, 1_000_000]), [1]);
});

const few = fitting([2]).length > 0 ? false : "needs two cores";
t.test("workers: each has a share, and hands off what is none of it", { skip: few }, async (t) => {
  const sizes = { conns: [], zones: [], "nat zones": [], flows: [] };
  const shared = { workers: [1, 2], workersConns: [2000] };
  const options = { sizes, conns: 2000, ...shared, repetitions: 1, packets: 20_000 };
  const { sites, workers } = await benchScale(options);
  t.same(
    sites.map(({ dimension, size, conns }) => [dimension, size, conns]),
    [
      ["workers", 1, 2000],
      ["workers", 2, 2000],
    ],
  );
  t.same(
    workers.map(({ workers, name }) => [workers, name]),
    [
      [1, "set-up"],
      [2, "set-up"],
      [1, "steady-out"],
      [2, "steady-out"],
      [1, "steady-in"],
      [2, "steady-in"],
      [2, "handed-off"],
    ],
  );
  t.ok(workers.every(({ mpps, raw }) => Number.isFinite(mpps) && raw.length === 1));
  // Of two that have one core, what they do together may round to nothing.
  t.ok(workers.every(({ workers, mpps }) => mpps > 0 || workers > 1));
});

t.test(
  "workers: together from the first start to the last end, or by each one's own clock",
  async (t) => {
    const stints = [
      { packets: 600, beganNs: 1000, endedNs: 1900 },
      { packets: 400, beganNs: 1100, endedNs: 2000 },
    ];
    t.equal(together(stints, "wall"), 1e9);
    t.equal(together(stints, "cpu"), (1000 / 900) * 1e9);
  },
);

t.test("workers: a race is over when the first is through", async (t) => {
  const barrier = new Barrier(Barrier.make(), 1);
  let done = 7;
  const work = () => ++done < 10;
  const { packets, beganNs, endedNs } = barrier.race(work, () => done);
  t.equal(packets, 3);
  t.ok(endedNs >= beganNs);
  t.equal(barrier.race(work, () => done).packets, 1, "and the next one begins anew");
});

t.test("workers: ratios are by one worker, those of hand-offs by its own packets", async (t) => {
  const one = [10, 30, 20].map((mpps) => ({ "set-up": mpps / 10, "steady-out": mpps }));
  const two = [36, 50, 38].map((mpps) => ({ "steady-out": mpps, "handed-off": mpps / 4 }));
  t.same(
    workerRows(1000, [1, 2], [one, two]).map((row) => [
      ...[row.workers, row.name, row.mpps, row.byFirst, row.bestByFirst],
    ]),
    [
      [1, "set-up", 2, 1, 1],
      [1, "steady-out", 20, 1, 1],
      [2, "steady-out", 38, 1.9, 1.67],
      [2, "handed-off", 9.5, 0.48, 0.42],
    ],
  );
});

t.test("memory: what a process says of its start", async (t) => {
  const options = { conns: [2000], starts: 1, fills: 1 };
  const { shares, connParts, connsMax, resident, starts } = await benchMemory(options);
  const share = shares.find(({ what }) => what === "conns")?.bytes ?? 0;
  const ofParts = connParts.reduce((sum, { bytes }) => sum + bytes, 0);
  t.ok(Math.abs(ofParts - share) < 0.1, `${ofParts} of ${share} bytes`);
  t.ok(connsMax * share < 2 ** 32);
  t.same(
    resident.map(({ name }) => name),
    ["started", "full"],
  );
  t.ok(resident.every(({ bytes, arenaBytes }) => bytes > arenaBytes));
  const total = starts.at(-1)?.ms ?? 0;
  const parts = starts.slice(0, -1).reduce((sum, { ms }) => sum + ms, 0);
  t.ok(Math.abs(total - parts) < 0.1, `${parts} of ${total} ms`);
});
