/**
 * Frames as a host writes and reads them: Ethernet, ARP, IPv4, ICMP echo, UDP, TCP. Made for the simulated
 * hosts of the demo, so it shares nothing with the datapath that it shows; no options, no fragments.
 */

export const ETHER_IPV4 = 0x0800;
export const ETHER_ARP = 0x0806;
export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** RFC 9293 section 3.1 */
export const Flag = { Fin: 1, Syn: 2, Psh: 8, Ack: 16 } as const;

/** MACs are 12 hexadecimal digits. */
export interface Frame {
  to: string;
  from: string;
  type: number;
  body: Buffer;
}

export interface Arp {
  operation: number;
  mac: string;
  address: number;
  wanted: number;
}

/** Ports of an ICMP echo: its identifier as the source's, its sequence number as the destination's. */
export interface Packet {
  protocol: number;
  source: number;
  destination: number;
  sourcePort: number;
  destinationPort: number;
  /** ICMP's type, TCP's flags. */
  kind: number;
  sequence: number;
  acknowledged: number;
  data: Buffer;
}

const IP_BYTES = 20;
const HEADER_BYTES = new Map([
  [ICMP, 8],
  [UDP, 8],
  [TCP, 20],
]);

/** RFC 1071. Zero over a message that holds its own checksum. */
function checksum(bytes: Buffer, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i++) sum += (bytes[i] ?? 0) << (i % 2 === 0 ? 8 : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function pseudoHeader({ source, destination, protocol }: Packet, bytes: number): number {
  const halves = (address: number) => (address >>> 16) + (address & 0xffff);
  return halves(source) + halves(destination) + protocol + bytes;
}

export function writeFrame({ to, from, type, body }: Frame): Buffer {
  const header = Buffer.from(`${to}${from}${type.toString(16).padStart(4, "0")}`, "hex");
  return Buffer.concat([header, body]);
}

export function readFrame(bytes: Uint8Array): Frame {
  const frame = Buffer.from(bytes);
  return {
    to: frame.toString("hex", 0, 6),
    from: frame.toString("hex", 6, 12),
    type: frame.readUInt16BE(12),
    body: frame.subarray(14),
  };
}

/** RFC 826, for IPv4 over Ethernet. */
export function writeArp({ operation, mac, address, wanted }: Arp): Buffer {
  const body = Buffer.alloc(28);
  body.write("000108000604", "hex");
  body.writeUInt16BE(operation, 6);
  body.write(mac, 8, "hex");
  body.writeUInt32BE(address, 14);
  body.writeUInt32BE(wanted, 24);
  return body;
}

export function readArp(body: Buffer): Arp {
  return {
    operation: body.readUInt16BE(6),
    mac: body.toString("hex", 8, 14),
    address: body.readUInt32BE(14),
    wanted: body.readUInt32BE(24),
  };
}

export function writePacket(packet: Packet): Buffer {
  const above = transport(packet);
  const ip = Buffer.alloc(IP_BYTES);
  ip[0] = 0x45;
  ip.writeUInt16BE(IP_BYTES + above.length, 2);
  ip[8] = 64;
  ip[9] = packet.protocol;
  ip.writeUInt32BE(packet.source, 12);
  ip.writeUInt32BE(packet.destination, 16);
  ip.writeUInt16BE(checksum(ip), 10);
  return Buffer.concat([ip, above]);
}

function transport(packet: Packet): Buffer {
  const { protocol, kind, sourcePort, destinationPort, data } = packet;
  const header = Buffer.alloc(HEADER_BYTES.get(protocol) ?? 0);
  if (protocol === ICMP) {
    header[0] = kind;
    header.writeUInt16BE(sourcePort, 4);
    header.writeUInt16BE(destinationPort, 6);
  } else {
    header.writeUInt16BE(sourcePort, 0);
    header.writeUInt16BE(destinationPort, 2);
  }
  if (protocol === UDP) header.writeUInt16BE(header.length + data.length, 4);
  if (protocol === TCP) {
    header.writeUInt32BE(packet.sequence, 4);
    header.writeUInt32BE(packet.acknowledged, 8);
    header[12] = 0x50;
    header[13] = kind;
    header.writeUInt16BE(0xffff, 14);
  }
  const message = Buffer.concat([header, data]);
  const start = protocol === ICMP ? 0 : pseudoHeader(packet, message.length);
  const sumAt = protocol === TCP ? 16 : protocol === UDP ? 6 : 2;
  message.writeUInt16BE(checksum(message, start), sumAt);
  return message;
}

/** Undefined for what a host would not take: another protocol, or a wrong checksum. */
export function readPacket(body: Buffer): Packet | undefined {
  const ip = body.subarray(0, body.readUInt16BE(2));
  const protocol = ip[9] ?? 0;
  const headerBytes = HEADER_BYTES.get(protocol);
  if (headerBytes === undefined) return undefined;
  const message = ip.subarray(((ip[0] ?? 0) & 15) * 4);
  const ports = protocol === ICMP ? 4 : 0;
  const packet: Packet = {
    protocol,
    source: ip.readUInt32BE(12),
    destination: ip.readUInt32BE(16),
    sourcePort: message.readUInt16BE(ports),
    destinationPort: message.readUInt16BE(ports + 2),
    kind: message[protocol === TCP ? 13 : 0] ?? 0,
    sequence: protocol === TCP ? message.readUInt32BE(4) : 0,
    acknowledged: protocol === TCP ? message.readUInt32BE(8) : 0,
    data: message.subarray(protocol === TCP ? ((message[12] ?? 0) >> 4) * 4 : headerBytes),
  };
  const start = protocol === ICMP ? 0 : pseudoHeader(packet, message.length);
  const right = checksum(ip.subarray(0, IP_BYTES)) === 0 && checksum(message, start) === 0;
  return right ? packet : undefined;
}
