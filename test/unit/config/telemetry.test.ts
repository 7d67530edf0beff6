/** The section `telemetry`: what it becomes, and what is said about what is wrong with it. */
import t from "tap";
import { EventClass } from "../../../assembly/abi.js";
import { checkConfig } from "../../../host/config/parse.js";
import { minimal, problemsOf } from "./fixture.js";

function withTelemetry(telemetry: unknown) {
  return { ...minimal(), telemetry };
}

const { Alarms, Blocks, Mappings, Sessions } = EventClass;

t.test("without it alarms and blocks are noted, and go nowhere else", async (t) => {
  t.same(checkConfig(minimal()).telemetry, { events: Alarms | Blocks, logs: [] });
  t.same(checkConfig(withTelemetry({})).telemetry, { events: Alarms | Blocks, logs: [] });
});

t.test("what is noted is what the logs take, and alarms", async (t) => {
  const file = { to: "file", path: "/var/log/a" };
  const of = (telemetry: unknown) => checkConfig(withTelemetry(telemetry)).telemetry;
  t.equal(of({ log: [file] }).events, Alarms | Blocks);
  t.equal(of({ log: [{ ...file, events: ["sessions"] }] }).events, Alarms | Sessions);
  const two = of({
    events: ["mappings"],
    log: [file, { to: "ipfix", server: "192.0.2.1", events: ["blocks"] }],
  });
  t.equal(two.events, Alarms | Mappings | Blocks);
  t.same(
    two.logs.map(({ events }) => events),
    [Mappings, Blocks],
  );
});

t.test("defaults of each log", async (t) => {
  const { telemetry } = checkConfig(
    withTelemetry({
      log: [
        { to: "file", path: "/a" },
        { to: "syslog" },
        { to: "syslog", server: "192.0.2.1" },
        { to: "syslog", server: "2001:db8::1", transport: "tcp", port: 601 },
        { to: "ipfix", server: "192.0.2.1" },
      ],
    }),
  );
  const common = { events: Alarms | Blocks, queue: 10000, rate: undefined };
  const syslog = { kind: "syslog", facility: "local0", hostname: undefined, ...common };
  t.same(telemetry.logs, [
    { kind: "file", path: "/a", ...common },
    { ...syslog, collector: { transport: "local", path: "/dev/log" } },
    { ...syslog, collector: { transport: "udp", server: "192.0.2.1", port: 514, mtu: 1500 } },
    { ...syslog, collector: { transport: "tcp", server: "2001:db8::1", port: 601, mtu: 1500 } },
    {
      kind: "ipfix",
      collector: { transport: "udp", server: "192.0.2.1", port: 4739, mtu: 1500 },
      domain: 0,
      templateSeconds: 60,
      ...common,
    },
  ]);
});

t.test("every fault has its path", async (t) => {
  const faults: [unknown, RegExp][] = [
    [
      { log: [{ to: "kafka" }] },
      /^telemetry\.log\[0\]\.to: expected an object with "to": one of "file"/,
    ],
    [{ log: [{}] }, /^telemetry\.log\[0\]\.to: expected/],
    [
      { log: [{ to: "file" }] },
      /^telemetry\.log\[0\]\.path: expected the key "path", found nothing/,
    ],
    [
      { log: [{ to: "file", path: "events" }] },
      /^telemetry\.log\[0\]\.path: expected an absolute path/,
    ],
    [
      { log: [{ to: "file", path: "/a", server: "192.0.2.1" }] },
      /^telemetry\.log\[0\]\.server: expected one of the keys to, path, events, queue, rate/,
    ],
    [
      { log: [{ to: "ipfix", server: "collector" }] },
      /^telemetry\.log\[0\]\.server: expected an IPv4 or IPv6 address, found "collector"/,
    ],
    [{ log: [{ to: "ipfix" }] }, /^telemetry\.log\[0\]\.server: expected the key "server"/],
    [
      { log: [{ to: "ipfix", server: "192.0.2.1", templateSecond: 1 }] },
      /did you mean "templateSeconds"/,
    ],
    [
      { log: [{ to: "syslog", transport: "tcp" }] },
      /^telemetry\.log\[0\]\.server: expected an address, for transport "tcp", found nothing/,
    ],
    [
      { log: [{ to: "syslog", server: "192.0.2.1", path: "/dev/log" }] },
      /^telemetry\.log\[0\]\.path: expected nothing, with transport "udp"/,
    ],
    [
      { log: [{ to: "syslog", path: `/${"x".repeat(200)}` }] },
      /^telemetry\.log\[0\]\.path: expected an absolute path of at most 107 bytes/,
    ],
    [
      {
        log: [
          { to: "ipfix", server: "192.0.2.1" },
          { to: "ipfix", server: "192.0.2.1", mtu: 1400 },
        ],
      },
      /^telemetry\.log\[1\]: expected a place where no other log goes, found that of telemetry\.log\[0\]/,
    ],
    [{ events: [] }, /^telemetry\.events: expected at least one class of events/],
    [{ events: ["flows"] }, /^telemetry\.events\[0\]: expected one of "sessions"/],
    [
      { log: [{ to: "file", path: "/a", rate: 0 }] },
      /^telemetry\.log\[0\]\.rate: expected events a second/,
    ],
    [{ logs: [] }, /^telemetry\.logs: expected a known key \(did you mean "log"\?\)/],
  ];
  for (const [telemetry, expected] of faults) {
    const said = problemsOf(withTelemetry(telemetry));
    t.ok(
      said.some((line) => expected.test(line)),
      said.join("\n"),
    );
  }
  const many = Array.from({ length: 17 }, (_, n) => ({ to: "file", path: `/${n}` }));
  t.match(problemsOf(withTelemetry({ log: many })), [/telemetry\.log: expected at most 16 logs/]);
});
