/**
 * Echo requests without the `ping` program, which a fresh machine need not have, and a look at those
 * that arrive. Blocking calls: meant for a process that does nothing else meanwhile.
 */
import { formatAddress, parseAddress } from "../config/address.js";
import { check, libc, poll } from "../device/libc.js";

/** bits/socket.h, netinet/in.h, asm-generic/socket.h */
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const MSG_DONTWAIT = 0x40;

/** RFC 792: type, code, checksum, identifier, sequence number. */
const HEADER_BYTES = 8;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;

/** struct sockaddr_in */
function socketAddress(address: number, port: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  view.setUint32(4, address);
  return new Uint8Array(view.buffer);
}

/**
 * An ICMP datagram socket (icmp(7)): the kernel fills in identifier and checksum, and hands over only
 * the replies to that identifier.
 */
export class Pinger {
  private readonly fd = check(libc().socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), "ping", "socket");
  private sequence = 0;

  constructor(identifier: number) {
    const own = socketAddress(0, identifier);
    check(libc().bind(this.fd, own, own.length), "ping", "bind");
  }

  /**
   * Sends an echo request and waits for its reply. Returns the round trip in milliseconds and whether
   * `text` came back unchanged; undefined when nothing came in time.
   */
  ping(to: string, text: string, timeoutMs: number) {
    const payload = Buffer.from(text);
    const request = Buffer.alloc(HEADER_BYTES + payload.length);
    request[0] = ECHO_REQUEST;
    request.writeUInt16BE(++this.sequence, 6);
    payload.copy(request, HEADER_BYTES);
    const peer = socketAddress(parseAddress(to) ?? 0, 0);
    const began = performance.now();
    check(libc().sendto(this.fd, request, request.length, 0, peer, peer.length), "ping", "sendto");
    if (poll([this.fd], timeoutMs) === 0) return undefined;
    const reply = Buffer.alloc(2048);
    const bytes = check(libc().recv(this.fd, reply, reply.length, MSG_DONTWAIT), "ping", "recv");
    const ms = performance.now() - began;
    const own =
      reply[0] === ECHO_REPLY &&
      reply.readUInt16BE(6) === this.sequence &&
      reply.subarray(HEADER_BYTES, bytes).equals(payload);
    return { ms, own };
  }

  close(): void {
    libc().close(this.fd);
  }
}

/** Sees the echo requests that this host answers. The kernel keeps them until they are asked for. */
export class EchoWatch {
  private readonly fd = check(libc().socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "watch", "socket");

  /** Source and payload of each request since the last call. */
  take(): { source: string; text: string }[] {
    const seen: { source: string; text: string }[] = [];
    const packet = Buffer.alloc(2048);
    for (;;) {
      const bytes = libc().recv(this.fd, packet, packet.length, MSG_DONTWAIT);
      if (bytes < 0) return seen;
      const header = ((packet[0] ?? 0) & 15) * 4;
      if (packet[header] !== ECHO_REQUEST) continue;
      const source = formatAddress(packet.readUInt32BE(12));
      seen.push({ source, text: packet.toString("utf8", header + HEADER_BYTES, bytes) });
    }
  }

  close(): void {
    libc().close(this.fd);
  }
}
