/** The image: where its bytes stand, what they say, and that they read back as what was compiled. */

import t from "tap";
import {
  Abi,
  AddressAt,
  Allocation,
  DeviceAt,
  FilteringBehaviour,
  FlowAction,
  FlowAt,
  FlowMatch,
  ImageAt,
  MappingBehaviour,
  NeighborAt,
  None,
  Policy,
  PoolAt,
  PoolFlag,
  PoolSubscriberAt,
  PortTimeoutAt,
  RouteAt,
  Section,
  SectionAt,
  Timeout,
  ZoneAt,
  ZoneFlag,
} from "../../../assembly/abi.js";
import { formatMac } from "../../../host/config/address.js";
import { capacityOf, compileImage } from "../../../host/config/compile.js";
import { ImageError, readImage } from "../../../host/config/image.js";
import { fnv1a, RECORD_BYTES, type RecordSection } from "../../../host/config/layout.js";
import { checkConfig } from "../../../host/config/parse.js";
import { Router } from "../../harness/router.js";
import { type Changes, changed, example, minimal, policies } from "./fixture.js";

function compiled(document: unknown) {
  const image = compileImage(checkConfig(document));
  const view = new DataView(image.buffer);
  const word = (at: number) => view.getUint32(at, true);
  const place = (section: Section) => {
    const head = ImageAt.Sections + section * SectionAt.Bytes;
    return { offset: word(head + SectionAt.Offset), count: word(head + SectionAt.Count) };
  };
  const records = (section: RecordSection) => {
    const { offset, count } = place(section);
    const size = RECORD_BYTES[section];
    return Array.from(
      { length: count },
      (_, i) => new DataView(image.buffer, offset + i * size, size),
    );
  };
  return { image, view, word, place, records };
}

const short = (record: DataView | undefined, at: number) => record?.getUint16(at, true);
const long = (record: DataView | undefined, at: number) => record?.getUint32(at, true);
const NO_FLOW = 0xffffffff;

t.test("FNV-1a, by its published vectors", async (t) => {
  const sum = (text: string) => fnv1a(new TextEncoder().encode(text));
  t.equal(sum(""), 0x811c9dc5);
  t.equal(sum("a"), 0xe40c292c);
  t.equal(sum("foobar"), 0xbf9cf968);
});

t.test("header and sections", async (t) => {
  for (const document of [example(), minimal(), { version: 1, zones: [], devices: [] }]) {
    const { image, word, place } = compiled(document);
    t.equal(word(ImageAt.Magic), Abi.ImageMagic);
    t.equal(Buffer.from(image.subarray(0, 4)).toString(), "CZIM");
    t.equal(word(ImageAt.Version), Abi.Version);
    t.equal(word(ImageAt.TotalBytes), image.length);
    t.equal(image.length % 8, 0);
    t.equal(word(ImageAt.Sum), fnv1a(image.subarray(ImageAt.Policy)));
    let end: number = ImageAt.Bytes;
    for (let section = 0; section < Section.Count; section++) {
      const { offset, count } = place(section);
      const size = section === Section.Strings ? 1 : RECORD_BYTES[section as RecordSection];
      t.equal(offset % 8, 0, `${Section[section]}`);
      t.ok(offset >= end && offset - end < 8, `${Section[section]} follows the one before`);
      end = offset + count * size;
    }
    t.ok(end <= image.length && image.length - end < 8);
  }
});

t.test("the same configuration gives the same bytes", async (t) => {
  t.same(compiled(example()).image, compiled(example()).image);
});

t.test("records of zones, devices, addresses, routes and neighbors", async (t) => {
  const { records, word } = compiled(
    changed(example(), {
      "zones[3]": { id: 5, name: "low" },
      "devices[1].vlan": [100, 7],
      "devices[2].addresses": ["203.0.113.2/24", "203.0.113.3/24", "198.51.100.1/32"],
    }),
  );
  const zones = records(Section.Zones);
  t.same(
    zones.map((zone) => short(zone, ZoneAt.Number)),
    [5, 10, 11, 20],
    "sorted by number",
  );
  t.same(
    zones.map((zone) => long(zone, ZoneAt.ConnsMax)),
    [0, 20000, 0, 0],
  );
  const [lanA, lanB, wan] = records(Section.Devices);
  t.same(
    [short(lanA, DeviceAt.Port), short(lanB, DeviceAt.Port), short(wan, DeviceAt.Port)],
    [1, 3, 2],
  );
  t.equal(short(lanA, DeviceAt.Zone), 1);
  t.same([short(lanA, DeviceAt.Interface), short(wan, DeviceAt.Interface)], [0, 1]);
  const tags = [DeviceAt.VlanOuter, DeviceAt.VlanInner, DeviceAt.ServiceTag];
  t.same(
    tags.map((at) => short(lanA, at)),
    [10, None.Short, 0],
  );
  t.same(
    tags.map((at) => short(lanB, at)),
    [100, 7, 1],
  );
  t.same(
    tags.map((at) => short(wan, at)),
    [None.Short, None.Short, 0],
  );
  t.same(
    [0, 1, 2, 3, 4, 5].map((i) => lanA?.getUint8(DeviceAt.Mac + i)),
    [2, 0, 0x5e, 0, 0, 1],
  );
  t.same([long(wan, DeviceAt.Addresses), short(wan, DeviceAt.AddressCount)], [2, 3]);
  t.same(
    records(Section.Addresses).map((record) => short(record, AddressAt.Device)),
    [0, 1, 2, 2, 2],
  );
  const routes = records(Section.Routes).map((route) => [
    short(route, RouteAt.Zone),
    long(route, RouteAt.Prefix),
    short(route, RouteAt.PrefixLength),
    long(route, RouteAt.Via),
    short(route, RouteAt.Device),
  ]);
  t.same(routes, [
    [1, 0xc0a80000, 24, 0, 0],
    [2, 0xc0a80000, 24, 0, 1],
    [3, 0xcb007100, 24, 0, 2],
    [3, 0xc6336401, 32, 0, 2],
    [3, 0, 0, 0xcb007101, 2],
  ]);
  const [neighbor] = records(Section.Neighbors);
  t.equal(long(neighbor, NeighborAt.Address), 0xcb007101);
  t.equal(neighbor?.getUint8(NeighborAt.Mac + 4), 2);
  const [timeouts] = records(Section.TimeoutSets);
  t.same(
    [0, 4, 8, 12, 16, 20].map((at) => long(timeouts, at)),
    [300000, 7440000, 240000, 240000, 60000, 600000],
  );
  t.equal(word(ImageAt.ConnCapacity), 65536);
  t.equal(word(ImageAt.NeighborCapacity), 4096);
});

t.test("pools, those that masq= makes included", async (t) => {
  const masquerade = "nat(src_zone=a,dst_zone=public,masq=203.0.113.50-203.0.113.59)";
  const config = checkConfig(
    changed(example(), {
      "pools[0].addresses": ["203.0.113.16/28", "203.0.113.7"],
      flows: [`tcp actions=${masquerade}`, `udp actions=${masquerade}`],
    }),
  );
  t.same(
    config.pools.map(({ name, addressCount }) => [name, addressCount]),
    [
      ["p1", 17],
      ["203.0.113.50-203.0.113.59", 10],
    ],
    "equal texts of a zone share a pool",
  );
  const [one, other] = compiled(
    changed(example(), { flows: [`tcp actions=${masquerade}`] }),
  ).records(Section.Pools);
  t.same([long(one, PoolAt.Ranges), short(one, PoolAt.RangeCount)], [0, 2]);
  t.same([long(other, PoolAt.Ranges), short(other, PoolAt.RangeCount)], [2, 1]);
  t.same([short(other, PoolAt.PortLow), short(other, PoolAt.PortHigh)], [1024, 65535]);
  t.equal(long(other, PoolAt.AddressCount), 10);
  t.same(
    [PoolAt.TcpMapping, PoolAt.TcpFiltering, PoolAt.Allocation].map((at) => one?.getUint8(at)),
    [MappingBehaviour.EndpointIndependent, FilteringBehaviour.AddressDependent, 0],
  );
});

t.test("limits of hosts, and the policy of the whole", async (t) => {
  const { records, word } = compiled(policies());
  const limits = [
    ZoneAt.ConnsMax,
    ZoneAt.ConnsPerHost,
    ZoneAt.TcpPortsPerHost,
    ZoneAt.UdpPortsPerHost,
    ZoneAt.IcmpPortsPerHost,
  ];
  t.same(
    records(Section.Zones).map((zone) => limits.map((at) => long(zone, at))),
    [
      [20000, 100, 512, 0, 8],
      [0, 0, 256, 256, 256],
      [0, 0, 0, 0, 0],
    ],
  );
  t.same(
    records(Section.Zones).map((zone) => short(zone, ZoneAt.Flags)),
    [0, ZoneFlag.Pcp, 0],
  );
  t.equal(
    word(ImageAt.Policy),
    Policy.TcpLiberal |
      Policy.SilentSyn |
      Policy.SilentExhaustion |
      Policy.FtpGateway |
      Policy.TftpGateway,
  );
  const delays = [ImageAt.HoldDown, ImageAt.FragmentTimeout, ImageAt.SynTimeout];
  t.same(delays.map(word), [0, 15_000, 7000]);
  const standard = compiled(example());
  t.equal(standard.word(ImageAt.Policy), 0);
  t.same(delays.map(standard.word), [120_000, 30_000, 6000]);
});

t.test("RFC 4787 R5a: sets of timeouts, one block for zones with the same", async (t) => {
  const { records } = compiled(policies());
  t.same(
    records(Section.Zones).map((zone) => short(zone, ZoneAt.Timeouts)),
    [3, 0, 3],
    "zones a and public say the same in different words; b has everybody's",
  );
  t.same(
    records(Section.PortTimeouts).map((rule) =>
      [PortTimeoutAt.Protocol, PortTimeoutAt.Low, PortTimeoutAt.High].map((at) => short(rule, at)),
    ),
    [
      [17, 53, 53],
      [6, 22, 23],
    ],
  );
  const seconds = records(Section.TimeoutSets).map((set) =>
    [
      Timeout.Udp,
      Timeout.TcpEstablished,
      Timeout.TcpOpening,
      Timeout.TcpClosing,
      Timeout.Icmp,
      Timeout.Other,
    ].map((which) => (long(set, 4 * which) ?? 0) / 1000),
  );
  t.same(seconds, [
    [300, 7440, 100, 240, 60, 600],
    [10, 7440, 100, 240, 60, 600],
    [300, 86400, 100, 240, 60, 600],
    [30, 7440, 20, 10, 60, 600],
    [10, 7440, 20, 10, 60, 600],
    [30, 86400, 20, 10, 60, 600],
  ]);
});

t.test("policies of pools", async (t) => {
  const { records } = compiled(policies());
  const bytes = [
    PoolAt.Allocation,
    PoolAt.Flags,
    PoolAt.TcpMapping,
    PoolAt.UdpMapping,
    PoolAt.IcmpMapping,
    PoolAt.TcpFiltering,
    PoolAt.UdpFiltering,
    PoolAt.IcmpFiltering,
  ];
  const shorts = [
    PoolAt.BlockPorts,
    PoolAt.BlocksPerHost,
    PoolAt.SubscriberCount,
    PoolAt.OverflowLow,
  ];
  const pools = records(Section.Pools);
  t.same(
    pools.map((pool) => bytes.map((at) => pool.getUint8(at))),
    [
      [Allocation.Preserve, PoolFlag.Parity | PoolFlag.ArbitraryPooling, 2, 1, 0, 0, 0, 0],
      [Allocation.Block, PoolFlag.InboundRefresh, 0, 0, 0, 1, 1, 2],
      [Allocation.Deterministic, PoolFlag.InboundRefresh, 0, 0, 0, 1, 1, 1],
      [Allocation.Preserve, PoolFlag.InboundRefresh, 0, 0, 0, 0, 0, 0],
    ],
    "the last one is a forward's whole address",
  );
  t.same(
    pools.map((pool) => shorts.map((at) => short(pool, at))),
    [
      [0, 0, 0, 0],
      [1024, 2, 0, 0],
      [64, 0, 3, 1900],
      [0, 0, 0, 0],
    ],
  );
  t.same(
    records(Section.PoolSubscribers).map((each) => [
      short(each, PoolSubscriberAt.Zone),
      short(each, PoolSubscriberAt.PrefixLength),
      long(each, PoolSubscriberAt.Prefix),
      long(each, PoolSubscriberAt.First),
    ]),
    [
      [0, 28, 0x0a000000, 0],
      [1, 30, 0xc0a80000, 16],
      [0, 32, 0x0a000109, 20],
    ],
  );
});

t.test("a flow of a port range, and one with src=", async (t) => {
  const flows = [
    "zone=20,udp,tp_dst=8000-8010 actions=nat(dst=192.168.0.9:5000,dst_zone=10)",
    "priority=7,zone=10 actions=nat(src_zone=10,src=203.0.113.50,dst_zone=20)",
  ];
  const [range, source] = compiled(changed(minimal(), { flows })).records(Section.Flows);
  t.same(
    [FlowAt.DestinationPortLow, FlowAt.DestinationPortHigh, FlowAt.TargetPort].map((at) =>
      short(range, at),
    ),
    [8000, 8010, 5000],
  );
  t.same(
    [FlowAt.Action, FlowAt.ActionZone, FlowAt.TargetZone, FlowAt.Pool, FlowAt.TargetPort].map(
      (at) => short(source, at),
    ),
    [FlowAction.Source, 0, 1, None.Short, 0],
  );
  t.equal(long(source, FlowAt.TargetAddress), 0xcb007132);
});

t.test("a flow's record", async (t) => {
  const flows = [
    "in_port(1),zone=10,tcp,nw_src=10.0.0.0/8,tp_src=1-9,tp_dst=80,conn_state=+new-tracked " +
      "actions=nat(src_zone=10,dst_zone=20,masq=203.0.113.7),output(wan)",
    "priority=7,in_port(2) actions=nat(src_zone=20,dst=192.168.0.9:81,dst_zone=10)",
    "priority=6 actions=nat(reverse,zone=20)",
    "priority=5,zone=10 actions=route(zone=20)",
    "priority=4 actions=reject",
  ];
  const [masquerade, destination, reverse, route, reject] = compiled(
    changed(minimal(), { flows }),
  ).records(Section.Flows);
  t.equal(masquerade?.getInt32(FlowAt.Priority, true), 32768);
  t.equal(
    short(masquerade, FlowAt.Match),
    FlowMatch.Device |
      FlowMatch.Zone |
      FlowMatch.Protocol |
      FlowMatch.SourcePorts |
      FlowMatch.DestinationPorts,
  );
  t.same([short(masquerade, FlowAt.Protocol), long(masquerade, FlowAt.Source)], [6, 0x0a000000]);
  t.same(
    [long(masquerade, FlowAt.SourceMask), long(masquerade, FlowAt.DestinationMask)],
    [0xff000000, 0],
  );
  t.same(
    [
      FlowAt.SourcePortLow,
      FlowAt.SourcePortHigh,
      FlowAt.DestinationPortLow,
      FlowAt.DestinationPortHigh,
    ].map((at) => short(masquerade, at)),
    [1, 9, 80, 80],
  );
  t.same([short(masquerade, FlowAt.StateMask), short(masquerade, FlowAt.StateValue)], [3, 2]);
  const action = (flow: DataView | undefined) =>
    [FlowAt.Action, FlowAt.ActionZone, FlowAt.TargetZone, FlowAt.Pool, FlowAt.Output].map((at) =>
      short(flow, at),
    );
  const none = None.Short;
  t.same(action(masquerade), [FlowAction.Masquerade, 0, 1, 0, 1]);
  t.same(action(destination), [FlowAction.Destination, 1, 0, none, none]);
  t.same(
    [long(destination, FlowAt.TargetAddress), short(destination, FlowAt.TargetPort)],
    [0xc0a80009, 81],
  );
  t.same(action(reverse), [FlowAction.Reverse, 1, none, none, none]);
  t.same(action(route), [FlowAction.Route, none, 1, none, none]);
  t.same(action(reject), [FlowAction.Reject, none, none, none, none]);
  t.same([short(reject, FlowAt.SourcePortLow), short(reject, FlowAt.SourcePortHigh)], [0, 0xffff]);
});

t.test("flows are sorted, and every flow is in one list", async (t) => {
  const flows = [
    "priority=1 actions=drop",
    "in_port(2),tcp actions=drop",
    "in_port(1),udp actions=drop",
    "priority=9,in_port(1) actions=drop",
    "conn_state=+tracked actions=drop",
    "in_port(1),conn_state=+tracked actions=reject",
    "conn_state=-tracked actions=reject",
    "zone=20,tcp actions=drop",
    "in_port(2),zone=20 actions=drop",
    "zone=20,conn_state=+tracked actions=drop",
  ];
  const config = checkConfig(changed(minimal(), { flows }));
  t.same(
    config.flows.map(({ origin }) => origin),
    [1, 2, 4, 5, 6, 7, 8, 9, 3, 0].map((at) => `flows[${at}]`),
    "highest priority first, then as written",
  );
  const { records, word } = compiled(changed(minimal(), { flows }));
  const next = records(Section.Flows).map((flow) => long(flow, FlowAt.Next));
  const list = (head: number | undefined) => {
    const indices: number[] = [];
    for (let at = head; at !== undefined && at !== NO_FLOW; at = next[at]) indices.push(at);
    return indices;
  };
  const [lan, wan] = records(Section.Devices);
  t.same(list(long(lan, DeviceAt.Flows)), [1, 8]);
  t.same(list(long(wan, DeviceAt.Flows)), [0, 6]);
  const [tenant, outside] = records(Section.Zones);
  t.same(list(long(tenant, ZoneAt.Flows)), []);
  t.same(list(long(outside, ZoneAt.Flows)), [5]);
  t.same(list(word(ImageAt.FlowsAnyDevice)), [4, 9]);
  t.same(list(word(ImageAt.FlowsTracked)), [2, 3, 7]);
  const empty = compiled(minimal());
  t.equal(empty.word(ImageAt.FlowsAnyDevice), NO_FLOW);
  t.equal(empty.word(ImageAt.FlowsTracked), NO_FLOW);
  t.equal(long(empty.records(Section.Devices)[0], DeviceAt.Flows), NO_FLOW);
});

t.test("a text stands once among the strings", async (t) => {
  const { place } = compiled({
    version: 1,
    zones: [{ id: 1, name: "same" }],
    devices: [{ name: "same", zone: 1, interface: "same" }],
  });
  t.equal(place(Section.Strings).count, "same".length);
});

t.test("virtual MACs", async (t) => {
  const config = checkConfig(example());
  const kernel = new Uint8Array([0x52, 0x54, 0, 1, 2, 3]);
  const macs = (macOf?: (name: string) => Uint8Array | undefined) =>
    readImage(compileImage(config, macOf === undefined ? {} : { macOf })).devices.map(
      ({ mac }) => mac,
    );
  const [given, lanB, wan] = macs(() => kernel);
  t.equal(formatMac(given ?? 0), "02:00:5e:00:00:01", "one that is given stays");
  t.match(formatMac(lanB ?? 0), /^02:c2:/, "locally administered, unicast");
  t.not(lanB, wan, "another interface, another MAC");
  t.same(
    macs(() => kernel),
    [given, lanB, wan],
    "stable",
  );
  t.not(macs(() => new Uint8Array([0x52, 0x54, 0, 1, 2, 4]))[1], lanB, "another kernel's MAC");
  t.not(macs()[1], lanB, "the name alone");
  const shared = checkConfig(changed(example(), { "devices[0].mac": undefined }));
  const [one, other] = readImage(compileImage(shared, { macOf: () => kernel })).devices;
  t.equal(one?.mac, other?.mac, "devices of one interface share it");
});

t.test("capacities: defaults that leave room, and what the document says", async (t) => {
  const capacity = (changes: Changes) => capacityOf(checkConfig(changed(example(), changes)));
  t.same(capacity({ capacity: undefined }), {
    conns: 65536,
    neighbors: 4096,
    poolAddresses: 64,
    imageBytes: 1 << 20,
  });
  t.equal(capacity({ "pools[0].addresses": ["203.0.112.0/25"], forwards: [] }).poolAddresses, 256);
  const asked = { conns: 10, neighbors: 20, poolAddresses: 30, imageBytes: 40000 };
  t.same(capacity({ capacity: asked }), asked);
});

t.test("an image reads back as what was compiled", async (t) => {
  for (const document of [example(), policies()]) {
    const config = checkConfig(document);
    const view = readImage(compileImage(config));
    t.same(view.zones, config.zones);
    t.same(view.interfaces, config.interfaces);
    const known = ({ mac: _, ...device }: { mac: unknown }) => device;
    t.same(view.devices.map(known), config.devices.map(known));
    t.same(
      view.routes.map(({ device, ...route }) => [route, device.name]),
      config.routes.map(({ device, ...route }) => [route, device.name]),
    );
    t.same(
      view.neighbors.map(({ address, mac, device }) => [address, mac, device.index]),
      config.neighbors.map(({ address, mac, device }) => [address, mac, device.index]),
    );
    t.same(view.pools, config.pools);
    t.same(
      view.flows,
      config.flows.map(({ priority, text }) => ({ priority, text })),
    );
    t.same(view.timeouts, config.timeouts);
    t.same([view.tcp, view.icmp, view.gateways], [config.tcp, config.icmp, config.gateways]);
  }
  const config = checkConfig(example());
  const view = readImage(compileImage(config));
  const inside = new Uint8Array([1, 2, 3, ...compileImage(config)]).subarray(3);
  t.same(readImage(inside), view, "also where it is part of something larger");
});

t.test("the datapath accepts what is compiled", async (t) => {
  for (const document of [example(), minimal(), policies()]) {
    t.doesNotThrow(() => new Router(document));
  }
});

t.test("a damaged image says what is wrong with it", async (t) => {
  const image = compileImage(checkConfig(example()));
  const refused = (bytes: Uint8Array, message: string) =>
    t.throws(() => readImage(bytes), { name: "ImageError", message: `config image: ${message}` });
  refused(image.subarray(0, 100), "truncated: 100 bytes");
  refused(image.subarray(0, 800), `800 bytes, and its header says ${image.length}`);
  refused(
    image.map((byte, at) => (at === 0 ? 0 : byte)),
    "not one: no CZIM in front",
  );
  refused(
    image.map((byte, at) => (at === 4 ? 9 : byte)),
    `version 9, and only ${Abi.Version} is known`,
  );
  refused(
    image.map((byte, at) => (at === 500 ? byte ^ 1 : byte)),
    "damaged: its bytes do not have its sum",
  );
  for (let at: number = ImageAt.Policy; at < image.length; at++) {
    const bad = Uint8Array.from(image);
    bad[at] = 0xff;
    new DataView(bad.buffer).setUint32(ImageAt.Sum, fnv1a(bad.subarray(ImageAt.Policy)), true);
    try {
      readImage(bad);
    } catch (error) {
      if (!(error instanceof ImageError)) t.fail(`byte ${at}: ${error}`);
    }
  }
});
