/** Interfaces in namespaces of the test's own, by any driver, with the datapath's offload helpers. */
import { readFileSync } from "node:fs";
import { instantiate } from "@assemblyscript/loader";
import { DescriptorFlag, Limit } from "../../assembly/abi.js";
import type { Namespace } from "../../host/demo/lab.js";
import {
  type AfpacketOptions,
  afpacketWindowBytes,
  openAfpacket,
} from "../../host/device/afpacket.js";
import { afxdpWindowBytes, openAfxdp } from "../../host/device/afxdp.js";
import type { InputBatch, Interface, Offload } from "../../host/device/device.js";
import { check, libc, poll } from "../../host/device/libc.js";
import { Link } from "../../host/device/link.js";
import { Socket } from "../../host/device/packet.js";
import { Umem } from "../../host/device/umem.js";
import { XskSocket, xskWindowBytes } from "../../host/device/xsksocket.js";
import { inside } from "./inside.js";

/** In front of the first window: where the test puts what it sends. */
const SCRATCH = 512 * 1024;
/** For a frame that comes, on a machine that does other things as well; and for one that does not. */
const PATIENCE_MS = 5000;
const MOMENT_MS = 100;
const PAGE_BYTES = 65536;
const IPV4 = 0x0800;
/** Ethernet, IPv4 and TCP without options. */
const HEADERS_BYTES = 54;
const FIRST_WINDOW = 1 << 20;
const MEMORY_PAGES = 2048;
const CHUNK_BYTES = 2048;
const UMEM_BYTES = (8192 + Limit.Batch) * CHUNK_BYTES;

/** Those that open interfaces of the kernel. */
export const DRIVERS = ["afpacket", "afxdp"] as const;
export type DriverName = (typeof DRIVERS)[number];

type Helpers = {
  completeChecksum(frame: number, size: number, start: number, offset: number): number;
  segment: Offload["segment"];
  unsureComplete(packet: number): void;
};

type Options = Pick<AfpacketOptions, "name"> &
  Partial<AfpacketOptions> & { readonly driver?: DriverName };

/** A linear memory with windows given out one after the other. */
export class Arena {
  readonly bytes: Uint8Array;
  readonly offload: Offload;
  /** Checksums that were completed. */
  completed = 0;
  private next = FIRST_WINDOW;
  private umem: Umem | undefined;

  private constructor(
    readonly memory: WebAssembly.Memory,
    private readonly helpers: Helpers,
  ) {
    this.bytes = new Uint8Array(memory.buffer);
    this.offload = {
      completeChecksum: (...where) => {
        this.completed++;
        return helpers.completeChecksum(...where) !== 0;
      },
      segment: (...what) => helpers.segment(...what) >>> 0,
    };
  }

  static async create(): Promise<Arena> {
    const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES });
    const wasm = readFileSync(new URL("../../internals.wasm", import.meta.url));
    return new Arena(memory, (await instantiate<Helpers>(wasm, { env: { memory } })).exports);
  }

  /** Opens the interface as a process inside the namespace would. */
  open(at: Namespace, options: Options): Interface {
    return inside(at.pid, () => this.openHere(options));
  }

  openHere(options: Options): Interface {
    return options.driver === "afxdp" ? this.openAfxdp(options) : this.openAfpacket(options);
  }

  private openAfpacket(options: Options): Interface {
    const window = this.window(afpacketWindowBytes(options));
    return openAfpacket({ macs: [], window, offload: this.offload, ...options });
  }

  private openAfxdp({ receiveSlots: slots = 1024, ...options }: Options): Interface {
    this.umem ??= new Umem(this.window(UMEM_BYTES), CHUNK_BYTES, Limit.Batch);
    const window = this.window(afxdpWindowBytes({ ...options, slots }));
    const { umem, offload } = this;
    return openAfxdp({ macs: [], window, umem, offload, slots, ...options });
  }

  /** One queue of an interface, to send by. */
  openQueue(at: Namespace, name: string, queue: number): XskSocket {
    const slots = 64;
    this.umem ??= new Umem(this.window(UMEM_BYTES), CHUNK_BYTES, Limit.Batch);
    const { umem } = this;
    const window = this.window(xskWindowBytes(slots));
    return inside(at.pid, () => {
      const link = new Link("test", name);
      const interfaceIndex = link.index();
      link.close();
      const options = { who: `test ${name}`, interfaceIndex, queue, umem, at: window.at, slots };
      return new XskSocket({ ...options, filled: 0 });
    });
  }

  private window(bytes: number) {
    const at = this.next;
    this.next += Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
    return { memory: this.memory, at, bytes };
  }

  /** Sends one frame that stands outside of every window. */
  send(device: Interface, frame: Uint8Array): void {
    this.bytes.set(frame, SCRATCH);
    device.send(SCRATCH, frame.length);
    device.flush();
  }

  /** The frames of one turn, copied; waits for the first. */
  receive(device: Interface, room = 256, timeoutMs = PATIENCE_MS): Received[] {
    const batch = new Copies(this, room);
    if (poll(device.fds, timeoutMs) > 0) device.receive(batch);
    device.release();
    return batch.frames;
  }

  /** Does what the datapath does to a lent frame whose sender may have left its checksum to a card. */
  complete(at: number, flags: number): void {
    const view = new DataView(this.memory.buffer);
    if ((flags & DescriptorFlag.ChecksumUnsure) === 0 || view.getUint16(at + 12) !== IPV4) return;
    const before = this.bytes.slice(at, at + HEADERS_BYTES);
    this.helpers.unsureComplete(at + 14);
    if (Buffer.compare(before, this.bytes.slice(at, at + HEADERS_BYTES)) !== 0) this.completed++;
  }

  /** Turns until `count` frames have come, or none comes for `timeoutMs`. */
  receiveAll(device: Interface, count: number, timeoutMs = PATIENCE_MS): Received[] {
    const frames: Received[] = [];
    while (frames.length < count) {
      const more = this.receive(device, 256, timeoutMs);
      if (more.length === 0) break;
      frames.push(...more);
    }
    return frames;
  }

  /** So many, and what comes behind them within a moment: whoever counts on no more finds out. */
  receiveAndMore(device: Interface, count: number): Received[] {
    const frames = this.receiveAll(device, count);
    return [...frames, ...this.receiveAll(device, 1, MOMENT_MS)];
  }
}

export interface Received {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly vlanTci: number;
  readonly flags: number;
}

class Copies implements InputBatch {
  readonly frames: Received[] = [];

  constructor(
    private readonly arena: Arena,
    private readonly places: number,
  ) {}

  get room(): number {
    return this.places - this.frames.length;
  }

  push(at: number, size: number, vlanTci: number, flags: number): void {
    this.arena.complete(at, flags);
    const bytes = this.arena.bytes.slice(at, at + size);
    this.frames.push({ at, bytes, vlanTci, flags: flags & ~DescriptorFlag.ChecksumUnsure });
  }
}

export function macOf(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

/** An Ethernet frame; tags stand inside it, outermost first, as "0x8100 and its control information". */
export function etherFrame(
  to: Uint8Array,
  from: Uint8Array,
  tags: readonly (readonly [protocol: number, tci: number])[],
  type: number,
  payload: Uint8Array,
): Uint8Array {
  const words = [...tags.flat(), type].flatMap((word) => [word >> 8, word & 0xff]);
  return Uint8Array.from([...to, ...from, ...words, ...payload]);
}

/** linux/udp.h: the level of UDP's options, and the one that asks for segmentation. */
const SOL_UDP = 17;
const UDP_SEGMENT = 103;

/** UDP by the kernel of a namespace, which leaves to the interface what it may. */
export class KernelUdp {
  private readonly fd: number;
  private readonly address: Uint8Array;

  /** @param to  IPv4 address and port */
  constructor(at: Namespace, to: string, port: number) {
    const type = Socket.Datagram | Socket.CloseOnExec;
    this.fd = inside(at.pid, () =>
      check(libc().socket(Socket.FamilyInet, type, 0), "udp", "socket"),
    );
    // struct sockaddr_in
    this.address = Uint8Array.from(
      [Socket.FamilyInet, 0, port >> 8, port & 0xff, ...to.split(".").map(Number)].concat(
        new Array<number>(8).fill(0),
      ),
    );
  }

  /** @param segmentBytes  cut into datagrams of this payload by the network card; 0 for one datagram */
  send(payload: Uint8Array, segmentBytes = 0): void {
    const value = new Uint32Array([segmentBytes]);
    check(libc().setsockopt(this.fd, SOL_UDP, UDP_SEGMENT, value, 4), "udp", "UDP_SEGMENT");
    const { fd, address } = this;
    check(libc().sendto(fd, payload, payload.length, 0, address, 16), "udp", "sendto");
  }

  close(): void {
    libc().close(this.fd);
  }
}
