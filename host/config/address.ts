/**
 * Addresses as text: IPv4 addresses, prefixes, ranges, MACs and port ranges, read strictly (RFC 6943
 * section 3.1.1: one text, one address; no leading zeros, no short forms). Addresses are unsigned
 * 32-bit numbers in host order, MACs 48-bit numbers. A parser gives undefined for what it does not
 * accept; the caller knows the path.
 */

/** An address and how many of its leading bits are meant. */
export interface Prefix {
  readonly address: number;
  readonly length: number;
}

/** Both ends included. */
export interface AddressRange {
  readonly first: number;
  readonly last: number;
}

/** Both ends included. */
export interface PortRange {
  readonly low: number;
  readonly high: number;
}

const DECIMAL = /^(?:0|[1-9][0-9]*)$/;

/** A decimal number without leading zeros. */
export function parseDecimal(text: string, max: number): number | undefined {
  if (text.length > 15 || !DECIMAL.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

/** `192.168.0.10` */
export function parseAddress(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let address = 0;
  for (const part of parts) {
    const byte = parseDecimal(part, 255);
    if (byte === undefined) return undefined;
    address = address * 256 + byte;
  }
  return address;
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}

/** The leading bits of a prefix, as an unsigned number. */
export function prefixMask(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
}

/** The addresses of a prefix, whether or not its address has host bits. */
export function prefixRange(prefix: Prefix): AddressRange {
  const mask = prefixMask(prefix.length);
  const first = (prefix.address & mask) >>> 0;
  return { first, last: (first | ~mask) >>> 0 };
}

/** `192.168.0.1/24`: a device's address, which keeps its host bits. */
export function parseInterfaceAddress(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const length = parseDecimal(text.slice(slash + 1), 32);
  return address === undefined || length === undefined ? undefined : { address, length };
}

/** `192.168.0.0/24`: the bits behind the prefix are zero. */
export function parsePrefix(text: string): Prefix | undefined {
  const prefix = parseInterfaceAddress(text);
  return prefix !== undefined && prefixRange(prefix).first === prefix.address ? prefix : undefined;
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.address)}/${prefix.length}`;
}

/** `203.0.113.7-203.0.113.9`, ascending. */
export function parseRange(text: string): AddressRange | undefined {
  const dash = text.indexOf("-");
  if (dash < 0) return undefined;
  const first = parseAddress(text.slice(0, dash));
  const last = parseAddress(text.slice(dash + 1));
  return first !== undefined && last !== undefined && first <= last ? { first, last } : undefined;
}

export function formatRange(range: AddressRange): string {
  return `${formatAddress(range.first)}-${formatAddress(range.last)}`;
}

/** Addresses of a pool: an address, a prefix without host bits, or a range. */
export function parseAddresses(text: string): AddressRange | undefined {
  if (text.includes("-")) return parseRange(text);
  if (text.includes("/")) {
    const prefix = parsePrefix(text);
    return prefix === undefined ? undefined : prefixRange(prefix);
  }
  const address = parseAddress(text);
  return address === undefined ? undefined : { first: address, last: address };
}

/** What no host may have as its address (RFC 1812 section 5.3.7): 0/8, 127/8, multicast and above. */
const NOT_UNICAST: readonly AddressRange[] = [
  { first: 0x00000000, last: 0x00ffffff },
  { first: 0x7f000000, last: 0x7fffffff },
  { first: 0xe0000000, last: 0xffffffff },
];

/** Whether every address of the range is one that a host may have. */
export function isUnicast(range: AddressRange): boolean {
  return NOT_UNICAST.every((bad) => range.last < bad.first || range.first > bad.last);
}

export function isUnicastAddress(address: number): boolean {
  return isUnicast({ first: address, last: address });
}

/** `80` or `1024-65535`, each 1 to 65535 (or from `min`). */
export function parsePorts(text: string, min = 1): PortRange | undefined {
  const [lowText = "", highText, ...rest] = text.split("-");
  const low = parseDecimal(lowText, 65535);
  const high = highText === undefined ? low : parseDecimal(highText, 65535);
  if (rest.length > 0 || low === undefined || high === undefined) return undefined;
  return low >= min && low <= high ? { low, high } : undefined;
}

export function formatPorts(ports: PortRange): string {
  return ports.low === ports.high ? `${ports.low}` : `${ports.low}-${ports.high}`;
}

const MAC = /^[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}$/;

/** `02:00:5e:00:00:01` */
export function parseMac(text: string): number | undefined {
  return MAC.test(text) ? Number.parseInt(text.replaceAll(":", ""), 16) : undefined;
}

export function formatMac(mac: number): string {
  return [...macBytes(mac)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** The six bytes of a MAC, in the order in which they are sent. */
export function macBytes(mac: number): Uint8Array {
  const bytes = new Uint8Array(6);
  let rest = mac;
  for (let at = 5; at >= 0; at--) {
    bytes[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

export function macFromBytes(bytes: Uint8Array): number {
  return bytes.reduce((mac, byte) => mac * 256 + byte, 0);
}

/** IEEE 802: the lowest bit of the first byte marks a group. */
export function isUnicastMac(mac: number): boolean {
  return mac !== 0 && ((macBytes(mac)[0] ?? 0) & 1) === 0;
}
