/** Events of a router whose main thread does not keep up: bounded, and what is lost is counted. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { EventClass, EventKind } from "../../assembly/abi.js";
import { labSupport } from "../../host/demo/lab.js";
import { stream } from "../harness/burst.js";
import { Plane, planeDocument } from "../harness/plane.js";
import { eventually } from "../harness/transport.js";

const HOSTS = 4000;
/** What waits: 64 pages, of one event each where frames come one by one, and the datapath's own 1024. */
const STALL_MS = 3000;
/** Hosts a second. */
const RATE = 2000;

t.test("a main thread that stands still", { skip: labSupport() ?? false }, async (t) => {
  // Without a limit, of which there would be alarms among them.
  const zones = [
    { id: 10, name: "a" },
    { id: 20, name: "public" },
  ];
  const plane = await Plane.start(t, { document: planeDocument({ zones }) });
  const { forwarder } = plane.router;
  let created = 0;
  let lost = 0;
  plane.router.on("event", ({ kind, value }) => {
    if (kind === EventKind.SessionCreated) created++;
    if (kind === EventKind.EventsLost) lost += value;
  });
  forwarder.watch(EventClass.Sessions);
  await forwarder.counters();
  const begun = async () => (await forwarder.counters()).zones.a?.connsCreated ?? 0;
  const sending = stream(plane.far, HOSTS, RATE);
  while ((await begun()) < 50) await sleep(5);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
  await sending;
  let total = await begun();
  await sleep(2000);
  for (let now = await begun(); now !== total; now = await begun()) total = now;
  t.ok(await eventually(() => created + lost >= total), `${created} told, ${lost} lost, ${total}`);
  t.equal(created + lost, total, "each is told, or counted as lost");
  t.ok(lost > 0, "it stood still for long enough");
});
