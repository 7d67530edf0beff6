/** Every refusal of a configuration, with its exact path and words. */

import t from "tap";
import { type Changes, changed, example, minimal, problemsOf } from "./fixture.js";

interface Refusal {
  readonly title: string;
  readonly changes: Changes;
  readonly lines: readonly string[];
}

function refusals(title: string, base: () => Record<string, unknown>, table: readonly Refusal[]) {
  t.test(title, async (t) => {
    for (const { title, changes, lines } of table) {
      t.same(problemsOf(changed(base(), changes)), lines, title);
    }
  });
}

const device = { name: "x", zone: "b", interface: "eth9" };

refusals("shape", example, [
  { title: "the example itself", changes: {}, lines: [] },
  {
    title: "another version",
    changes: { version: 2 },
    lines: ["version: expected 1, found 2"],
  },
  {
    title: "an unknown key with a near one",
    changes: { "zones[1].nmae": "b" },
    lines: ['zones[1].nmae: expected a known key (did you mean "name"?), found "nmae"'],
  },
  {
    title: "an unknown key with none near, and one that every object inherits",
    changes: { "timeouts.colour": 1, "timeouts.constructor": 2 },
    lines: ["colour", "constructor"].map(
      (key) =>
        `timeouts.${key}: expected one of the keys udp, tcpEstablished, tcpTransitory, ` +
        "tcpOpening, tcpClosing, icmp, other, holdDown, fragment, unsolicitedSyn, ports, " +
        `found "${key}"`,
    ),
  },
  {
    title: "a key that is no plain word",
    changes: { "a b": 1 },
    lines: [
      '["a b"]: expected one of the keys $schema, version, zones, devices, routes, neighbors, ' +
        'pools, nat, forwards, flows, timeouts, tcp, icmp, gateways, capacity, workers, busyPoll, telemetry, found "a b"',
    ],
  },
  {
    title: "a number for a name",
    changes: { "devices[2].interface": 7 },
    lines: ["devices[2].interface: expected an interface name, found 7"],
  },
  {
    title: "a missing key",
    changes: { "devices[0].name": undefined, flows: [] },
    lines: ['devices[0].name: expected the key "name", found nothing'],
  },
  {
    title: "missing sections, whose names nobody is blamed for",
    changes: { zones: undefined },
    lines: ['zones: expected the key "zones", found nothing'],
  },
  {
    title: "an array for an object",
    changes: { timeouts: [] },
    lines: ["timeouts: expected an object, found an array"],
  },
  {
    title: "an object for an array",
    changes: { routes: {} },
    lines: ["routes: expected an array of routes, found {}"],
  },
  {
    title: "a name that could be a number",
    changes: { "devices[1].name": "1st" },
    lines: [
      'devices[1].name: expected a device name: a letter or "_", then letters, digits or ' +
        '_ . : @ -, at most 64 bytes, found "1st"',
    ],
  },
  {
    title: "a name of 65 bytes",
    changes: { "devices[1].name": "n".repeat(65) },
    lines: [
      'devices[1].name: expected a device name: a letter or "_", then letters, digits or ' +
        `_ . : @ -, at most 64 bytes, found "${"n".repeat(65)}"`,
    ],
  },
  {
    title: "an interface name of 16 bytes",
    changes: { "devices[2].interface": "0123456789abcdef" },
    lines: [
      'devices[2].interface: expected an interface name of at most 15 bytes, found "0123456789abcdef"',
    ],
  },
  {
    title: "an interface name with a slash",
    changes: { "devices[2].interface": "a/b" },
    lines: [
      'devices[2].interface: expected an interface name without white space and /, found "a/b"',
    ],
  },
  {
    title: "an MTU below RFC 791's",
    changes: { "devices[0].mtu": 67, "devices[1].mtu": 9217 },
    lines: [
      "devices[0].mtu: expected an MTU from 68 to 9216, found 67",
      "devices[1].mtu: expected an MTU from 68 to 9216, found 9217",
    ],
  },
  {
    title: "timeouts out of bounds",
    changes: { "timeouts.udp": 0, "timeouts.icmp": 1_000_001, "timeouts.other": 1.5 },
    lines: [
      "timeouts.udp: expected a number of seconds from 1 to 1000000, found 0",
      "timeouts.icmp: expected a number of seconds from 1 to 1000000, found 1000001",
      "timeouts.other: expected a number of seconds from 1 to 1000000, found 1.5",
    ],
  },
  {
    title: "capacity out of bounds",
    changes: {
      "capacity.conns": 0,
      "capacity.neighbors": "many",
      "capacity.slots": 1000,
      busyPoll: 1001,
    },
    lines: [
      "capacity.conns: expected a number of conns from 1 to 16777216, found 0",
      'capacity.neighbors: expected a number of neighbors from 1 to 1048576, found "many"',
      "capacity.slots: expected a power of two from 64 to 32768, found 1000",
      "busyPoll: expected microseconds from 0 to 1000, found 1001",
    ],
  },
  {
    title: "a capacity that this configuration itself exceeds",
    changes: { "capacity.poolAddresses": 16 },
    lines: ["capacity.poolAddresses: expected at least 17, for this configuration alone, found 16"],
  },
]);

refusals("what this version does not do yet", example, [
  {
    title: "drivers",
    changes: { "devices[2].driver": "sdk" },
    lines: [
      'devices[2].driver: expected one of "afpacket", "afxdp", "pcap", "loopback" ' +
        '(not supported yet: "sdk"), found "sdk"',
    ],
  },
]);

const BEHAVIOURS =
  'one of "endpoint-independent", "address-dependent", "address-and-port-dependent"';
const EITHER = 'a port from 1 to 65535 or an ascending range, as "8000-8010"';

refusals("shape of policies, limits and timeouts", example, [
  {
    title: "behaviours and allocations that are none",
    changes: {
      "pools[0].mapping": "symmetric",
      "pools[0].filtering": { tcp: "open", upd: "address-dependent", icmp: 1 },
      "pools[0].allocation": "sequential",
    },
    lines: [
      `pools[0].mapping: expected ${BEHAVIOURS}, or an object of them with tcp, udp, icmp, ` +
        'found "symmetric"',
      `pools[0].filtering.tcp: expected ${BEHAVIOURS}, found "open"`,
      `pools[0].filtering.icmp: expected ${BEHAVIOURS}, found 1`,
      'pools[0].allocation: expected one of "random", "preserve", "block", "deterministic", ' +
        'found "sequential"',
      'pools[0].filtering.upd: expected a known key (did you mean "udp"?), found "upd"',
    ],
  },
  {
    title: "an unknown protocol alone",
    changes: { "pools[0].mapping": { sctp: "address-dependent" } },
    lines: ['pools[0].mapping.sctp: expected a known key (did you mean "tcp"?), found "sctp"'],
  },
  {
    title: "an array for behaviours",
    changes: { "pools[0].mapping": ["address-dependent"] },
    lines: [
      `pools[0].mapping: expected ${BEHAVIOURS}, or an object of them with tcp, udp, icmp, ` +
        'found ["address-dependent"]',
    ],
  },
  {
    title: "flags and words of pools",
    changes: {
      "pools[0].parity": 1,
      "pools[0].inboundRefresh": "no",
      "pools[0].pooling": "sticky",
      "pools[0].block": { ports: 500, perHost: 0 },
    },
    lines: [
      "pools[0].parity: expected true or false, found 1",
      'pools[0].inboundRefresh: expected true or false, found "no"',
      'pools[0].pooling: expected one of "paired", "arbitrary", found "sticky"',
      "pools[0].block.ports: expected a power of two from 64 to 32768, found 500",
      "pools[0].block.perHost: expected a number of blocks from 1 to 65535, found 0",
    ],
  },
  {
    title: "deterministic pools",
    changes: {
      "pools[0].allocation": "deterministic",
      "pools[0].deterministic": {
        hosts: [{ zone: "a" }, { zone: "a", prefix: 7 }],
        portsPerHost: 0,
        overflowPorts: -1,
      },
      "pools[1]": {
        name: "p2",
        zone: "public",
        addresses: ["203.0.113.40"],
        allocation: "deterministic",
        deterministic: { hosts: [] },
      },
    },
    lines: [
      'pools[0].deterministic.hosts[0].prefix: expected the key "prefix", found nothing',
      "pools[0].deterministic.hosts[1].prefix: expected a prefix without host bits, found 7",
      "pools[0].deterministic.portsPerHost: expected a number of ports from 1 to 65535, found 0",
      "pools[0].deterministic.overflowPorts: expected a number of ports from 0 to 65535, found -1",
      "pools[1].deterministic.hosts: expected at least one prefix of hosts, found []",
    ],
  },
  {
    title: "limits of hosts",
    changes: {
      "zones[0].limits": { connsPerHost: 0, portsPerHost: "many" },
      "zones[1].limits": { portsPerHost: { tcp: 0, other: 1 } },
      "zones[1].pcp": "yes",
    },
    lines: [
      "zones[0].limits.connsPerHost: expected a number of conns from 1 to 4294967295, found 0",
      "zones[0].limits.portsPerHost: expected a number of ports from 1 to 4294967295, or an object " +
        'of them with tcp, udp, icmp, found "many"',
      "zones[1].limits.portsPerHost.tcp: expected a number of ports from 1 to 4294967295, found 0",
      'zones[1].pcp: expected true or false, found "yes"',
      "zones[1].limits.portsPerHost.other: expected one of the keys tcp, udp, icmp, " +
        'found "other"',
    ],
  },
  {
    title: "timeouts of zones, of ports and of what is no conn",
    changes: {
      "zones[0].timeouts": { udp: 0, holdDown: 5 },
      "timeouts.holdDown": -1,
      "timeouts.fragment": 0,
      "timeouts.unsolicitedSyn": 5,
      "timeouts.ports": [
        { protocol: "sctp", port: 0, seconds: 0 },
        { protocol: "udp", port: 53 },
      ],
    },
    lines: [
      "zones[0].timeouts.udp: expected a number of seconds from 1 to 1000000, found 0",
      "timeouts.holdDown: expected a number of seconds from 0 to 1000000, found -1",
      "timeouts.fragment: expected a number of seconds from 1 to 1000000, found 0",
      "timeouts.unsolicitedSyn: expected a number of seconds from 6 to 1000000, found 5",
      'timeouts.ports[0].protocol: expected one of "tcp", "udp", found "sctp"',
      `timeouts.ports[0].port: expected ${EITHER}, found 0`,
      "timeouts.ports[0].seconds: expected a number of seconds from 1 to 1000000, found 0",
      'timeouts.ports[1].seconds: expected the key "seconds", found nothing',
      "zones[0].timeouts.holdDown: expected one of the keys udp, tcpEstablished, tcpTransitory, " +
        'tcpOpening, tcpClosing, icmp, other, found "holdDown"',
    ],
  },
  {
    title: "switches",
    changes: { tcp: { window: "off" }, icmp: { exhaustion: 0 }, gateways: { pptp2: true } },
    lines: [
      'tcp.window: expected one of "strict", "liberal", found "off"',
      "icmp.exhaustion: expected true or false, found 0",
      'gateways.pptp2: expected one of the keys ftp, tftp, found "pptp2"',
    ],
  },
]);

refusals("timeouts of ports", example, [
  {
    title: "ranges that are none, and that overlap",
    changes: {
      "timeouts.ports": [
        { protocol: "udp", port: "53-60", seconds: 10 },
        { protocol: "tcp", port: 53, seconds: 10 },
        { protocol: "udp", port: 60, seconds: 20 },
        { protocol: "udp", port: "9-8", seconds: 20 },
      ],
    },
    lines: [
      "timeouts.ports[2].port: expected ports that no other timeout of udp has, found 60, while " +
        "timeouts.ports[0] has 53-60",
      `timeouts.ports[3].port: expected ${EITHER}, found "9-8"`,
    ],
  },
  {
    title: "more than there may be",
    changes: {
      "timeouts.ports": Array.from({ length: 65 }, (_, i) => ({
        protocol: "udp",
        port: i + 1,
        seconds: 5,
      })),
    },
    lines: [
      "timeouts.ports: expected at most 64 timeouts by port, found " +
        '[{"protocol":"udp","port":1,"seconds":5},{"protocol":"udp","port":2,"seconds":5}…',
    ],
  },
  {
    title: "more sets than the image numbers",
    changes: {
      zones: [
        ...["a", "b", "public"].map((name, at) => ({ id: [10, 11, 20][at], name })),
        ...Array.from({ length: 1100 }, (_, i) => ({ id: 100 + i, timeouts: { udp: 1000 + i } })),
      ],
      "timeouts.ports": Array.from({ length: 60 }, (_, i) => ({
        protocol: "udp",
        port: i + 1,
        seconds: 5,
      })),
    },
    lines: [
      "zones: expected at most 65535 sets of timeouts, of which every zone with timeouts of its own " +
        "needs one, and one for each of timeouts.ports, found 67161",
    ],
  },
]);

refusals("zones and devices", example, [
  {
    title: "zones of one number or name",
    changes: { "zones[3]": { id: 10, name: "c" }, "zones[4]": { id: 12, name: "b" } },
    lines: [
      "zones[3].id: expected a number that no other zone has, found 10",
      'zones[4].name: expected a name that no other zone has, found "b"',
    ],
  },
  {
    title: "a zone that is not there, by name and by number",
    changes: {
      "devices[3]": { ...device, zone: "pubic" },
      "devices[4]": { ...device, name: "y", vlan: 1, zone: 7 },
    },
    lines: [
      'devices[3].zone: expected a zone of this configuration (did you mean "public"?), found "pubic"',
      "devices[4].zone: expected a zone of this configuration, found 7",
    ],
  },
  {
    title: "devices of one name or port",
    changes: { "devices[3]": { ...device, name: "wan", port: 3 } },
    lines: [
      "devices[3].port: expected a number that no other device has, found 3",
      'devices[3].name: expected a name that no other device has, found "wan"',
    ],
  },
  {
    title: "two devices on one interface and VLAN, and on one interface without",
    changes: {
      "devices[3]": { ...device, interface: "eth1", vlan: 11 },
      "devices[4]": { ...device, name: "y", interface: "eth0" },
    },
    lines: [
      "devices[3].vlan: expected an interface and VLAN that no other device has, " +
        'found VLAN 11 on "eth1", as in devices[1]',
      "devices[4].interface: expected an interface and VLAN that no other device has, " +
        'found "eth0" without a VLAN, as in devices[2]',
    ],
  },
  {
    title: "VLANs that are none",
    changes: { "devices[0].vlan": 4095, "devices[1].vlan": [1], "devices[2].vlan": [5, 0] },
    lines: [
      "devices[0].vlan: expected a VLAN identifier from 1 to 4094, found 4095",
      "devices[1].vlan: expected a VLAN identifier or a pair [outer, inner], found [1]",
      "devices[2].vlan[1]: expected a VLAN identifier from 1 to 4094, found 0",
    ],
  },
  {
    title: "two drivers on one interface",
    changes: { "devices[1].driver": "pcap" },
    lines: ['devices[1].driver: expected the driver of the other devices on "eth1", found "pcap"'],
  },
  {
    title: "MACs that no device may have",
    changes: {
      "devices[0].mac": "01:00:5e:00:00:01",
      "devices[1].mac": "00:00:00:00:00:00",
      "devices[2].mac": "2:0:0:0:0:1",
    },
    lines: ["01:00:5e:00:00:01", "00:00:00:00:00:00", "2:0:0:0:0:1"].map(
      (mac, at) =>
        `devices[${at}].mac: expected a unicast MAC as "02:00:5e:00:00:01", found "${mac}"`,
    ),
  },
  {
    title: "addresses that are none",
    changes: {
      "devices[1].addresses": [
        "192.168.0.1",
        "192.168.00.1/24",
        "10.0.0.1/33",
        "10.0.0.255/24",
        "224.0.0.1/4",
      ],
    },
    lines: [
      ...["192.168.0.1", "192.168.00.1/24", "10.0.0.1/33"].map(
        (text, at) =>
          `devices[1].addresses[${at}]: expected an IPv4 address with its prefix, ` +
          `as "192.168.0.1/24", found "${text}"`,
      ),
      'devices[1].addresses[3]: expected an address that a host may have, found "10.0.0.255/24"',
      'devices[1].addresses[4]: expected an address that a host may have, found "224.0.0.1/4"',
    ],
  },
  {
    title: "overlapping subnets of two devices, and an address twice on one",
    changes: {
      "devices[2].addresses": ["203.0.113.2/24", "203.0.113.2/24"],
      "devices[3]": { ...device, addresses: ["192.168.0.129/25"] },
    },
    lines: [
      "devices[3].addresses[0]: expected a subnet that does not overlap another of zone b, " +
        'found "192.168.0.129/25", while devices[1].addresses[0] is "192.168.0.1/24"',
      "devices[2].addresses[1]: expected an address that does not overlap another of zone public, " +
        'found "203.0.113.2/24", while devices[2].addresses[0] is "203.0.113.2/24"',
    ],
  },
]);

refusals("routes and neighbors", example, [
  {
    title: "a prefix with host bits",
    changes: { "routes[1]": { zone: "a", to: "10.0.0.1/8", via: "192.168.0.9" } },
    lines: [
      'routes[1].to: expected a prefix without host bits, as "10.0.0.0/8", found "10.0.0.1/8"',
    ],
  },
  {
    title: "a next hop that is not on-link, or our own, or none",
    changes: {
      "routes[1]": { zone: "a", to: "10.0.0.0/8", via: "203.0.113.1" },
      "routes[2]": { zone: "a", to: "11.0.0.0/8", via: "192.168.0.1" },
      "routes[3]": { zone: "a", to: "12.0.0.0/8", via: "1.2.3" },
      "routes[4]": { zone: "a", to: "13.0.0.0/8" },
    },
    lines: [
      'routes[1].via: expected an address that is on-link of a device of zone a, found "203.0.113.1"',
      'routes[2].via: expected the address of a neighbor, found "192.168.0.1", our own',
      'routes[3].via: expected an IPv4 address that a host may have, found "1.2.3"',
      "routes[4]: expected via or device, found neither",
    ],
  },
  {
    title: "a device of another zone",
    changes: { "routes[1]": { zone: "a", to: "10.0.0.0/8", via: "1.2.3.4", device: "wan" } },
    lines: ['routes[1].device: expected a device of zone a, found "wan" of zone public'],
  },
  {
    title: "a route twice, and one that is connected",
    changes: {
      "routes[1]": { zone: 20, to: "0.0.0.0/0", via: "203.0.113.9" },
      "routes[2]": { zone: "a", to: "192.168.0.0/24", via: "192.168.0.9" },
    },
    lines: [
      'routes[1].to: expected a prefix that zone public has no other route to, found "0.0.0.0/0", ' +
        "as in routes[0]",
      'routes[2].to: expected a prefix that zone a has no other route to, found "192.168.0.0/24", ' +
        "on-link through device lan-a",
    ],
  },
  {
    title: "neighbors that are not on-link, ours, of no MAC, twice",
    changes: {
      "neighbors[1]": { zone: "a", address: "203.0.113.1", mac: "02:00:00:00:00:01" },
      "neighbors[2]": { zone: "a", address: "192.168.0.1", mac: "02:00:00:00:00:01" },
      "neighbors[3]": { zone: "a", address: "192.168.0.2", mac: "ff:ff:ff:ff:ff:ff" },
      "neighbors[4]": { zone: "public", address: "203.0.113.1", mac: "02:00:00:00:00:01" },
    },
    lines: [
      "neighbors[1].address: expected an address that is on-link of a device of zone a, " +
        'found "203.0.113.1"',
      'neighbors[2].address: expected the address of a neighbor, found "192.168.0.1", our own',
      'neighbors[3].mac: expected a unicast MAC as "02:00:5e:00:00:01", found "ff:ff:ff:ff:ff:ff"',
      "neighbors[4].address: expected an address that no other neighbor on device wan has, " +
        'found "203.0.113.1"',
    ],
  },
]);

const pool = { name: "p2", zone: "public", addresses: ["203.0.113.40"] };

refusals("pools, nat and forwards", example, [
  {
    title: "pools that contradict themselves",
    changes: {
      "pools[1]": { ...pool, addresses: ["203.0.113.40-203.0.113.50", "203.0.113.45"] },
      "pools[2]": { ...pool, name: "p1", ports: "0-10" },
      "pools[3]": { ...pool, name: "p3", addresses: ["203.0.113.9-203.0.113.8", "127.0.0.1"] },
      "pools[4]": { ...pool, name: "p4", addresses: [] },
    },
    lines: [
      "pools[4].addresses: expected at least one address, found []",
      "pools[1].addresses[1]: expected addresses that the pool does not have already, " +
        'found "203.0.113.45", while pools[1].addresses[0] is 203.0.113.40-203.0.113.50',
      'pools[2].name: expected a name that no other pool has, found "p1"',
      'pools[2].ports: expected ports from 1 to 65535, as "1024-65535", found "0-10"',
      "pools[3].addresses[0]: expected an address, a prefix without host bits or an ascending " +
        'range a-b, found "203.0.113.9-203.0.113.8"',
      'pools[3].addresses[1]: expected addresses that hosts may have, found "127.0.0.1"',
    ],
  },
  {
    title: "a pool in a zone without devices",
    changes: { "zones[3]": { id: 30, name: "void" }, "pools[1]": { ...pool, zone: "void" } },
    lines: ["pools[1].zone: expected a zone that has a device, found zone void, which has none"],
  },
  {
    title: "more addresses than there may be",
    changes: { "pools[1]": { ...pool, addresses: ["16.0.0.0/8"] } },
    lines: ["pools: expected at most 65534 addresses in all pools, found 16777233"],
  },
  {
    title: "a pool outside its zone",
    changes: { "pools[1]": { ...pool, zone: "a" }, "nat[0].pool": "p2" },
    lines: ['nat[0].pool: expected a pool of zone public, found "p2", a pool of zone a'],
  },
  {
    title: "translations of what is not there, of the zone itself, and twice",
    changes: { "nat[0].from": ["a", "c", "public", "a"], "nat[0].pool": "p9" },
    lines: [
      'nat[0].pool: expected a pool of this configuration (did you mean "p1"?), found "p9"',
      'nat[0].from[1]: expected a zone of this configuration, found "c"',
      'nat[0].from[2]: expected a zone other than that of "to", found "public"',
      'nat[0].from[3]: expected a zone that is translated once, found "a", as in nat[0].from[0]',
    ],
  },
  {
    title: "a forward to the router itself",
    changes: { "forwards[0].to.address": "192.168.0.1" },
    lines: ['forwards[0].to.address: expected the address of a host, found "192.168.0.1", our own'],
  },
  {
    title: "forwards to and from nowhere, and twice",
    changes: {
      "forwards[0].to.zone": "c",
      "forwards[1]": {
        protocol: "tcp",
        zone: 20,
        address: "203.0.113.7",
        port: 8080,
        to: { zone: "a", address: "10.9.9.9" },
      },
      "forwards[2]": {
        protocol: "udp",
        zone: 20,
        address: "203.0.113.99",
        port: 1,
        to: { zone: "a", address: "192.168.0.300" },
      },
    },
    lines: [
      'forwards[0].to.zone: expected a zone of this configuration, found "c"',
      "forwards[1]: expected an address and port that no other forward has, " +
        "found tcp 203.0.113.7:8080, as in forwards[0]",
      'forwards[1].to.address: expected an address that zone a has a route to, found "10.9.9.9"',
      'forwards[2].to.address: expected an IPv4 address that a host may have, found "192.168.0.300"',
      "forwards[2].address: expected an address of a device or pool of zone public, as it is " +
        'on-link there, found "203.0.113.99"',
    ],
  },
]);

const hosts = [{ zone: "a", prefix: "10.0.0.0/24" }];
const deterministic = { ...pool, allocation: "deterministic" };

refusals("allocation of pools", example, [
  {
    title: "what belongs to another allocation",
    changes: {
      "pools[0].block": { ports: 128 },
      "pools[1]": { ...pool, allocation: "block", deterministic: { hosts } },
    },
    lines: [
      'pools[0].block: expected no such key unless allocation is "block", ' +
        'found {"ports":128,"perHost":4}',
      'pools[1].deterministic: expected no such key unless allocation is "deterministic", ' +
        'found {"hosts":[{"zone":"a","prefix":"10.0.0.0/24"}],"overflowPorts":0}',
    ],
  },
  {
    title: "deterministic without hosts",
    changes: { "pools[1]": deterministic },
    lines: [
      'pools[1].deterministic: expected the hosts of allocation "deterministic", found nothing',
    ],
  },
  {
    title: "ports without a whole block",
    changes: { "pools[1]": { ...pool, allocation: "block", ports: "1025-2000" } },
    lines: [
      "pools[1].ports: expected ports with a whole block of 512, which begins at a multiple of " +
        'that, found "1025-2000"',
    ],
  },
  {
    title: "a block that just fits",
    changes: { "pools[1]": { ...pool, allocation: "block", ports: "1025-2047" } },
    lines: [],
  },
  {
    title: "hosts that are none, of no zone, and twice",
    changes: {
      "pools[1]": {
        ...deterministic,
        deterministic: {
          hosts: [
            { zone: "a", prefix: "10.0.0.0/24" },
            { zone: "c", prefix: "10.0.0.0/24" },
            { zone: "b", prefix: "10.0.0.0/24" },
            { zone: 10, prefix: "10.0.0.128/25" },
            { zone: "a", prefix: "10.0.0.1/24" },
          ],
        },
      },
    },
    lines: [
      'pools[1].deterministic.hosts[1].zone: expected a zone of this configuration, found "c"',
      "pools[1].deterministic.hosts[3].prefix: expected a prefix that overlaps no other of zone a, " +
        'found "10.0.0.128/25", as in pools[1].deterministic.hosts[0]',
      "pools[1].deterministic.hosts[4].prefix: expected a prefix without host bits, " +
        'as "10.0.0.0/24", found "10.0.0.1/24"',
    ],
  },
  {
    title: "more hosts than fit, with ports of a given number and without",
    changes: {
      "pools[1]": { ...deterministic, deterministic: { hosts, portsPerHost: 253 } },
      "pools[2]": {
        ...deterministic,
        name: "p3",
        addresses: ["203.0.113.41", "203.0.113.42"],
        ports: "1024-1123",
        deterministic: { hosts },
      },
    },
    lines: [
      "pools[1].deterministic.hosts: expected at most 254 hosts of 253 ports each, that 1 " +
        "addresses have room for, found 256",
      "pools[2].deterministic.hosts: expected at most 200 hosts of 1 ports each, that 2 addresses " +
        "have room for, found 256",
    ],
  },
  {
    title: "252 ports for each of 256 hosts fit, to the last one",
    changes: { "pools[1]": { ...deterministic, deterministic: { hosts, portsPerHost: 252 } } },
    lines: [],
  },
  {
    title: "an overflow that leaves nothing",
    changes: { "pools[1]": { ...deterministic, deterministic: { hosts, overflowPorts: 64512 } } },
    lines: [
      "pools[1].deterministic.overflowPorts: expected fewer ports than the pool has on an address, " +
        '"1024-65535", found 64512',
    ],
  },
  {
    title: "an address of two pools, one of which gives out blocks",
    changes: {
      "pools[1]": { ...pool, addresses: ["203.0.113.16-203.0.113.40"], allocation: "block" },
      "pools[2]": { ...deterministic, name: "p3", deterministic: { hosts } },
      flows: ["tcp actions=nat(src_zone=a,dst_zone=public,masq=203.0.113.40)"],
    },
    lines: [
      'pools[1].addresses: expected addresses of one pool alone, as p2 is "block", ' +
        "found 203.0.113.16, also of pools[0].addresses",
      'pools[2].addresses: expected addresses of one pool alone, as p2 is "block", ' +
        "found 203.0.113.40, also of pools[1].addresses",
      'masq=203.0.113.40: expected addresses of one pool alone, as p2 is "block", ' +
        "found 203.0.113.40, also of pools[1].addresses",
    ],
  },
  {
    title: "an address of two pools that take single ports, and of two zones",
    changes: {
      "pools[1]": { ...pool, addresses: ["203.0.113.7"], allocation: "preserve" },
      "pools[2]": {
        ...pool,
        name: "p3",
        zone: "a",
        addresses: ["203.0.113.7"],
        allocation: "block",
      },
    },
    lines: [],
  },
]);

const whole = {
  protocol: "any",
  zone: "public",
  address: "203.0.113.50",
  to: { zone: "a", address: "192.168.0.10" },
};

refusals("forwards of ranges and whole addresses", example, [
  {
    title: "protocols that are none, and ports that are none",
    changes: {
      "forwards[0].protocol": "icmp",
      "forwards[1]": { ...whole, protocol: "tcp", port: "90-80" },
      "forwards[2]": { ...whole, protocol: "tcp", port: 65536 },
    },
    lines: [
      'forwards[0].protocol: expected one of "tcp", "udp", "sctp", "any", found "icmp"',
      `forwards[2].port: expected ${EITHER}, found 65536`,
      `forwards[1].port: expected ${EITHER}, found "90-80"`,
    ],
  },
  {
    title: "no port, and ports where there are none",
    changes: {
      "forwards[0].port": undefined,
      "forwards[1]": { ...whole, port: 80, to: { ...whole.to, port: 81 } },
    },
    lines: [
      'forwards[0]: expected the key "port" beside protocol "tcp", found nothing',
      'forwards[1].port: expected no port beside "any", found 80',
      'forwards[1].to.port: expected no port beside "any", found 81',
    ],
  },
  {
    title: "a target range that runs past the last port",
    changes: { "forwards[0].port": "8000-8010", "forwards[0].to.port": 65526 },
    lines: [
      "forwards[0].to.port: expected a port up to 65525, the first of as many as 8000-8010, " +
        "found 65526",
    ],
  },
  {
    title: "another port for SCTP",
    changes: { "forwards[0].protocol": "sctp" },
    lines: ["forwards[0].to.port: expected no port, or 8080: SCTP keeps its ports, found 80"],
  },
  {
    title: "ranges that overlap",
    changes: {
      "forwards[1]": { ...whole, protocol: "tcp", address: "203.0.113.7", port: "8000-8080" },
      "forwards[2]": { ...whole, protocol: "udp", address: "203.0.113.7", port: "8000-8080" },
    },
    lines: [
      "forwards[1]: expected an address and port that no other forward has, " +
        "found tcp 203.0.113.7:8000-8080, while forwards[0] has 8080",
    ],
  },
  {
    title: "a whole address that is somebody's",
    changes: {
      forwards: ["203.0.113.7", "203.0.113.2", "203.0.113.40", "203.0.113.1"].map(
        (address, at) => ({
          ...whole,
          address,
          to: { zone: "a", address: `192.168.0.${10 + at}` },
        }),
      ),
      flows: ["tcp actions=nat(src_zone=a,dst_zone=public,masq=203.0.113.40)"],
    },
    lines: [
      'forwards[0].address: expected an address that no device and no pool has, found "203.0.113.7", ' +
        "of pools[0].addresses",
      'forwards[1].address: expected an address that no device and no pool has, found "203.0.113.2", ' +
        "of device wan",
      "forwards[2].address: expected an address that no device and no pool has, " +
        'found "203.0.113.40", of masq=203.0.113.40',
      "forwards[3].address: expected addresses that nobody else has, found 203.0.113.1, " +
        "a static neighbor",
    ],
  },
  {
    title: "a whole address of a pool that gives out blocks: said once",
    changes: { "pools[0].allocation": "block", forwards: [{ ...whole, address: "203.0.113.7" }] },
    lines: [
      'forwards[0].address: expected an address that no device and no pool has, found "203.0.113.7", ' +
        "of pools[0].addresses",
    ],
  },
  {
    title: "a whole address of two forwards, and a host of two",
    changes: {
      "forwards[1]": whole,
      "forwards[2]": { ...whole, to: { zone: "b", address: "192.168.0.10" } },
      "forwards[3]": { ...whole, protocol: "udp", port: 53 },
      "forwards[4]": { ...whole, address: "203.0.113.51" },
      "forwards[5]": { ...whole, protocol: "udp", port: 53, address: "203.0.113.52" },
      "forwards[6]": {
        ...whole,
        address: "203.0.113.52",
        to: { zone: "b", address: "192.168.0.9" },
      },
    },
    lines: [
      'forwards[2].address: expected an address that no other forward has, found "203.0.113.50", ' +
        "as in forwards[1]",
      'forwards[3].address: expected an address that no other forward has, found "203.0.113.50", ' +
        "as in forwards[1]",
      'forwards[4].to.address: expected a host that no other forward of "any" has, ' +
        'found "192.168.0.10", as in forwards[1]',
      "forwards[5].address: expected an address of a device or pool of zone public, as it is " +
        'on-link there, found "203.0.113.52"',
      'forwards[6].address: expected an address that no other forward has, found "203.0.113.52", ' +
        "as in forwards[5]",
    ],
  },
  {
    title: "a whole address in a zone without devices, and one that is a network's own",
    changes: {
      "zones[3]": { id: 30, name: "void" },
      "forwards[1]": { ...whole, zone: "void" },
      "forwards[2]": {
        ...whole,
        address: "203.0.113.255",
        to: { zone: "b", address: "192.168.0.9" },
      },
    },
    lines: [
      "forwards[1].address: expected a zone that has a device, found zone void, which has none",
      "forwards[2].address: expected addresses that nobody else has, found 203.0.113.255, " +
        "the broadcast address of device wan",
    ],
  },
]);

const NAT = "nat(src_zone=10,dst_zone=20,masq=203.0.113.7)";

refusals("flows and what they name", minimal, [
  {
    title: "zones, devices and pools that are not there",
    changes: {
      flows: ["in_port(lam),zone=9 actions=nat(src_zone=x,dst_zone=20,masq=p1),output(7)"],
    },
    lines: [
      'flows[0] column 9: expected a device of this configuration (did you mean "lan"?), found "lam"',
      'flows[0] column 19: expected a zone of this configuration, found "9"',
      'flows[0] column 42: expected a zone of this configuration, found "x"',
      'flows[0] column 61: expected a pool of this configuration, found "p1"',
      'flows[0] column 72: expected a device of this configuration, found "7"',
    ],
  },
  {
    title: "zones that are not those of the match",
    changes: {
      flows: [
        `in_port(wan) actions=${NAT}`,
        `zone=20 actions=${NAT}`,
        "in_port(1),zone=20 actions=drop",
        "in_port(2),udp actions=nat(reverse,zone=10)",
      ],
    },
    lines: [
      "flows[0] column 35: expected zone 20, that of the match, found zone 10",
      "flows[1] column 30: expected zone 20, that of the match, found zone 10",
      "flows[2] column 17: expected zone 10, that of in_port, found zone 20",
      "flows[3] column 41: expected zone 20, that of the match, found zone 10",
    ],
  },
  {
    title: "a change of zone that does not say from which",
    changes: {
      flows: [
        "udp actions=route(zone=20)",
        "actions=nat(dst=192.168.0.2,dst_zone=10)",
        "tcp actions=output(wan)",
        "in_port(1),conn_state=+tracked actions=output(wan)",
      ],
    },
    lines: [
      "flows[0] column 13: expected zone= or in_port() in the match, to say where the packets " +
        "come from, found none",
      "flows[1] column 9: expected zone= or in_port() in the match, to say where the packets " +
        "come from, found none",
      "flows[2] column 13: expected zone= or in_port() in the match, to say where the packets " +
        "come from, found none",
      "flows[3] column 40: expected zone= in the match, to say where the packets come from, found none",
    ],
  },
  {
    title: "an output of another zone",
    changes: { flows: [`actions=${NAT},output(lan)`, "in_port(1) actions=output(wan)"] },
    lines: [
      'flows[0] column 62: expected a device of zone 20, found "lan" of zone 10',
      'flows[1] column 27: expected a device of zone 10, found "wan" of zone 20',
    ],
  },
  {
    title: "a masquerade pool of another zone, and addresses that are none of a host",
    changes: {
      pools: [{ name: "p1", zone: 20, addresses: ["203.0.113.7"] }],
      flows: [
        "actions=nat(src_zone=20,dst_zone=10,masq=p1)",
        "udp actions=nat(src_zone=10,dst_zone=20,masq=239.0.0.1)",
      ],
    },
    lines: [
      'flows[0] column 42: expected a pool of zone 10, found "p1", a pool of zone 20',
      'flows[1] column 46: expected addresses that hosts may have, found "239.0.0.1"',
    ],
  },
  {
    title: "a flow twice, however it is written",
    changes: { flows: ["in_port(1),tcp actions=drop", "TCP in_port=lan actions=reject"] },
    lines: [
      "flows[1]: expected a match that no other flow of its priority has, found that of flows[0]",
    ],
  },
]);

t.test("every error of a document is named, whatever else is wrong", async (t) => {
  const document = changed(example(), {
    versoin: 1,
    "zones[2].limits": { conns: -1 },
    "devices[0].interface": 7,
    "devices[1].addresses": ["192.168.0.1/40"],
    "routes[0].to": "0.0.0.0",
    "pools[0].addresses[1]": "203.0.113.6-203.0.113.8",
    "nat[0].to": "nowhere",
    "flows[0]": "in_port(1),udp,tp_dst=99999 actions=drop",
    "flows[1]": "in_port(1),in_port(2) actions=drop",
    "timeouts.icmp": null,
  });
  t.same(problemsOf(document), [
    "zones[2].limits.conns: expected a number of conns from 1 to 4294967295, found -1",
    "devices[0].interface: expected an interface name, found 7",
    "timeouts.icmp: expected a number of seconds from 1 to 1000000, found null",
    'versoin: expected a known key (did you mean "version"?), found "versoin"',
    'devices[1].addresses[0]: expected an IPv4 address with its prefix, as "192.168.0.1/24", ' +
      'found "192.168.0.1/40"',
    "pools[0].addresses[0]: expected addresses that the pool does not have already, " +
      'found "203.0.113.7", while pools[0].addresses[1] is 203.0.113.6-203.0.113.8',
    'routes[0].to: expected a prefix without host bits, as "10.0.0.0/8", found "0.0.0.0"',
    'flows[0] column 23: expected a port from 0 to 65535 or an ascending range a-b, found "99999"',
    'flows[1] column 12: expected every field once, found "in_port" again',
    'nat[0].to: expected a zone of this configuration, found "nowhere"',
  ]);
});

refusals("pool addresses that are somebody else's", example, [
  {
    title: "the network's own two, and the next hop",
    changes: {
      forwards: [],
      "pools[0].addresses": ["203.0.113.0", "203.0.113.1", "203.0.113.255"],
    },
    lines: [
      "203.0.113.0, the network of device wan",
      "203.0.113.255, the broadcast address of device wan",
      "203.0.113.1, a static neighbor",
    ].map((found) => `pools[0].addresses: expected addresses that nobody else has, found ${found}`),
  },
  {
    title: "the device's own is fine",
    changes: { forwards: [], "pools[0].addresses": ["203.0.113.2"] },
    lines: [],
  },
]);
