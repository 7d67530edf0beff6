/** `crosszone top`: what is in a picture, and that it fits. */

import t from "tap";
import { draw, type Host, type Sample, type Scene } from "../../../host/cli/look/picture.js";
import { duration, short } from "../../../host/cli/numbers.js";
import { colourPaint, plainPaint } from "../../../host/cli/output.js";
import { Table, tableText } from "../../../host/cli/table.js";

const TRAFFIC = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0, dropped: 0 };

function sample(seconds: number, times: number, change: Partial<Sample> = {}): Sample {
  return {
    subscription: 1,
    time: 1_795_714_000_000 + seconds * 1000,
    revision: 4,
    reasons: { Forwarded: 5000 * times, NoFlow: 30 * times, TtlExceeded: 7, Held: 3 * times },
    devices: {
      lan: { ...TRAFFIC, rxPackets: 1000 * times, rxBytes: 1_000_000 * times, dropped: 10 * times },
      wan: { ...TRAFFIC, txPackets: 500 * times },
    },
    zones: {
      a: { ...TRAFFIC, rxBytes: 1000 * times, conns: 12, connsCreated: 8 * times },
      b: { ...TRAFFIC, rxBytes: 9000 * times, conns: 3, connsCreated: 2 * times },
    },
    tables: { conns: { used: 15, capacity: 60 } },
    busyMs: [250 * times, 100 * times],
    skipped: 0,
    ...change,
  };
}

const HOST: Host = {
  zone: 10,
  address: "192.168.0.10",
  conns: 9,
  ports: { tcp: 3, udp: 2, icmp: 1 },
  blocks: 0,
  packets: 1500,
  bytes: 2_500_000,
};

const SCENE: Scene = {
  now: sample(2, 3),
  before: sample(0, 1),
  hosts: [HOST],
  zoneName: () => "a",
};

const lines = (scene: Scene, columns = 100, rows = 40) =>
  draw(scene, { columns, rows }, plainPaint);

t.test("rates are per second, from one sample to the next", async (t) => {
  const text = lines(SCENE).join("\n");
  t.match(text, /^crosszone top {2}2026-11-26 \S+Z {2}revision 4$/m);
  t.match(
    text,
    /^frames in 1\.00k\/s {2}out 500\/s {2}dropped 10\/s {3}bits in 8\.00M\/s {2}out 0\/s$/m,
  );
  t.match(text, /^conns 15 of 60 \(25\.0 %\) {3}new 10\/s {3}busy 25 % 10 %$/m);
  t.match(text, /^NoFlow +30 +90$/m);
  t.match(text, /^TtlExceeded +0 +7$/m, "what came once stands behind");
  t.notMatch(text, /Forwarded|Held/, "what is carried is not dropped");
  t.match(text, /^192\.168\.0\.10 +a +9 +6 +1\.50k +2\.50M$/m);
  const zones = text.split("\n").filter((line) => /^[ab] /.test(line));
  t.match(zones[0], /^b +3 +2 +72\.0k +0 +0$/, "who has the most traffic is first");
});

t.test("one sample has no rates; a counter that went back gives none below 0", async (t) => {
  t.match(lines({ ...SCENE, before: undefined }).join("\n"), /frames in -\/s/);
  const back = lines({ ...SCENE, now: sample(2, 0) }).join("\n");
  t.match(back, /frames in 0\/s/);
});

t.test("it fits terminals of every size", async (t) => {
  const many = Array.from({ length: 300 }, (_, i) => ({ ...HOST, address: `10.0.${i}.1` }));
  const reasons = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`Reason${i}`, i + 1]));
  const scene = { ...SCENE, hosts: many, now: sample(2, 3, { reasons }) };
  for (let rows = 1; rows < 80; rows++) {
    for (const columns of [1, 10, 40, 80, 200]) {
      const picture = lines(scene, columns, rows);
      t.ok(picture.length <= rows, `${picture.length} lines of ${rows}`);
      t.ok(picture.every((line) => line.length <= columns));
    }
  }
  t.equal(lines(scene, 80, 60).length, 60, "and uses what there is");
});

t.test(
  "colours only where they are asked for; nothing of a name reaches the terminal",
  async (t) => {
    const control = "\x1b";
    const evil = { ...SCENE, zoneName: () => `${control}[2J` };
    t.notMatch(lines(evil).join("\n"), control);
    t.match(draw(SCENE, { columns: 80, rows: 40 }, colourPaint)[0], `${control}[1m`);
  },
);

t.test("numbers for people", async (t) => {
  const table: readonly (readonly [number, string])[] = [
    [0, "0"],
    [0.25, "0.3"],
    [9.96, "10"],
    [999, "999"],
    [999.6, "1.00k"],
    [1234, "1.23k"],
    [99_960, "100k"],
    [123_456_789, "123M"],
    [9.996e9, "10.0G"],
  ];
  for (const [value, text] of table) t.equal(short(value), text, `${value}`);
  t.same([0, 59_400, 60_000, 3_600_000, 3_780_000, 90_000_000, -5].map(duration), [
    "0 s",
    "59 s",
    "1 min",
    "1 h",
    "1 h 3 min",
    "1 d 1 h",
    "0 s",
  ]);
});

t.test("tables: numbers to the right, and as wide as what was seen", async (t) => {
  t.equal(
    tableText(
      ["NAME", "N"],
      [
        ["a", 5],
        ["longer", 12_345],
      ],
    ),
    "NAME        N\na           5\nlonger  12345",
  );
  const table = new Table(["A", "B"]);
  t.equal(table.add([["xyz", 1]]), "A    B\nxyz  1\n");
  t.equal(table.add([["x", 22]]), "x    22\n", "the heading once");
  t.equal(new Table(["A"]).add([]), "A\n");
});
