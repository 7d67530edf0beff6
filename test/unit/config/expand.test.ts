/** What nat and forwards become, and the shape of a checked configuration. */

import t from "tap";
import { Allocation } from "../../../assembly/abi.js";
import { type Config, checkConfig, parseConfig } from "../../../host/config/parse.js";
import { type Changes, changed, example, minimal } from "./fixture.js";

const flowsOf = (changes: Changes) =>
  checkConfig(changed(example(), changes)).flows.map(({ origin, text }) => `${origin}: ${text}`);

t.test(
  "forwards come before replies, replies before translations, all behind what is written",
  async (t) => {
    t.same(flowsOf({}), [
      "flows[0]: priority=50,in_port(1),udp,tp_dst=25 actions=drop",
      "forwards[0]: priority=30,zone=public,tcp,nw_dst=203.0.113.7,tp_dst=8080,conn_state=-reply " +
        "actions=nat(dst=192.168.0.10:80,dst_zone=a)",
      "forwards[0]: priority=20,zone=a,conn_state=+reply actions=nat(reverse,zone=a)",
      "nat[0]: priority=20,zone=public,conn_state=+reply actions=nat(reverse,zone=public)",
      "nat[0].from[0]: priority=10,zone=a,conn_state=-tracked " +
        "actions=nat(src_zone=a,dst_zone=public,masq=p1)",
      "nat[0].from[1]: priority=10,zone=b,conn_state=-tracked " +
        "actions=nat(src_zone=b,dst_zone=public,masq=p1)",
    ]);
  },
);

t.test("a zone's replies have one flow however many translations lead there", async (t) => {
  const nat = [
    { from: ["a"], to: "public", pool: "p1" },
    { from: ["b"], to: "public", pool: "p1" },
  ];
  const replies = flowsOf({ nat }).filter((flow) => flow.includes("reverse"));
  t.equal(replies.length, 2, "one of the public zone, one of the forward's target");
});

t.test("a forward without a port of its own keeps the port", async (t) => {
  t.match(flowsOf({ "forwards[0].to.port": undefined })[1], /nat\(dst=192\.168\.0\.10:8080,/);
});

t.test("a forward of a range: its ports stay, or count up from the first", async (t) => {
  const range = { "forwards[0].port": "8000-8010" };
  const text = (changes: Changes) => flowsOf({ ...range, ...changes })[1];
  t.match(text({}), /tp_dst=8000-8010,conn_state=-reply actions=nat\(dst=192\.168\.0\.10:80,/);
  t.match(text({ "forwards[0].to.port": undefined }), /nat\(dst=192\.168\.0\.10:8000,/);
  t.match(text({ "forwards[0].to.port": 65525 }), /nat\(dst=192\.168\.0\.10:65525,/);
});

t.test("a forward of SCTP has no port inside, for its ports stay", async (t) => {
  const changes = { "forwards[0].protocol": "sctp", "forwards[0].to.port": undefined };
  const text =
    /,sctp,nw_dst=203\.0\.113\.7,tp_dst=8080,conn_state=-reply actions=nat\(dst=192\.168\.0\.10,/;
  t.match(flowsOf(changes)[1], text);
  t.match(flowsOf({ ...changes, "forwards[0].to.port": 8080 })[1], text, "or the same");
});

t.test("a forward of a whole address: in, out, replies of both zones, and ARP", async (t) => {
  const whole = {
    protocol: "any",
    zone: "public",
    address: "203.0.113.50",
    to: { zone: "b", address: "192.168.0.20" },
  };
  const changes = { forwards: [whole], nat: [], flows: [] };
  t.same(flowsOf(changes), [
    "forwards[0]: priority=30,zone=public,nw_dst=203.0.113.50,conn_state=-reply " +
      "actions=nat(dst=192.168.0.20,dst_zone=b)",
    "forwards[0]: priority=20,zone=b,conn_state=+reply actions=nat(reverse,zone=b)",
    "forwards[0]: priority=20,zone=public,conn_state=+reply actions=nat(reverse,zone=public)",
    "forwards[0]: priority=15,zone=b,nw_src=192.168.0.20,conn_state=-tracked " +
      "actions=nat(src=203.0.113.50,dst_zone=public)",
  ]);
  const { pools } = checkConfig(changed(example(), changes));
  t.match(pools[1], {
    name: "203.0.113.50",
    zone: { name: "public" },
    ranges: [{ first: 0xcb007132, last: 0xcb007132 }],
    addressCount: 1,
    ports: { low: 1, high: 65535 },
    mapping: { tcp: 0, udp: 0, icmp: 0 },
    filtering: { tcp: 0, udp: 0, icmp: 0 },
    allocation: Allocation.Preserve,
  });
  const [first] = flowsOf({ ...changes, nat: [{ from: ["b"], to: "public", pool: "p1" }] }).slice(
    -2,
  );
  t.match(first, /^forwards\[0\]: priority=15,/, "its way out comes before the translation");
});

t.test("a written flow of the same match and priority takes an expanded one's place", async (t) => {
  const written = "priority=10,zone=10,conn_state=-tracked actions=drop";
  const flows = flowsOf({ flows: [written] }).filter((flow) => flow.includes("priority=10,"));
  t.equal(flows.length, 2);
  t.equal(flows[0], `flows[0]: ${written}`);
});

t.test("names or numbers, wherever a zone or device is meant", async (t) => {
  const byNumber = checkConfig(
    changed(example(), {
      "devices[0].zone": 10,
      "routes[0].zone": 20,
      "nat[0].from": [10, 11],
      "nat[0].to": 20,
      "forwards[0].to.zone": 10,
      "routes[0].device": 2,
      flows: ["priority=50,in_port(lan-a),udp,tp_dst=25 actions=drop"],
    }),
  );
  const byName = checkConfig(example());
  const named = (config: Config) => JSON.stringify({ ...config, flows: config.flows.slice(1) });
  t.equal(named(byNumber), named(byName));
  t.equal(byNumber.flows[0]?.device, byNumber.devices[0]);
});

t.test("defaults", async (t) => {
  const config = checkConfig(minimal());
  t.same(
    config.zones.map(({ name }) => name),
    ["10", "20"],
  );
  t.same(
    config.devices.map(({ port, mtu, mac, vlan }) => [port, mtu, mac, vlan]),
    [
      [1, 1500, undefined, undefined],
      [2, 1500, undefined, undefined],
    ],
  );
  t.same(config.timeouts, {
    udp: 300,
    tcpEstablished: 7440,
    tcpOpening: 240,
    tcpClosing: 240,
    icmp: 60,
    other: 600,
    holdDown: 120,
    fragment: 30,
    unsolicitedSyn: 6,
    ports: [],
  });
  t.same(
    [config.tcp, config.icmp, config.gateways],
    [{ window: "strict" }, { exhaustion: true, unsolicitedSyn: true }, { ftp: false, tftp: false }],
  );
  t.match(config.zones[0], {
    connsMax: 0,
    connsPerHost: 0,
    portsPerHost: { tcp: 0, udp: 0, icmp: 0 },
    timeouts: { udp: 300, tcpEstablished: 7440 },
    pcp: false,
  });
  t.same([config.flows, config.pools, config.neighbors], [[], [], []]);
});

t.test("a device without a port gets the lowest that is free", async (t) => {
  const device = (name: string, port?: number) => ({
    name,
    zone: 10,
    interface: name,
    ...(port === undefined ? {} : { port }),
  });
  const devices = [device("d1"), device("d2", 2), device("d3"), device("d4", 1), device("d5")];
  const config = checkConfig(changed(minimal(), { devices }));
  t.same(
    config.devices.map(({ port }) => port),
    [3, 2, 4, 1, 5],
  );
});

t.test("equal addresses in different zones are what this is for", async (t) => {
  const { devices } = checkConfig(example());
  t.same(devices[0]?.addresses, devices[1]?.addresses);
});

t.test("the result is frozen through and through", async (t) => {
  const thawed: string[] = [];
  const visit = (path: string, value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if (!Object.isFrozen(value)) thawed.push(path);
    for (const [key, member] of Object.entries(value)) visit(`${path}.${key}`, member);
  };
  visit("config", checkConfig(example()));
  t.same(thawed, []);
});

t.test("a document that is text", async (t) => {
  const text = JSON.stringify(example(), null, 2);
  t.same(parseConfig(text, "x.json"), checkConfig(example()));
  t.throws(() => parseConfig(text.replace('"zone": "b"', '"zone": "c"'), "x.json"), {
    name: "ConfigError",
    message: 'x.json: devices[1].zone: expected a zone of this configuration, found "c"',
    source: "x.json",
  });
});

t.test("thousands of tenants are read in a moment", async (t) => {
  const tenants = Array.from({ length: 2000 }, (_, index) => index + 1);
  const document = changed(minimal(), {
    zones: [{ id: 60000, name: "public" }, ...tenants.map((id) => ({ id, name: `t${id}` }))],
    devices: [
      { name: "wan", zone: "public", interface: "eth0", addresses: ["203.0.113.2/24"] },
      ...tenants.map((id) => ({
        name: `d${id}`,
        zone: id,
        interface: "eth1",
        vlan: id,
        addresses: ["10.1.0.2/24"],
      })),
    ],
    pools: [{ name: "p", zone: "public", addresses: ["203.0.113.7"] }],
    nat: [{ from: tenants, to: "public", pool: "p" }],
  });
  const start = performance.now();
  t.equal(checkConfig(document).flows.length, 2001);
  t.ok(performance.now() - start < 5000);
});
