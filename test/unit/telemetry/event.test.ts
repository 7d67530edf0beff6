/** Events as they are read and described: names of zones, the number 0, both clocks. */
import t from "tap";
import { EventAt, EventClass, EventKind } from "../../../assembly/abi.js";
import { ClockWatch } from "../../../host/telemetry/clock.js";
import {
  classOf,
  describeEvent,
  hostEvent,
  kindName,
  readEvents,
} from "../../../host/telemetry/event.js";
import { fieldsOf } from "../../../host/telemetry/fields.js";
import { SERVER } from "../../harness/host.js";
import { nat } from "../../harness/nat.js";

function zones(first: number, limits: object) {
  return {
    zones: [
      { id: first, name: "a", limits },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
  };
}

t.test("a limit of the zone with the number 0 is that zone's, not the table's", async (t) => {
  for (const number of [0, 10]) {
    const { router, a } = nat({}, zones(number, { conns: 5 }));
    for (let port = 1; port <= 4; port++) a.udp(SERVER, port, 53);
    const [event] = router.events().filter(({ kind }) => kind === EventKind.ThresholdReached);
    if (event === undefined) throw new Error("no alarm");
    t.equal(describeEvent(event), "conns of zone a: 80 % in use");
    t.same(fieldsOf(event), [
      ["of", "zone"],
      ["zone", "a"],
      ["zoneId", number],
      ["limit", 5],
      ["percent", 80],
    ]);
  }
});

t.test("the table's own alarm names no zone", async (t) => {
  const capacity = { conns: 5, neighbors: 16, poolAddresses: 4, imageBytes: 65536 };
  const { router, a } = nat({}, { capacity });
  for (let port = 1; port <= 4; port++) a.udp(SERVER, port, 53);
  const [event] = router.events().filter(({ kind }) => kind === EventKind.ThresholdReached);
  t.equal(event && describeEvent(event), "the conn table: 80 % in use");
});

t.test("lines name zones as the configuration does", async (t) => {
  const { router, a } = nat({}, zones(10, { connsPerHost: 1 }));
  router.datapath.watchEvents(EventClass.Alarms | EventClass.Sessions | EventClass.Mappings);
  a.udp(SERVER, 1, 53);
  a.udp(SERVER, 2, 53);
  const lines = router.events().map(describeEvent);
  t.match(
    lines[0],
    /^mapping-created udp 192\.168\.0\.10:1 of zone a by 203\.0\.113\.\d+:\d+ of zone public$/,
  );
  t.match(
    lines[1],
    /^session-created udp 192\.168\.0\.10:1 of zone a by .* of zone public to [\d.]+:53$/,
  );
  t.ok(lines.includes("zone a: HostConnLimit reached by 192.168.0.10, udp"));
});

t.test("an event's time is the wall's, also while the datapath's clock wraps", async (t) => {
  const { config } = nat().router;
  const rows = new Uint8Array(EventAt.Bytes);
  const view = new DataView(rows.buffer);
  view.setUint16(EventAt.Kind, EventKind.SessionCreated, true);
  view.setUint32(EventAt.Time, 0xffffff00, true);
  const [event] = readEvents(rows, config, { clock: 0x100, wall: 1_000_000 });
  t.equal(event?.time, 1_000_000 - 0x200);
});

t.test("a clock that is set is noticed, one that is slewed is not", async (t) => {
  const watch = new ClockWatch();
  t.equal(watch.look(1_000_000, 0), 0);
  t.equal(watch.look(1_001_000, 1000), 0);
  t.equal(watch.look(1_002_001, 2000), 0, "half a millisecond in a second");
  t.equal(watch.look(1_000_000_000, 3000), 998_996_999);
  t.equal(watch.look(1_000_001_000, 4000), 0, "once");
  t.equal(watch.look(1_002_000, 5000), -999_000_000);
});

t.test("every kind has a class, a name and fields", async (t) => {
  const kinds = Object.values(EventKind).filter((kind) => typeof kind === "number");
  for (const kind of kinds) {
    const event = hostEvent(kind as EventKind, 0);
    t.ok(classOf(event.kind) > 0);
    t.match(kindName(event.kind), /^[a-z]+(-[a-z]+)+$/);
    t.ok(fieldsOf(event).length > 0, kindName(event.kind));
    t.ok(describeEvent(event).length > 0);
  }
});
