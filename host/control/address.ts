/**
 * IP addresses as a listener and a peer have them: text to bytes and back. An IPv4 address that comes in
 * through an IPv6 socket (RFC 4291 section 2.5.5.2, `::ffff:192.0.2.1`) is the IPv4 address.
 */
import { isIPv4, isIPv6 } from "node:net";

const V4_MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** 4 or 16 bytes; undefined of what is no address. A zone (`%eth0`) is passed over. */
export function ipBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  const plain = text.replace(/%.*$/, "");
  if (!isIPv6(plain)) return undefined;
  return unmapped(Uint8Array.from(groups(plain).flatMap((group) => [group >> 8, group & 0xff])));
}

/** The eight groups of a valid IPv6 address. */
function groups(text: string): number[] {
  const tail = /[\d.]+$/.exec(text)?.[0] ?? "";
  const [a = 0, b = 0, c = 0, d = 0] = isIPv4(tail) ? tail.split(".").map(Number) : [];
  const pure = isIPv4(tail)
    ? `${text.slice(0, -tail.length)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
    : text;
  const [left = [], right] = pure
    .split("::")
    .map((half) => (half === "" ? [] : half.split(":").map((group) => Number.parseInt(group, 16))));
  if (right === undefined) return left;
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function unmapped(bytes: Uint8Array): Uint8Array {
  return V4_MAPPED.every((byte, at) => bytes[at] === byte) ? bytes.subarray(12) : bytes;
}

/** As RFC 5952 writes it. `bytes` are 4 or 16. */
export function ipText(bytes: Uint8Array): string {
  const plain = bytes.length === 16 ? unmapped(bytes) : bytes;
  if (plain.length === 4) return plain.join(".");
  const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
  const text = Array.from({ length: 8 }, (_, at) => view.getUint16(at * 2).toString(16)).join(":");
  // The URL standard's serializer is RFC 5952's.
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

export function isLoopback(bytes: Uint8Array): boolean {
  if (bytes.length === 4) return bytes[0] === 127;
  return bytes.every((byte, at) => byte === (at === 15 ? 1 : 0));
}

/** 0.0.0.0 or ::, all of the machine's addresses. */
export function isUnspecified(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/**
 * What limits per peer count by: an IPv4 address, or the 64 bits of an IPv6 address that name a network,
 * since a host makes up the other 64 as it likes (RFC 8981).
 */
export function peerKey(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  return `${Buffer.from(bytes.subarray(0, 8)).toString("hex")}/64`;
}

/** `192.0.2.1:8090`, `[2001:db8::1]:8090` */
export function endpointText(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
