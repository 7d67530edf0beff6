/** Golden traces: configuration and frames in, frames, counters and conns out, byte for byte. */

import { join } from "node:path";
import t from "tap";
import { checkConfig } from "../../host/config/parse.js";
import { readCapture } from "../../host/device/pcapfile.js";
import { readFrame } from "../harness/frame.js";
import { CASES } from "../trace/cases.js";
import { filesOf, record, replayCase, TRACES } from "../trace/play.js";

/** What a folder's files hold, as text that can be compared and read. */
function contents(folder: string, which = /./): Record<string, string> {
  const files = [...filesOf(folder)].filter(([file]) => which.test(file));
  return Object.fromEntries(
    files.map(([file, bytes]) => [
      file,
      file.endsWith(".pcap") ? bytes.toString("hex") : bytes.toString(),
    ]),
  );
}

for (const each of CASES) {
  t.test(each.name, async (t) => {
    const golden = join(TRACES, each.name);
    const first = t.testdir({});
    await replayCase(golden, join(first, "out"));
    const {
      "counters.json": counters,
      "conns.json": conns,
      ...frames
    } = contents(join(first, "out"));
    const expected = filesOf(golden);
    t.same(frames, contents(join(golden, "out")), "frames");
    t.equal(counters, expected.get("counters.json")?.toString(), "counters");
    t.equal(conns, expected.get("conns.json")?.toString(), "conns");
    t.ok(checkConfig(JSON.parse(expected.get("config.json")?.toString() ?? "")));
  });

  t.test(`${each.name}: its inputs are what the case plays`, async (t) => {
    const again = t.testdir({});
    record(again, each);
    t.same(contents(again), contents(join(TRACES, each.name), /^in\.|^config/));
  });

  t.test(`${each.name}: the same input twice gives the same bytes`, async (t) => {
    const dirs = t.testdir({ one: {}, two: {} });
    const from = join(TRACES, each.name);
    const said = [];
    for (const out of ["one", "two"]) said.push(await replayCase(from, join(dirs, out)));
    t.equal(said[0], said[1]);
    t.same(contents(join(dirs, "one")), contents(join(dirs, "two")));
  });
}

/** The frames of a capture without what a seed decides: external ports, and the sums they go into. */
function withoutPorts(path: string): unknown[] {
  return Array.from(readCapture(path).packets, ({ bytes, timestampNs }) => {
    const { ip, ...link } = readFrame(bytes);
    if (ip === undefined) return { link, timestampNs };
    const { source, destination, ttl, protocol, totalBytes, icmpType, icmpCode, data } = ip;
    const told = icmpType === 11 || icmpType === 3;
    const fields = { source, destination, ttl, protocol, totalBytes, icmpType, icmpCode };
    return { link, fields, timestampNs, data: told ? "" : data.toString("hex") };
  });
}

t.test("another seed gives other ports and nothing else", async (t) => {
  for (const name of ["two-tenants-udp", "ping-both-tenants", "tcp-handshake-and-close"]) {
    const each = CASES.find((one) => one.name === name);
    if (each === undefined) throw new Error(name);
    const dirs = t.testdir({ one: {}, two: {} });
    const ports = [];
    for (const [index, dir] of ["one", "two"].entries()) {
      // Hosts answer to the ports that they see, so each seed has its own answers.
      record(join(dirs, dir), each, 100 + index);
      await replayCase(join(dirs, dir), join(dirs, dir, "result"), 100 + index);
      ports.push(contents(join(dirs, dir, "result"))["conns.json"]);
    }
    const captures = [...filesOf(join(dirs, "one", "result")).keys()];
    for (const file of captures.filter((one) => one.endsWith(".pcap"))) {
      const [one, two] = ["one", "two"].map((dir) => withoutPorts(join(dirs, dir, "result", file)));
      t.same(one, two, `${name}: ${file}`);
    }
    const counters = ["one", "two"].map(
      (dir) => contents(join(dirs, dir, "result"))["counters.json"],
    );
    t.equal(counters[0], counters[1], `${name}: counters`);
    t.not(ports[0], ports[1], `${name}: ports`);
    const blank = ports.map((text) => text?.replace(/("destinationPort": )\d{4,5}/g, "$1"));
    t.equal(blank[0], blank[1], `${name}: conns but for their ports`);
  }
});
