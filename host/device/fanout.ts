/**
 * The packet sockets that several workers have on one interface, as a fanout group (packet(7)): the kernel gives each
 * frame to the member whose place a program names (steering.ts), and the places are to be the workers' numbers.
 *
 * What the kernel does with places (net/packet/af_packet.c): who joins comes last; when one leaves the last takes its
 * place; when the interface is switched off and on all are counted anew, in the order in which the sockets were made.
 * So all members join in the order of the workers, and none is exchanged while the others stay: sockets that are opened
 * for a later configuration, or because the interface was gone, are another group.
 *
 * Worker 0 begins a group, whose number the kernel chooses among those that nobody has, and says in shared memory on which
 * interface; each other one waits, looking now and then, until the one before it has joined.
 */

import { check, libc } from "./libc.js";
import { Fanout, PacketOption, Socket } from "./packet.js";
import { setProgram } from "./socket.js";

/** What all sockets of an interface have in common. Travels between threads. */
export interface Sharing {
  /** Of the group that its sockets are, as long as the interface stays open; see `makeGroup`. */
  readonly group: SharedArrayBuffer;
  /** Returns the number of the worker that a packet is for. */
  readonly program: Uint8Array;
  readonly workers: number;
  /** The worker that has the AF_XDP socket of the first receive queue; those that follow have the others, in turn. */
  readonly xdpWorker: number;
  /** File descriptor of the map of those sockets, by queue; the main thread's to close. -1 where there is none. */
  readonly sockets: number;
}

/** Words of the shared memory. */
enum GroupAt {
  /** Index of the interface that the group is on. */
  Interface = 0,
  /** The kernel's number of the group. */
  Number = 1,
  /** Workers that have joined. */
  Members = 2,
  /** The longest frame that its XDP program redirects. */
  FrameBytes = 3,
  Words = 4,
}

export function makeGroup(): SharedArrayBuffer {
  return new SharedArrayBuffer(GroupAt.Words * Int32Array.BYTES_PER_ELEMENT);
}

/** The place of one worker. */
export class Member {
  private readonly group: Int32Array;
  private program: Uint8Array;
  /** What the kernel has, undefined where it has none of ours. */
  private steeredBy: Uint8Array | undefined;

  constructor(
    private readonly sharing: Sharing,
    private readonly worker: number,
  ) {
    this.group = new Int32Array(sharing.group);
    this.program = sharing.program;
  }

  /** Whether what all workers need once is this one's to hold. */
  get isFirst(): boolean {
    return this.worker === 0;
  }

  /** Whether it is this worker's turn to join on an interface. */
  isNext(index: number): boolean {
    if (this.worker === 0) return true;
    return this.word(GroupAt.Members) === this.worker && this.word(GroupAt.Interface) === index;
  }

  /** Joins with a socket that is bound, as the first or behind the worker before this one. */
  join(fd: number, who: string): void {
    if (this.worker > 0) {
      joinGroup(fd, who, this.word(GroupAt.Number), 0);
      return;
    }
    this.leave();
    joinGroup(fd, who, 0, Fanout.UniqueId);
    this.steeredBy = undefined;
    this.steer(fd, who, this.program);
    Atomics.store(this.group, GroupAt.Number, numberOf(fd, who));
  }

  /** The socket that has joined stays: now the next one may. */
  settle(index: number): void {
    Atomics.store(this.group, GroupAt.Interface, index);
    Atomics.store(this.group, GroupAt.Members, this.worker + 1);
  }

  /** Nobody joins any more what this worker has begun. */
  leave(): void {
    if (this.worker === 0) Atomics.store(this.group, GroupAt.Members, 0);
  }

  /**
   * Has the kernel go by this program from now on, if it does not yet. The group has one, and worker 0 sets it.
   * An exchange costs some ten milliseconds: the kernel waits until nobody runs the old one (RCU).
   * @param fd  -1 where there is no socket
   */
  steer(fd: number, who: string, program: Uint8Array): void {
    this.program = program;
    if (this.worker > 0 || fd < 0 || isEqual(this.steeredBy, program)) return;
    const option = PacketOption.FanoutData;
    setProgram(fd, who, Socket.LevelPacket, option, program, "PACKET_FANOUT_DATA");
    this.steeredBy = program;
  }

  /** Whether it has the AF_XDP socket of a receive queue. */
  hasQueue(queue: number): boolean {
    const { workers, xdpWorker } = this.sharing;
    return (xdpWorker + queue) % workers === this.worker;
  }

  /** The map of all AF_XDP sockets, -1 for none. */
  get sockets(): number {
    return this.sharing.sockets;
  }

  /** The longest frame that the XDP program of the interface redirects, as its worker has said. */
  get frameBytes(): number {
    return this.word(GroupAt.FrameBytes);
  }
  set frameBytes(bytes: number) {
    Atomics.store(this.group, GroupAt.FrameBytes, bytes);
  }

  private word(at: GroupAt): number {
    return Atomics.load(this.group, at);
  }
}

function joinGroup(fd: number, who: string, number: number, flags: number): void {
  const kind = Fanout.ClassicBpf | Fanout.IgnoreOutgoing | flags;
  const argument = new Uint32Array([number | (kind << 16)]);
  const level = Socket.LevelPacket;
  const result = libc().setsockopt(fd, level, PacketOption.Fanout, argument, 4);
  check(result, who, "setsockopt(PACKET_FANOUT)");
}

function numberOf(fd: number, who: string): number {
  const argument = new Uint32Array(1);
  const bytes = new Uint32Array([4]);
  const level = Socket.LevelPacket;
  const result = libc().getsockopt(fd, level, PacketOption.Fanout, argument, bytes);
  check(result, who, "getsockopt(PACKET_FANOUT)");
  return (argument[0] ?? 0) & 0xffff;
}

function isEqual(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}
