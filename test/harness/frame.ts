/**
 * Frames for tests: built field by field, so that any of them can be wrong on purpose, and read back with
 * every checksum judged. Written apart from the datapath, as a second opinion of the RFCs.
 */

import { formatAddress, parseAddress } from "../../host/config/address.js";

/** An address as text or as a number. */
export type Address = string | number;

export const Protocol = { Icmp: 1, Tcp: 6, Udp: 17, Gre: 47, Sctp: 132 } as const;
export const TcpFlags = { Fin: 1, Syn: 2, Rst: 4, Psh: 8, Ack: 16 } as const;

export function numberOf(address: Address): number {
  const number = typeof address === "number" ? address : parseAddress(address);
  if (number === undefined) throw new Error(`not an address: ${address}`);
  return number;
}

export function macOf(text: string): Buffer {
  return Buffer.from(text.replaceAll(":", ""), "hex");
}

const NOTHING = new Uint8Array();

/** RFC 1071. 0 over bytes that hold their own checksum. */
export function checksum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let i = 0; i < bytes.length; i++) sum += (bytes[i] as number) << (i % 2 === 0 ? 8 : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return ~sum & 0xffff;
}

function pseudo(source: number, destination: number, protocol: number, bytes: number): number {
  const halves = (address: number) => (address >>> 16) + (address & 0xffff);
  return halves(source) + halves(destination) + protocol + bytes;
}

/** What an IPv4 packet carries: builds itself for the addresses that its pseudo-header needs. */
export interface Payload {
  readonly protocol: number;
  bytes(source: number, destination: number): Buffer;
}

export interface Ports {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export function dataOf(data: string | number | Uint8Array | undefined): Buffer {
  if (typeof data === "number") return Buffer.alloc(data, 0x61);
  return Buffer.from(data ?? "");
}

export interface UdpExtras {
  readonly data?: string | number | Uint8Array;
  /** None, or the sum of the pseudo-header, as a sender leaves it to its card. */
  readonly checksum?: 0 | "pseudo";
  readonly length?: number;
}

/** `data` as text, as bytes, or as how many. */
export function udp(fields: Ports & UdpExtras): Payload {
  const data = dataOf(fields.data);
  return {
    protocol: Protocol.Udp,
    bytes(source, destination) {
      const udp = Buffer.alloc(8);
      udp.writeUInt16BE(fields.sourcePort, 0);
      udp.writeUInt16BE(fields.destinationPort, 2);
      udp.writeUInt16BE(fields.length ?? 8 + data.length, 4);
      const message = Buffer.concat([udp, data]);
      if (fields.checksum === 0) return message;
      const start = pseudo(source, destination, Protocol.Udp, message.length);
      const isLeft = fields.checksum === "pseudo";
      const sum = isLeft ? ~checksum(NOTHING, start) & 0xffff : checksum(message, start) || 0xffff;
      message.writeUInt16BE(sum, 6);
      return message;
    },
  };
}

/** What may be said of a segment beside its ports and flags. */
export interface TcpExtras {
  readonly sequence?: number;
  readonly acknowledgment?: number;
  /** As it stands in the header, unscaled. */
  readonly window?: number;
  /** A multiple of four bytes. */
  readonly options?: Uint8Array;
  readonly data?: string | number | Uint8Array;
  readonly dataOffset?: number;
}

export function tcp(fields: Ports & TcpExtras & { flags: number }): Payload {
  const options = Buffer.from(fields.options ?? []);
  const data = dataOf(fields.data);
  return {
    protocol: Protocol.Tcp,
    bytes(source, destination) {
      const tcp = Buffer.alloc(20);
      tcp.writeUInt16BE(fields.sourcePort, 0);
      tcp.writeUInt16BE(fields.destinationPort, 2);
      tcp.writeUInt32BE(fields.sequence ?? 1000, 4);
      tcp.writeUInt32BE(fields.acknowledgment ?? 0, 8);
      tcp[12] = (fields.dataOffset ?? 5 + options.length / 4) << 4;
      tcp[13] = fields.flags;
      tcp.writeUInt16BE(fields.window ?? 65535, 14);
      const message = Buffer.concat([tcp, options, data]);
      const start = pseudo(source, destination, Protocol.Tcp, message.length);
      message.writeUInt16BE(checksum(message, start), 16);
      return message;
    },
  };
}

export function icmp(fields: {
  type: number;
  code?: number;
  identifier?: number;
  sequence?: number;
  data?: string | number | Uint8Array;
}): Payload {
  return {
    protocol: Protocol.Icmp,
    bytes() {
      const icmp = Buffer.alloc(8);
      icmp[0] = fields.type;
      icmp[1] = fields.code ?? 0;
      icmp.writeUInt16BE(fields.identifier ?? 0, 4);
      icmp.writeUInt16BE(fields.sequence ?? 0, 6);
      const message = Buffer.concat([icmp, dataOf(fields.data)]);
      message.writeUInt16BE(checksum(message), 2);
      return message;
    },
  };
}

export function echoRequest(identifier: number, sequence = 1, data = "ping"): Payload {
  return icmp({ type: 8, identifier, sequence, data });
}

export function echoReply(identifier: number, sequence = 1, data = "ping"): Payload {
  return icmp({ type: 0, identifier, sequence, data });
}

/**
 * An ICMP error that quotes a packet. `rest` is the header's last word: an MTU, a pointer. With `extension`
 * the quoted packet is padded to 32-bit words and the header says how many they are (RFC 4884).
 */
export function icmpError(fields: {
  type: number;
  code?: number;
  quoted: Uint8Array;
  rest?: number;
  extension?: Uint8Array;
  checksum?: number;
}): Payload {
  const { extension } = fields;
  const fill = extension === undefined ? 0 : -fields.quoted.length & 3;
  const quoted = Buffer.concat([fields.quoted, Buffer.alloc(fill)]);
  return {
    protocol: Protocol.Icmp,
    bytes() {
      const header = Buffer.alloc(8);
      header[0] = fields.type;
      header[1] = fields.code ?? 0;
      header.writeUInt32BE(fields.rest ?? 0, 4);
      if (extension !== undefined) header[5] = quoted.length / 4;
      const message = Buffer.concat([header, quoted, extension ?? Buffer.alloc(0)]);
      message.writeUInt16BE(fields.checksum ?? checksum(message), 2);
      return message;
    },
  };
}

/** The IPv4 packet of a frame. */
export function packetOf(sent: {
  readonly bytes: Buffer;
  readonly vlans: readonly number[];
}): Buffer {
  return Buffer.from(sent.bytes.subarray(14 + 4 * sent.vlans.length));
}

/** A packet as it looks so many hops on: its TTL counted down, its header's checksum right. */
export function hopped(packet: Uint8Array, hops = 1): Buffer {
  const later = Buffer.from(packet);
  later[8] = (later[8] as number) - hops;
  return mended(later);
}

/** A copy whose IPv4 header has the right checksum, as far as there is a header. */
export function mended(packet: Uint8Array): Buffer {
  const right = Buffer.from(packet);
  const header = ((right[0] ?? 0) & 15) * 4;
  if (header < 20 || header > right.length) return right;
  right.writeUInt16BE(0, 10);
  right.writeUInt16BE(checksum(right.subarray(0, header)), 10);
  return right;
}

/** Any other protocol. */
export function raw(protocol: number, data: string | number | Uint8Array): Payload {
  return { protocol, bytes: () => dataOf(data) };
}

export interface Ipv4Fields {
  readonly source: Address;
  readonly destination: Address;
  readonly payload: Payload;
  readonly ttl?: number;
  readonly tos?: number;
  readonly identification?: number;
  /** Flags and offset, as the field holds them. */
  readonly fragment?: number;
  /** A multiple of four bytes. */
  readonly options?: Uint8Array;
  readonly version?: number;
  readonly headerWords?: number;
  readonly totalBytes?: number;
  readonly checksum?: number;
}

export function ipv4Packet(fields: Ipv4Fields): Buffer {
  const source = numberOf(fields.source);
  const destination = numberOf(fields.destination);
  const options = Buffer.from(fields.options ?? []);
  const payload = fields.payload.bytes(source, destination);
  const header = Buffer.concat([Buffer.alloc(20), options]);
  header[0] = ((fields.version ?? 4) << 4) | (fields.headerWords ?? header.length / 4);
  header[1] = fields.tos ?? 0;
  header.writeUInt16BE(fields.totalBytes ?? header.length + payload.length, 2);
  header.writeUInt16BE(fields.identification ?? 1, 4);
  header.writeUInt16BE(fields.fragment ?? 0, 6);
  header[8] = fields.ttl ?? 64;
  header[9] = fields.payload.protocol;
  header.writeUInt32BE(source, 12);
  header.writeUInt32BE(destination, 16);
  header.writeUInt16BE(fields.checksum ?? checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** A packet that must not be fragmented: its identification stays as it is on its way (RFC 6864). */
export function atomicPacket(fields: Ipv4Fields): Buffer {
  return ipv4Packet({ fragment: 0x4000, ...fields });
}

export interface LinkFields {
  readonly to: string;
  readonly from: string;
  /** Outer first; a service tag outside where there are two. */
  readonly vlans?: readonly number[];
  readonly type?: number;
}

export function frame(link: LinkFields, body: Uint8Array): Buffer {
  const vlans = link.vlans ?? [];
  const tags = vlans.map((id, i) => {
    const tag = Buffer.alloc(4);
    tag.writeUInt16BE(vlans.length === 2 && i === 0 ? 0x88a8 : 0x8100, 0);
    tag.writeUInt16BE(id, 2);
    return tag;
  });
  const type = Buffer.alloc(2);
  type.writeUInt16BE(link.type ?? 0x0800);
  return Buffer.concat([macOf(link.to), macOf(link.from), ...tags, type, body]);
}

/** A whole IPv4 frame. */
export function packetFrame(fields: LinkFields & Ipv4Fields): Buffer {
  return frame(fields, ipv4Packet(fields));
}

export interface ArpFields {
  readonly operation: 1 | 2;
  readonly senderMac: string;
  readonly sender: Address;
  readonly targetMac?: string;
  readonly target: Address;
}

export function arpBody(fields: ArpFields): Buffer {
  const body = Buffer.alloc(28);
  body.write("000108000604", "hex");
  body.writeUInt16BE(fields.operation, 6);
  macOf(fields.senderMac).copy(body, 8);
  body.writeUInt32BE(numberOf(fields.sender), 14);
  macOf(fields.targetMac ?? "00:00:00:00:00:00").copy(body, 18);
  body.writeUInt32BE(numberOf(fields.target), 24);
  return body;
}

/** An ARP frame: a request to everybody, a reply to its target. */
export function arpFrame(fields: ArpFields & { vlans?: readonly number[] }): Buffer {
  const to = fields.operation === 1 ? "ff:ff:ff:ff:ff:ff" : (fields.targetMac ?? "");
  const link = { to, from: fields.senderMac, type: 0x0806 };
  return frame(fields.vlans ? { ...link, vlans: fields.vlans } : link, arpBody(fields));
}

/** A frame as it was read. */
export interface Seen {
  readonly to: string;
  readonly from: string;
  readonly vlans: readonly number[];
  readonly type: number;
  readonly arp?: { operation: number; senderMac: string; sender: string; target: string };
  readonly ip?: SeenIp;
}

export interface SeenIp {
  readonly source: string;
  readonly destination: string;
  readonly ttl: number;
  readonly protocol: number;
  readonly totalBytes: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** Bytes. */
  readonly fragmentOffset: number;
  /** Behind the header's first 20 bytes. */
  readonly options: Buffer;
  /** 0 in a fragment that is not the first. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** ICMP's, where it is ICMP. */
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly identifier: number;
  /** What stands behind the transport header. */
  readonly data: Buffer;
  /** Everything behind the IPv4 header. */
  readonly payload: Buffer;
  /**
   * The header's checksum is right; every checksum that the packet has is right. That of a datagram in
   * pieces only shows when they are put together (fragments.ts).
   */
  readonly headerSound: boolean;
  readonly sound: boolean;
}

export function readFrame(bytes: Uint8Array): Seen {
  const frame = Buffer.from(bytes);
  const vlans: number[] = [];
  let at = 12;
  while (frame.readUInt16BE(at) === 0x8100 || frame.readUInt16BE(at) === 0x88a8) {
    vlans.push(frame.readUInt16BE(at + 2) & 0xfff);
    at += 4;
  }
  const type = frame.readUInt16BE(at);
  const body = frame.subarray(at + 2);
  const seen = { to: macText(frame, 0), from: macText(frame, 6), vlans, type };
  if (type === 0x0806) {
    const arp = {
      operation: body.readUInt16BE(6),
      senderMac: macText(body, 8),
      sender: formatAddress(body.readUInt32BE(14)),
      target: formatAddress(body.readUInt32BE(24)),
    };
    return { ...seen, arp };
  }
  return type === 0x0800 ? { ...seen, ip: readIp(body) } : seen;
}

export function macText(bytes: Buffer, at: number): string {
  return (bytes.toString("hex", at, at + 6).match(/../g) ?? []).join(":");
}

function readIp(body: Buffer): SeenIp {
  const headerBytes = ((body[0] as number) & 15) * 4;
  const totalBytes = body.readUInt16BE(2);
  const protocol = body[9] as number;
  const payload = body.subarray(headerBytes, totalBytes);
  const source = body.readUInt32BE(12);
  const destination = body.readUInt32BE(16);
  const fragment = body.readUInt16BE(6);
  const fragmentOffset = (fragment & 0x1fff) * 8;
  const moreFragments = (fragment & 0x2000) !== 0;
  const isFragment = moreFragments || fragmentOffset > 0;
  const isPorted = protocol === Protocol.Tcp || protocol === Protocol.Udp;
  const ported = fragmentOffset === 0 && isPorted;
  const isIcmp = fragmentOffset === 0 && protocol === Protocol.Icmp;
  const start = isIcmp ? 0 : pseudo(source, destination, protocol, payload.length);
  const unchecked = ported && protocol === Protocol.Udp && payload.readUInt16BE(6) === 0;
  const summed = !isFragment && (ported || isIcmp) && !unchecked;
  const tcpBytes = ported && protocol === Protocol.Tcp ? ((payload[12] as number) >> 4) * 4 : 8;
  const headerSound = checksum(body.subarray(0, headerBytes)) === 0;
  return {
    source: formatAddress(source),
    destination: formatAddress(destination),
    ttl: body[8] as number,
    protocol,
    totalBytes,
    identification: body.readUInt16BE(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments,
    fragmentOffset,
    options: body.subarray(20, headerBytes),
    sourcePort: ported ? payload.readUInt16BE(0) : 0,
    destinationPort: ported ? payload.readUInt16BE(2) : 0,
    icmpType: isIcmp ? (payload[0] as number) : -1,
    icmpCode: isIcmp ? (payload[1] as number) : -1,
    identifier: isIcmp ? payload.readUInt16BE(4) : 0,
    data: payload.subarray(ported ? tcpBytes : isIcmp ? 8 : 0),
    payload,
    headerSound,
    sound: headerSound && (!summed || checksum(payload, start) === 0),
  };
}
