/** Hosts around a Router, and the edge that most tests begin with: two tenants, one server, one address. */

import { hear, speak } from "./conversation.js";
import {
  type Address,
  type ArpFields,
  arpFrame,
  echoReply,
  echoRequest,
  frame,
  type Ipv4Fields,
  ipv4Packet,
  numberOf,
  type Payload,
  type TcpExtras,
  TcpFlags,
  tcp,
  udp,
} from "./frame.js";
import { type Document, macIn, type Router, type Sent } from "./router.js";

type Extras = Partial<Omit<Ipv4Fields, "destination" | "payload">>;

export const EXTERNAL = "203.0.113.7";
export const SERVER = "203.0.113.99";
export const TENANT = "192.168.0.10";

/** Two tenants with equal addresses on one trunk, a public device, one external address. */
export function edge(changes: Document = {}): Document {
  return {
    version: 1,
    zones: [
      { id: 10, name: "a" },
      { id: 11, name: "b" },
      { id: 20, name: "public" },
    ],
    devices: [
      { name: "lan-a", zone: "a", interface: "eth1", vlan: 10, addresses: ["192.168.0.1/24"] },
      { name: "lan-b", zone: "b", interface: "eth1", vlan: 11, addresses: ["192.168.0.1/24"] },
      { name: "wan", zone: "public", interface: "eth0", addresses: ["203.0.113.2/24"] },
    ],
    routes: [{ zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" }],
    neighbors: [
      staticNeighbor("a", 10, TENANT),
      staticNeighbor("b", 11, TENANT),
      staticNeighbor("public", 20, SERVER),
      staticNeighbor("public", 20, "203.0.113.1"),
    ],
    pools: [{ name: "p1", zone: "public", addresses: [EXTERNAL] }],
    nat: [{ from: ["a", "b"], to: "public", pool: "p1" }],
    capacity: { conns: 1024, neighbors: 256, poolAddresses: 16, imageBytes: 65536 },
    ...changes,
  };
}

/** The edge without anything that translates: flows are the test's. */
export function bareEdge(flows: readonly string[], changes: Document = {}): Document {
  return edge({ nat: [], flows, ...changes });
}

/** The entry that tells the router a host's MAC. */
export function staticNeighbor(zone: string, id: number, address: string): Document {
  return { zone, address, mac: macIn(id, numberOf(address)) };
}

/** A host on the link of a device. Sends to the router's MAC, with the device's tags. */
export class Host {
  readonly mac: string;
  private readonly vlans: readonly number[];

  constructor(
    readonly router: Router,
    readonly device: string,
    readonly address: string,
  ) {
    const { zone, vlan } = router.device(device);
    this.mac = macIn(zone.id, numberOf(address));
    this.vlans = [vlan?.outer, vlan?.inner].filter((id) => id !== undefined);
  }

  frame(destination: Address, payload: Payload, extras: Extras = {}): Buffer {
    const packet = ipv4Packet({ source: this.address, destination, payload, ...extras });
    return this.frameOf(packet);
  }

  /** Any packet as a frame to the router. */
  frameOf(packet: Uint8Array, type = 0x0800): Buffer {
    const to = this.router.macOf(this.device);
    return frame({ to, from: this.mac, vlans: this.vlans, type }, packet);
  }

  send(destination: Address, payload: Payload, extras: Extras = {}): Sent[] {
    return this.heard(this.router.send(this.device, this.frame(destination, payload, extras)));
  }

  private heard(sent: Sent[]): Sent[] {
    hear(this.router, sent);
    return sent;
  }

  sendPacket(packet: Uint8Array): Sent[] {
    const sent = this.router.send(this.device, this.frameOf(packet));
    hear(this.router, sent);
    return sent;
  }

  udp(
    destination: Address,
    sourcePort: number,
    destinationPort: number,
    data = "data",
    extras: Extras = {},
  ): Sent[] {
    return this.send(destination, udp({ sourcePort, destinationPort, data }), extras);
  }

  /** A segment whose numbers are those that this host would send now, where `segment` names no others. */
  tcp(
    destination: Address,
    sourcePort: number,
    destinationPort: number,
    flags: number,
    segment: TcpExtras = {},
    extras: Extras = {},
  ): Sent[] {
    const payload = this.segment(destination, sourcePort, destinationPort, flags, segment, extras);
    return this.send(destination, payload, extras);
  }

  /** The same as a payload. */
  segment(
    destination: Address,
    sourcePort: number,
    destinationPort: number,
    flags: number,
    segment: TcpExtras = {},
    extras: Extras = {},
  ): Payload {
    const place = {
      address: extras.source ?? this.address,
      port: sourcePort,
      peer: destination,
      peerPort: destinationPort,
    };
    const zone = this.router.device(this.device).zone.id;
    const said = speak(this.router, zone, place, flags, segment);
    return tcp({ sourcePort, destinationPort, flags, ...said });
  }

  ping(destination: Address, identifier: number, data = "ping"): Sent[] {
    return this.send(destination, echoRequest(identifier, 1, data));
  }

  /** Answers a packet that came to this host, from where it was sent to. */
  answer(sent: Sent | undefined, extras: Extras = {}): Sent[] {
    const { ip } = sent ?? {};
    if (ip === undefined) throw new Error("nothing to answer");
    const from = { source: ip.destination, ...extras };
    if (ip.protocol !== 6) return this.send(ip.source, replyTo(ip), from);
    const flags = TcpFlags.Syn | TcpFlags.Ack;
    return this.tcp(ip.source, ip.destinationPort, ip.sourcePort, flags, {}, from);
  }

  arp(fields: Partial<ArpFields> & { target: Address }): Buffer {
    const vlans = this.vlans;
    return arpFrame({ operation: 1, senderMac: this.mac, sender: this.address, vlans, ...fields });
  }

  /** Asks who has an address. */
  ask(target: Address): Sent[] {
    return this.router.send(this.device, this.arp({ target }));
  }

  /** Answers the router's question for this host's address. */
  answerArp(target: Address): Sent[] {
    const targetMac = this.router.macOf(this.device);
    return this.heard(this.router.send(this.device, this.arp({ operation: 2, target, targetMac })));
  }
}

function replyTo(ip: NonNullable<Sent["ip"]>): Payload {
  const ports = { sourcePort: ip.destinationPort, destinationPort: ip.sourcePort };
  if (ip.protocol === 17) return udp({ ...ports, data: "answer" });
  if (ip.protocol === 1) return echoReply(ip.identifier, 1, ip.data.toString("latin1"));
  return { protocol: ip.protocol, bytes: () => ip.payload };
}

/** Tenants a and b and the server of `edge`. */
export function around(router: Router) {
  return {
    a: new Host(router, "lan-a", TENANT),
    b: new Host(router, "lan-b", TENANT),
    server: new Host(router, "wan", SERVER),
  };
}
