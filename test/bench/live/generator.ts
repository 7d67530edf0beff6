/**
 * The generator as a process in the tenant's namespace: takes the traffic, then runs for a rate and a time.
 *
 *     node generator.js INTERFACE
 */

import { createMap, loadProgram, MapType, ProgramType } from "../../../host/device/bpf/system.js";
import { libc } from "../../../host/device/libc.js";
import { Link } from "../../../host/device/link.js";
import { type GeneratorOrder, type Sent, TIME_IS_OVER } from "./generatororder.js";
import { generator, rateWord, State, type Traffic } from "./generatorprogram.js";
import { readWords, runLive, writeWords } from "./kernel.js";
import { answerOrders } from "./station.js";

/** Runs that do nothing, to see how long one takes. */
const IDLE_RUNS = 1 << 18;

/** Runs of one call: the kernel counts them in 32 bits. */
const RUNS_MAX = 2 ** 31;

/** More runs than a trial needs that waits all the time. */
const SPARE_RUNS = 1.2;

class Generator {
  private program = -1;
  private frame: Uint8Array = new Uint8Array(0);
  private readonly map: number;
  /** Nanoseconds of a run that finds nothing to send. */
  private idleRunNs = 0;

  constructor(private readonly interfaceIndex: number) {
    this.map = createMap("generator", MapType.Array, 4, State.Words * 8, 1);
  }

  prepare(traffic: Traffic): void {
    if (this.program >= 0) libc().close(this.program);
    const { code, frame } = generator(this.map, this.interfaceIndex, traffic);
    this.program = loadProgram("generator", ProgramType.Xdp, code, { name: "generator" });
    this.frame = frame;
    this.measureIdleRun();
  }

  /**
   * Blocks until a signal comes when the time is over, or until so many runs are done. One call has all of a
   * trial's runs: each begins and ends by waiting for all processors, tens of milliseconds in which nothing is sent.
   */
  run(perSecond: number, seconds: number): Sent {
    const state = Array<bigint>(State.Words).fill(0n);
    state[State.Duration] = BigInt(Math.round(seconds * 1e9));
    state[State.Rate] = rateWord(perSecond);
    writeWords(this.map, state);
    const end = performance.now() + seconds * 1000;
    for (let left = seconds * 1000; left > 0; left = end - performance.now()) {
      const runs = Math.ceil((left * 1e6 * SPARE_RUNS) / this.idleRunNs);
      runLive(this.program, this.frame, Math.min(RUNS_MAX, runs));
    }
    const after = readWords(this.map, State.Words);
    this.measureIdleRun();
    return {
      frames: Number(after[State.Sent]),
      idleNs: Number(after[State.Idle]) * this.idleRunNs,
    };
  }

  /** By the time of the processor: what interrupts it does not count. */
  private measureIdleRun(): void {
    writeWords(this.map, Array<bigint>(State.Words).fill(0n));
    const before = process.cpuUsage();
    runLive(this.program, this.frame, IDLE_RUNS);
    const { user, system } = process.cpuUsage(before);
    this.idleRunNs = ((user + system) * 1000) / IDLE_RUNS;
  }
}

// It ends the call; there is nothing else to do.
process.on(TIME_IS_OVER, () => {});
const own = new Generator(new Link("generator", process.argv[2] ?? "").index());
answerOrders((order: GeneratorOrder) => {
  if ("prepare" in order) return own.prepare(order.prepare);
  return own.run(order.run.perSecond, order.run.seconds);
});
