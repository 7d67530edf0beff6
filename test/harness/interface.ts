/** An `afpacket` interface in a namespace of the test's own, with the datapath's offload helpers. */
import { readFileSync } from "node:fs";
import { instantiate } from "@assemblyscript/loader";
import type { Namespace } from "../../host/demo/lab.js";
import {
  type AfpacketOptions,
  afpacketWindowBytes,
  openAfpacket,
} from "../../host/device/afpacket.js";
import type { InputBatch, Interface, Offload } from "../../host/device/device.js";
import { check, libc, poll } from "../../host/device/libc.js";
import { Socket } from "../../host/device/packet.js";
import { inside } from "./inside.js";

/** In front of the first window: where the test puts what it sends. */
const SCRATCH = 512 * 1024;
const FIRST_WINDOW = 1 << 20;
const MEMORY_PAGES = 1024;

type Helpers = {
  completeChecksum(frame: number, size: number, start: number, offset: number): number;
  segment: Offload["segment"];
};

type Options = Pick<AfpacketOptions, "name"> & Partial<AfpacketOptions>;

/** A linear memory with windows given out one after the other. */
export class Arena {
  readonly bytes: Uint8Array;
  readonly offload: Offload;
  /** Checksums that were completed. */
  completed = 0;
  private next = FIRST_WINDOW;

  private constructor(
    readonly memory: WebAssembly.Memory,
    helpers: Helpers,
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
    const bytes = afpacketWindowBytes(options);
    const window = { memory: this.memory, at: this.next, bytes };
    const device = openAfpacket({ macs: [], window, offload: this.offload, ...options });
    this.next += bytes;
    return device;
  }

  /** Sends one frame that stands outside of every window. */
  send(device: Interface, frame: Uint8Array): void {
    this.bytes.set(frame, SCRATCH);
    device.send(SCRATCH, frame.length);
    device.flush();
  }

  /** The frames of one turn, copied; waits for the first. */
  receive(device: Interface, room = 256, timeoutMs = 1000): Received[] {
    const batch = new Copies(this.bytes, room);
    if (poll(device.fds, timeoutMs) > 0) device.receive(batch);
    device.release();
    return batch.frames;
  }

  /** Turns until `count` frames have come, or none comes for `timeoutMs`. */
  receiveAll(device: Interface, count: number, timeoutMs = 1000): Received[] {
    const frames: Received[] = [];
    while (frames.length < count) {
      const more = this.receive(device, 256, timeoutMs);
      if (more.length === 0) break;
      frames.push(...more);
    }
    return frames;
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
    private readonly bytes: Uint8Array,
    private readonly places: number,
  ) {}

  get room(): number {
    return this.places - this.frames.length;
  }

  push(at: number, size: number, vlanTci: number, flags: number): void {
    this.frames.push({ at, bytes: this.bytes.slice(at, at + size), vlanTci, flags });
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
