/**
 * The client of the latency benchmark as a process in the tenant's namespace: one request at a time, and it never
 * sleeps, so that what it measures is the way there and back and not its own waking. On request it sends other
 * frames meanwhile, from a socket of its own, which the server drops.
 *
 * Its own cost is in every figure: what a cable alone takes says how much that is.
 */

import {
  addressOfView,
  check,
  Errno,
  errno,
  libc,
  SystemError,
} from "../../../host/device/libc.js";
import { Socket } from "../../../host/device/packet.js";
import { addressNumber, DISCARD_PORT, ECHO_PORT, SERVER } from "./plan.js";
import { quantile } from "./quantile.js";
import { answerOrders } from "./station.js";

export interface LatencyOrder {
  readonly requests: number;
  /** Microseconds from an answer to the next request: a candidate that sleeps has gone to sleep by then. */
  readonly pauseUs: number;
  /** Frames a second that are sent beside, 0 for none. */
  readonly beside: number;
}

/** Microseconds from the call that sends to the one that receives. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Requests without an answer within LOST_MS. */
  readonly lost: number;
}

const LOST_MS = 100;
/** Requests that nobody counts: caches, conns and compilers are warm afterwards. */
const WARM_UP = 1000;
const PAYLOAD_BYTES = 18;
/** MSG_DONTWAIT, linux/socket.h */
const DO_NOT_WAIT = 0x40;

/** struct sockaddr_in: u16 family, u16 port, u32 address. */
function socketAddress(port: number): Buffer {
  const address = Buffer.alloc(16);
  address.writeUInt16LE(Socket.FamilyInet, 0);
  address.writeUInt16BE(port, 2);
  address.writeUInt32BE(addressNumber(SERVER), 4);
  return address;
}

function openSocket(): number {
  return check(libc().socket(Socket.FamilyInet, Socket.Datagram, 0), "client", "socket");
}

/** Sends datagrams to one port of the server. Addresses are taken once: to find them costs more than the call. */
class Sender {
  readonly fd = openSocket();
  readonly payload = Buffer.alloc(PAYLOAD_BYTES);
  private readonly to: Buffer;
  private readonly payloadAt = addressOfView(this.payload);
  private readonly toAt: number;

  constructor(port: number) {
    this.to = socketAddress(port);
    this.toAt = addressOfView(this.to);
  }

  send(): void {
    const { fd, payloadAt, toAt, to } = this;
    const sent = libc().sendto(fd, payloadAt, PAYLOAD_BYTES, 0, toAt, to.length);
    check(sent, "client", "sendto");
  }
}

class Client {
  private readonly request = new Sender(ECHO_PORT);
  private readonly other = new Sender(DISCARD_PORT);
  private readonly answer = Buffer.alloc(PAYLOAD_BYTES);
  private readonly answerAt = addressOfView(this.answer);
  /** Milliseconds between two frames beside, and when the next is due. */
  private besideMs = Number.POSITIVE_INFINITY;
  private dueMs = Number.POSITIVE_INFINITY;

  measure({ requests, pauseUs, beside }: LatencyOrder): Latency {
    const times = new Float64Array(requests);
    let answered = 0;
    this.besideMs = 1000 / beside;
    this.dueMs = beside === 0 ? Number.POSITIVE_INFINITY : performance.now();
    for (let i = -WARM_UP; i < requests; i++) {
      const took = this.roundTrip(i + WARM_UP);
      if (i >= 0 && took >= 0) times[answered++] = took * 1000;
      this.pause(pauseUs / 1000);
    }
    const sorted = times.subarray(0, answered).sort();
    return {
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
      p999: quantile(sorted, 0.999),
      lost: requests - answered,
    };
  }

  /** Milliseconds, or -1 without an answer. */
  private roundTrip(sequence: number): number {
    this.request.payload.writeUInt32LE(sequence, 0);
    const began = performance.now();
    this.request.send();
    for (;;) {
      const arrived = this.receive() && this.answer.readUInt32LE(0) === sequence;
      const now = performance.now();
      if (arrived) return now - began;
      if (now - began > LOST_MS) return -1;
      this.sendBeside(now);
    }
  }

  private receive(): boolean {
    const { fd } = this.request;
    if (libc().recv(fd, this.answerAt, PAYLOAD_BYTES, DO_NOT_WAIT) > 0) return true;
    if (errno() !== Errno.Again) throw new SystemError("client", "recv", errno());
    return false;
  }

  private pause(ms: number): void {
    const until = performance.now() + ms;
    for (let now = 0; now < until; now = performance.now()) this.sendBeside(now);
  }

  /** At most one at a time: what is missed is not made up for in a burst. */
  private sendBeside(now: number): void {
    if (now < this.dueMs) return;
    this.dueMs = Math.max(this.dueMs + this.besideMs, now);
    this.other.send();
  }
}

const client = new Client();
answerOrders((order: LatencyOrder) => client.measure(order));
