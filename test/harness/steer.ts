/** How frames come to the workers of a Router: as the kernel's fanout groups would bring them. */

import type { Config } from "../../host/config/model.js";
import { checkConfig } from "../../host/config/parse.js";
import { shareShiftOf } from "../../host/config/shares.js";
import { buildSteering } from "../../host/device/steering.js";
import { Steerer } from "../../host/workers/steerer.js";
import { runProgram, type Steered } from "./classicbpf.js";
import { type Document, Router } from "./router.js";

/** The kernel's side of several workers: a program for each interface. */
export class Fanout {
  private readonly steerer: Steerer;
  /** By name of the device. */
  private programs = new Map<string, Uint8Array>();

  /** @param config  that of the start */
  constructor(private readonly config: Config) {
    this.steerer = new Steerer(config.workers, shareShiftOf(config));
    this.program(config);
  }

  /** Under a later configuration. */
  program(config: Config): void {
    const { steerer } = this;
    this.programs = new Map();
    for (const { name, interface: carrier } of config.devices) {
      const steering = steerer.of(carrier.name, config);
      if (steering !== undefined) this.programs.set(name, buildSteering(steering));
    }
  }

  /** The worker that receives a frame on a device's interface. */
  steer(device: string, bytes: Uint8Array): number {
    const program = this.programs.get(device);
    return program === undefined ? 0 : runProgram(program, steered(bytes)) % this.config.workers;
  }
}

/** A frame as a program sees it: its outer tag beside it, the rest from the network header on. */
export function steered(bytes: Uint8Array): Steered {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const isTagged = [0x8100, 0x88a8].includes(view.getUint16(12));
  const at = isTagged ? 16 : 12;
  return {
    protocol: view.getUint16(at),
    vlanTci: isTagged ? view.getUint16(14) : undefined,
    network: Uint8Array.from(bytes.subarray(at + 2)),
  };
}

/** A router whose frames come as the kernel would bring them. */
export function steeredRouter(document: Document): Router {
  const fanout = new Fanout(checkConfig(document));
  return new Router(document, { steer: (device, bytes) => fanout.steer(device, bytes) });
}
