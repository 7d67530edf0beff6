/**
 * The live benchmark's own instruments: what it sends arrives and is found right, what is wrong is found wrong, and
 * what it measures of crosszone is there at all. It says nothing of how fast anything is.
 */

import t from "tap";
import { crosszone } from "../bench/live/crosszone.js";
import { prepare, runGenerator } from "../bench/live/generatororder.js";
import { GENERATOR_CORE, GENERATOR_MAC, SINK_MAC } from "../bench/live/plan.js";
import { Seen } from "../bench/live/sinkprogram.js";
import { closeLab, openLab, Site } from "../bench/live/site.js";
import { Station } from "../bench/live/station.js";
import { whyNot } from "../bench/live/support.js";
import { Track } from "../bench/live/trial.js";
import { planOf } from "../bench/live/workload.js";

const skip = whyNot() ?? false;

const CONNS = 1000;
const PER_SECOND = 10_000;
const SECONDS = 0.3;

t.setTimeout(60_000);

t.test("what nobody translates is counted as wrong", { skip }, async (t) => {
  const lab = await openLab("frames");
  t.teardown(() => closeLab(lab));
  const [tenant, server] = await Promise.all([lab.namespace("tenant"), lab.namespace("server")]);
  await lab.cables([
    { at: tenant, name: "eth0", link: `address ${GENERATOR_MAC}` },
    { at: server, name: "lan", link: `address ${SINK_MAC}` },
  ]);
  // The sink's interface takes frames of the generator as long as it has a gate.
  const gate = await Station.start(server, GENERATOR_CORE, "gate", "lan", "pass");
  const sink = await Station.start(server, GENERATOR_CORE, "sink", "lan", "sink");
  const generator = await Station.start(tenant, GENERATOR_CORE, "generator", "eth0");
  await prepare(generator, { conns: CONNS, sizes: [60] });
  const run = { perSecond: PER_SECOND, seconds: SECONDS };
  const { frames } = await runGenerator(generator, run);
  t.ok(frames > 0 && frames <= PER_SECOND * SECONDS, `${frames} frames`);
  t.equal(await gate.ask("read"), frames);
  const seen = await sink.ask<number[]>("read");
  t.equal(seen[Seen.WrongSource], frames);
  t.equal(seen[Seen.Right], 0);
});

t.test("what crosszone translates arrives as it should", { skip }, async (t) => {
  const site = await Site.build(crosszone("afpacket"), "frames");
  t.teardown(() => site.close());
  const { sizes = [] } = planOf(false).workloads.find(({ name }) => name.startsWith("IMIX")) ?? {};
  const track = await Track.open(site, { conns: CONNS, sizes });
  const { sent, delivered, wrong } = await track.trial(PER_SECOND, SECONDS);
  const { heldSent, heldLost } = await track.hold(2 * PER_SECOND, SECONDS);
  t.ok(heldSent > 0 && heldSent <= PER_SECOND * SECONDS, `${heldSent} sent`);
  t.ok(heldLost < heldSent, `${heldLost} of ${heldSent} lost`);
  t.ok(sent > 0 && delivered > 0, `${sent} sent, ${delivered} delivered, a second`);
  t.equal(wrong, 0);
});
