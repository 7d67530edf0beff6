/**
 * What the hosts of a router know of their TCP conversations: which sequence number comes next, and what has
 * come from the other end. So that a test which names flags only still speaks TCP.
 *
 * An end is known by its zone, its address and port, and those of the other end as they look from there.
 */

import { type Address, dataOf, numberOf, type TcpExtras, TcpFlags } from "./frame.js";
import type { Router, Sent } from "./router.js";

/** The first sequence number of everybody, and how far behind the old ones a later connection begins. */
const FIRST = 1000;
const APART = 100_000;

interface End {
  /** Its first sequence number, and the one it sends next. */
  first: number;
  next: number;
  /** What it expects from the other end. */
  expected: number;
}

/** An end of a conversation: a port of a host, and the one it talks to. */
export interface Place {
  readonly address: Address;
  readonly port: number;
  readonly peer: Address;
  readonly peerPort: number;
}

const ends = new WeakMap<Router, Map<string, End>>();

/** Hosts go on speaking by a router that has taken another one's place. */
export function inherit(router: Router, from: Router): void {
  ends.set(router, ends.get(from) ?? new Map());
}

function endAt(router: Router, zone: number, { address, port, peer, peerPort }: Place): End {
  let known = ends.get(router);
  if (known === undefined) {
    known = new Map();
    ends.set(router, known);
  }
  const key = [zone, numberOf(address), port, numberOf(peer), peerPort].join();
  let end = known.get(key);
  if (end === undefined) {
    end = { first: FIRST, next: FIRST, expected: 0 };
    known.set(key, end);
  }
  return end;
}

/** The segment that an end sends now; what `extras` says is meant, and moves nothing on unless it is a SYN. */
export function speak(
  router: Router,
  zone: number,
  place: Place,
  flags: number,
  extras: TcpExtras = {},
): TcpExtras & { sequence: number; acknowledgment: number } {
  const end = endAt(router, zone, place);
  const begins = (flags & TcpFlags.Syn) !== 0;
  const alone = begins && (flags & TcpFlags.Ack) === 0;
  // Once it has said more than a SYN, the next one opens another connection.
  if (alone && isLater(end.next, end.first + 1)) restart(end);
  const sequence = extras.sequence ?? (begins ? end.first : end.next);
  const acknowledgment = extras.acknowledgment ?? ((flags & TcpFlags.Ack) !== 0 ? end.expected : 0);
  const bytes = dataOf(extras.data).length + (begins ? 1 : 0) + (flags & TcpFlags.Fin);
  if (begins) end.first = sequence;
  if (begins || extras.sequence === undefined) end.next = (sequence + bytes) >>> 0;
  return { ...extras, sequence, acknowledgment };
}

/** Of two sequence numbers, whether `a` is the later one (RFC 9293 section 3.4). */
function isLater(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

function restart(end: End): void {
  end.first = (end.next + APART) >>> 0;
  end.next = end.first;
}

/** Lets the hosts that frames went to know of them. */
export function hear(router: Router, sent: readonly Sent[]): void {
  for (const { device, ip } of sent) {
    if (ip === undefined || ip.protocol !== 6) continue;
    const place = {
      address: ip.destination,
      port: ip.destinationPort,
      peer: ip.source,
      peerPort: ip.sourcePort,
    };
    const end = endAt(router, router.device(device).zone.id, place);
    const flags = ip.payload[13] as number;
    const begins = (flags & TcpFlags.Syn) !== 0;
    if ((flags & TcpFlags.Rst) !== 0) continue;
    const bytes = ip.data.length + (begins ? 1 : 0) + (flags & TcpFlags.Fin);
    const next = (ip.payload.readUInt32BE(4) + bytes) >>> 0;
    const alone = begins && (flags & TcpFlags.Ack) === 0;
    if (alone && isLater(end.next, end.first + 1)) restart(end);
    if (begins || isLater(next, end.expected)) end.expected = next;
  }
}
