/** What the live benchmark does without a network: its search, its sums, its rows and its programs. */

import t from "tap";
import { assemble } from "../../host/device/bpf/assembler.js";
import { ByteAt, headerWords, onesSum, template } from "../bench/live/frame.js";
import { generatorProgram, rateWord, strideOf } from "../bench/live/generatorprogram.js";
import { latencyPlan, withDifferences } from "../bench/live/latency.js";
import { busyNs } from "../bench/live/processor.js";
import { quantile } from "../bench/live/quantile.js";
import { rowsOf } from "../bench/live/result.js";
import { highestRate, type Outcome, passes } from "../bench/live/search.js";
import { echoProgram, sinkProgram } from "../bench/live/sinkprogram.js";
import { latencyText, liveText } from "../bench/live/table.js";
import { planOf } from "../bench/live/workload.js";

/** A candidate that carries so much and drops the rest, and which rates it was asked for. */
function candidate(capacity: number, disturbed: (trial: number) => boolean = () => false) {
  const asked: number[] = [];
  const attempt = async (perSecond: number): Promise<Outcome> => {
    asked.push(perSecond);
    const delivered = Math.min(perSecond, capacity);
    return { sent: perSecond, delivered: disturbed(asked.length) ? delivered * 0.96 : delivered };
  };
  return { asked, attempt };
}

t.test("the search comes close from below and from above, and is bounded", async (t) => {
  for (const first of [10_000, 290_000, 2_000_000]) {
    const { asked, attempt } = candidate(300_000);
    const found = await highestRate(attempt, first, 20);
    t.ok(found > 285_000 && found <= 300_000, `${found} from ${first}`);
    t.ok(asked.length <= 20, `${asked.length} trials`);
  }
  const { asked, attempt } = candidate(1);
  t.equal(await highestRate(attempt, 1_000_000, 6), 0, "nothing passes");
  t.equal(asked.length, 6);
});

t.test("one disturbed trial is tried again", async (t) => {
  const { asked, attempt } = candidate(300_000, (trial) => trial === 1);
  const found = await highestRate(attempt, 250_000, 20);
  t.equal(asked[1], 250_000);
  t.ok(found > 285_000, `${found}`);
});

t.test("a generator that is held up is not asked for ever more", async (t) => {
  const asked: number[] = [];
  const attempt = async (perSecond: number): Promise<Outcome> => {
    asked.push(perSecond);
    const sent = Math.min(perSecond, 200_000);
    return { sent, delivered: sent };
  };
  t.equal(await highestRate(attempt, 150_000, 20), 200_000);
  t.ok(asked.length <= 3, `${asked.length} trials`);
});

t.test("half a percent may be lost", async (t) => {
  t.ok(passes({ sent: 1000, delivered: 995 }));
  t.notOk(passes({ sent: 1000, delivered: 994 }));
});

t.test("every conn comes once in a round", async (t) => {
  for (const conns of [1, 2, 10, 1000, 60_000]) {
    const stride = strideOf(conns);
    const seen = new Set<number>();
    for (let i = 0, conn = 0; i < conns; i++, conn = (conn + stride) % conns) seen.add(conn);
    t.equal(seen.size, conns, `${conns} conns, stride ${stride}`);
    t.ok(stride <= Math.max(1, conns), "one subtraction brings it back");
  }
});

t.test("a rate as frames for each nanosecond", async (t) => {
  for (const perSecond of [1000, 300_000, 20_000_000]) {
    const frames = Number((rateWord(perSecond) * 1_000_000_000n) >> 32n);
    t.ok(Math.abs(frames - perSecond) <= 1, `${frames}`);
  }
});

t.test("the constant parts of the checksums are those of a whole frame", async (t) => {
  const frame = new DataView(template(60).buffer);
  const sum = (from: number, to: number) => {
    let halves = 0;
    for (let at = from; at < to; at += 2) halves += frame.getUint16(at, true);
    return halves;
  };
  t.equal(onesSum().ip, sum(ByteAt.Ip, ByteAt.Udp));
  t.equal(onesSum().udp, sum(ByteAt.Destination, ByteAt.Payload) + 0x1100);
  const words = headerWords();
  t.equal(words.length * 4, ByteAt.Payload + 2);
  t.equal(words[3], frame.getInt32(12, true));
});

t.test("programs have all their labels, whatever the traffic", async (t) => {
  for (const { conns, sizes } of planOf(false).workloads) {
    const code = assemble(generatorProgram(3, 7, { conns, sizes }));
    t.ok(code.length / 8 < 250, `${code.length / 8} instructions`);
  }
  t.ok(assemble(sinkProgram(3)).length > 0);
  t.ok(assemble(echoProgram()).length > 0);
});

t.test("work is all but idle, waiting for disks and what the host took", async (t) => {
  const text =
    "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 400 500 6 7 800 0 0\ncpu1 10 0 0 0 0 0 0 0 0 0\n";
  t.equal(busyNs(text), (1 + 2 + 3 + 6 + 7 + 10) * 10_000_000);
});

t.test("ratios are those of the same repetition", async (t) => {
  const measured = (candidate: string, repetition: number, overload: number) => ({
    workload: "w",
    candidate,
    repetition,
    figures: { overload },
  });
  const rows = rowsOf(
    [
      measured("own", 0, 100),
      measured("other", 0, 50),
      measured("own", 1, 300),
      measured("other", 1, 150),
      measured("other", 2, 70),
      measured("own", 3, 10),
      measured("other", 3, 40),
    ],
    "own",
  );
  t.same(
    rows.map(({ candidate, median, ratio }) => [candidate, median.overload, ratio.overload]),
    [
      ["own", 100, 1],
      ["other", 60, 0.5],
    ],
  );
  t.same(rows[1]?.raw, [{ overload: 50 }, { overload: 150 }, { overload: 70 }, { overload: 40 }]);
  t.same(rowsOf([measured("other", 0, 50)], "own")[0]?.ratio, {}, "no reference, no ratio");
});

t.test("a quantile is a value that was measured", async (t) => {
  const hundred = Float64Array.from({ length: 100 }, (_, i) => i + 1);
  t.equal(quantile(hundred, 0.5), 50);
  t.equal(quantile(hundred, 0.99), 99);
  t.equal(quantile(hundred, 0.999), 100);
  t.equal(quantile([7], 0.5), 7);
  t.ok(Number.isNaN(quantile([], 0.5)));
});

const machine = {
  ...{
    cpu: "c",
    cores: 2,
    kernel: "6.18",
    node: "v20",
    v8: "11",
    date: "2026-01-01",
    load: 1,
    clock: "wall" as const,
  },
  ...{ nft: "nft 1", openVswitch: "not installed", iperf3: "iperf 3", othersPercent: 1 },
};

t.test("latency is also told as what is beyond the kernel's", async (t) => {
  const measured = (candidate: string, p50: number, p99: number) => {
    const figures = { p50, p99, p999: p99, lost: 0 };
    return { workload: "w", candidate, repetition: 0, figures };
  };
  const all = withDifferences([measured("linux zones", 10, 20), measured("other", 13, 50)]);
  t.same(
    all.map(({ figures }) => [figures.p50More, figures.p99More]),
    [
      [0, 0],
      [3, 30],
    ],
  );
  t.same(
    withDifferences([measured("other", 1, 2)]),
    [measured("other", 1, 2)],
    "without the kernel",
  );
  const rows = rowsOf(all, "other");
  const plan = latencyPlan(true);
  const text = latencyText({
    machine,
    plan,
    candidates: [],
    reference: "other",
    rows,
    omissions: [],
  });
  t.match(text, /other +13\.0 +50\.0 +50\.0 +3\.0 +30\.0 +0/);
});

t.test("the text has what was left out", async (t) => {
  const held = { heldSent: 7_500_000, heldLost: 3, heldAtLan: 1, heldAtWan: 0 };
  const figures = { highest: 250_000, overload: 500_000, nsPerFrame: 4000, wrong: 2, ...held };
  const all = [{ workload: "w", candidate: "a", repetition: 0, figures }];
  const text = liveText({
    machine,
    plan: planOf(true),
    candidates: [{ name: "a", about: "what a is" }],
    reference: "a",
    rows: rowsOf(all, "a"),
    omissions: [{ candidate: "b", reason: "not installed" }],
  });
  t.match(text, /sent at half +lost +at lan +at wan/);
  t.match(text, /a +0\.250 +1\.00 +0\.500 +1\.00 +4\.00 +1\.00 +7500000 +3 +1 +0 +2/);
  t.match(text, /what a is/);
  t.match(text, /2 frames arrived other than they should/);
  t.match(text, /not measured: b: not installed/);
});
