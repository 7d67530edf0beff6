/**
 * The generator as a process in the tenant's namespace: takes the traffic, then runs for a rate and a time.
 *
 *     node generator.js INTERFACE
 */

import { createMap, loadProgram, MapType, ProgramType } from "../../../host/device/bpf/system.js";
import { libc } from "../../../host/device/libc.js";
import { Link } from "../../../host/device/link.js";
import { generator, rateWord, State, type Traffic } from "./generatorprogram.js";
import { readWords, runLive, writeWords } from "./kernel.js";
import { answerOrders } from "./station.js";

/** Runs between two looks at the clock: 10 to 20 ms of doing nothing. */
const RUNS = 1 << 17;
/** Runs that do nothing, to see how long one takes. */
const IDLE_RUNS = 1 << 16;

export type GeneratorOrder =
  | { readonly prepare: Traffic }
  | { readonly run: { readonly perSecond: number; readonly seconds: number } };

export interface Sent {
  readonly frames: number;
  /** Nanoseconds that the generator did nothing but wait. */
  readonly idleNs: number;
}

class Generator {
  private program = -1;
  private frame: Uint8Array = new Uint8Array(0);
  private readonly map: number;

  constructor(private readonly interfaceIndex: number) {
    this.map = createMap("generator", MapType.Array, 4, State.Words * 8, 1);
  }

  prepare(traffic: Traffic): void {
    if (this.program >= 0) libc().close(this.program);
    const { code, frame } = generator(this.map, this.interfaceIndex, traffic);
    this.program = loadProgram("generator", ProgramType.Xdp, code, { name: "generator" });
    this.frame = frame;
  }

  /** Blocks for so long, and for what the last runs take. */
  run(perSecond: number, seconds: number): Sent {
    const state = Array<bigint>(State.Words).fill(0n);
    state[State.Duration] = BigInt(Math.round(seconds * 1e9));
    state[State.Rate] = rateWord(perSecond);
    writeWords(this.map, state);
    const end = process.hrtime.bigint() + (state[State.Duration] ?? 0n);
    while (process.hrtime.bigint() < end) runLive(this.program, this.frame, RUNS);
    const idleRunNs = this.idleRunNs();
    const after = readWords(this.map, State.Words);
    return {
      frames: Number(after[State.Sent]),
      idleNs: Number(after[State.Idle]) * idleRunNs,
    };
  }

  /** Its time is over: every run is idle now. The faster half, which nothing has interrupted. */
  private idleRunNs(): number {
    const times = [1, 2].map(() => {
      const began = process.hrtime.bigint();
      runLive(this.program, this.frame, IDLE_RUNS);
      return Number(process.hrtime.bigint() - began) / IDLE_RUNS;
    });
    return Math.min(...times);
  }
}

const own = new Generator(new Link("generator", process.argv[2] ?? "").index());
answerOrders((order: GeneratorOrder) => {
  if ("prepare" in order) return own.prepare(order.prepare);
  return own.run(order.run.perSecond, order.run.seconds);
});
