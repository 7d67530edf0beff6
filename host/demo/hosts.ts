/** Simulated hosts: just enough of a stack to ask, and to answer, as a tenant and a server would. */
import { formatAddress, parseAddress } from "../config/address.js";
import type { Answer, Probe, Report } from "./endpoint.js";
import {
  ARP_REPLY,
  ARP_REQUEST,
  ETHER_ARP,
  ETHER_IPV4,
  Flag,
  ICMP,
  type Packet,
  readArp,
  readFrame,
  readPacket,
  TCP,
  UDP,
  writeArp,
  writeFrame,
  writePacket,
} from "./frames.js";
import {
  ECHO_IDENTIFIER,
  SERVER,
  SERVER_PORT,
  TCP_SOURCE_PORT,
  TENANT_ADDRESS,
  TENANT_GATEWAY,
  type Tenant,
  UDP_SOURCE_PORT,
  words,
} from "./scenario.js";

const BROADCAST = "ffffffffffff";
const NOBODY = "000000000000";
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const PINGS = 3;

function address(text: string): number {
  return parseAddress(text) ?? 0;
}

/** Answers for its addresses, asks for its gateway, and leaves the rest to those who extend it. */
abstract class Host {
  /** Frames on their way out. */
  readonly sent: Buffer[] = [];
  private gatewayMac: string | undefined;
  private readonly waiting: Packet[] = [];

  constructor(
    private readonly mac: string,
    /** The first is the one it asks from. */
    private readonly addresses: number[],
    private readonly gateway: number,
  ) {}

  protected abstract take(packet: Packet): void;

  receive(bytes: Uint8Array): void {
    const { to, from, type, body } = readFrame(bytes);
    if (to !== this.mac && to !== BROADCAST) return;
    if (type === ETHER_ARP) this.takeArp(body);
    if (type !== ETHER_IPV4) return;
    this.gatewayMac = from;
    const packet = readPacket(body);
    if (packet !== undefined && this.addresses.includes(packet.destination)) this.take(packet);
  }

  protected send(packet: Packet): void {
    if (this.gatewayMac === undefined) {
      this.waiting.push(packet);
      if (this.waiting.length === 1) this.sendArp(ARP_REQUEST, this.gateway, BROADCAST);
      return;
    }
    const body = writePacket(packet);
    this.sent.push(writeFrame({ to: this.gatewayMac, from: this.mac, type: ETHER_IPV4, body }));
  }

  private takeArp(body: Buffer): void {
    const arp = readArp(body);
    if (arp.operation === ARP_REQUEST && this.addresses.includes(arp.wanted)) {
      this.sendArp(ARP_REPLY, arp.address, arp.mac, arp.wanted);
    }
    if (arp.address !== this.gateway || arp.mac === NOBODY) return;
    this.gatewayMac = arp.mac;
    for (const packet of this.waiting.splice(0)) this.send(packet);
  }

  private sendArp(operation: number, wanted: number, to: string, own = this.addresses[0] ?? 0) {
    const body = writeArp({ operation, mac: this.mac, address: own, wanted });
    if (operation === ARP_REPLY) body.write(to, 18, "hex");
    this.sent.push(writeFrame({ to, from: this.mac, type: ETHER_ARP, body }));
  }
}

/** The next segment of a conversation whose ends remember nothing but the other's last segment. */
function answer(to: Packet, kind: number, data: Buffer): Packet {
  const taken = to.data.length + ((to.kind & (Flag.Syn | Flag.Fin)) === 0 ? 0 : 1);
  const tcp = to.protocol === TCP;
  const echo = to.protocol === ICMP;
  return {
    protocol: to.protocol,
    source: to.destination,
    destination: to.source,
    sourcePort: echo ? to.sourcePort : to.destinationPort,
    destinationPort: echo ? to.destinationPort : to.sourcePort,
    kind,
    sequence: to.acknowledged,
    acknowledged: tcp ? (to.sequence + taken) >>> 0 : 0,
    data,
  };
}

const NOTHING = Buffer.alloc(0);

/** Echoes, and says whom it took the sender for, as endpoint.ts does. */
export class ServerHost extends Host {
  readonly echoes: Report = [];

  constructor(nextHop: string, gateway: string) {
    super("020000000201", [address(nextHop), address(SERVER)], address(gateway));
  }

  protected take(packet: Packet): void {
    const { protocol, kind, data } = packet;
    const source = formatAddress(packet.source);
    const line = Buffer.from(`${source}:${packet.sourcePort}\n`);
    if (protocol === ICMP && kind === ECHO_REQUEST) {
      this.echoes.push({ source, text: data.toString() });
      this.send(answer(packet, ECHO_REPLY, data));
    } else if (protocol === UDP) {
      this.send(answer(packet, 0, Buffer.concat([line, data])));
    } else if (protocol === TCP) this.takeSegment(packet, line);
  }

  private takeSegment(packet: Packet, line: Buffer): void {
    if ((packet.kind & Flag.Syn) !== 0) this.send(answer(packet, Flag.Syn | Flag.Ack, NOTHING));
    else if (packet.data.length > 0) {
      this.send(answer(packet, Flag.Psh | Flag.Ack, Buffer.concat([line, packet.data])));
    } else if ((packet.kind & Flag.Fin) !== 0) {
      this.send(answer(packet, Flag.Fin | Flag.Ack, NOTHING));
    }
  }
}

export class TenantHost extends Host {
  readonly probe: Probe = { icmp: unanswered(), udp: unanswered(), tcp: unanswered() };
  private readonly text: Buffer;
  private readonly questions: (() => void)[] = [];
  private began = 0;

  constructor(
    readonly tenant: Tenant,
    private readonly clock: () => number,
  ) {
    super("020000000010", [address(TENANT_ADDRESS)], address(TENANT_GATEWAY));
    this.text = Buffer.from(words(tenant));
    for (let i = 1; i <= PINGS; i++) {
      this.questions.push(() => this.open(ICMP, ECHO_IDENTIFIER, i, ECHO_REQUEST, this.text));
    }
    this.questions.push(() => this.open(UDP, UDP_SOURCE_PORT, SERVER_PORT, 0, this.text));
    this.questions.push(() => this.open(TCP, TCP_SOURCE_PORT, SERVER_PORT, Flag.Syn, NOTHING));
  }

  /** Sends what it has to ask, one question after the other's answer. */
  ask(): void {
    this.began = this.clock();
    this.questions.shift()?.();
  }

  protected take(packet: Packet): void {
    const { protocol, kind, data } = packet;
    const ms = this.clock() - this.began;
    if (protocol === ICMP && kind === ECHO_REPLY) {
      this.probe.icmp = { ms: [...this.probe.icmp.ms, ms], own: data.equals(this.text) };
      this.ask();
    } else if (protocol === UDP) {
      this.probe.udp = { ms: [ms], ...this.judge(data) };
      this.ask();
    } else if (protocol === TCP) this.takeSegment(packet, ms);
  }

  /** The round trip is that of the handshake. */
  private takeSegment(packet: Packet, ms: number): void {
    const { kind, data } = packet;
    if ((kind & Flag.Syn) !== 0) {
      this.probe.tcp.ms.push(ms);
      this.send(answer(packet, Flag.Psh | Flag.Ack, this.text));
    } else if (data.length > 0) {
      this.probe.tcp = { ms: this.probe.tcp.ms, ...this.judge(data) };
      this.send(answer(packet, Flag.Fin | Flag.Ack, NOTHING));
    } else if ((kind & Flag.Fin) !== 0) this.send(answer(packet, Flag.Ack, NOTHING));
  }

  private open(protocol: number, from: number, to: number, kind: number, data: Buffer): void {
    this.send({
      protocol,
      source: address(TENANT_ADDRESS),
      destination: address(SERVER),
      sourcePort: from,
      destinationPort: to,
      kind,
      sequence: 1000,
      acknowledged: 0,
      data,
    });
  }

  private judge(answer: Buffer): Pick<Answer, "source" | "own"> {
    const end = answer.indexOf("\n");
    return {
      source: answer.toString("utf8", 0, end),
      own: answer.subarray(end + 1).equals(this.text),
    };
  }
}

function unanswered(): Answer {
  return { ms: [], own: false, error: "no answer" };
}
