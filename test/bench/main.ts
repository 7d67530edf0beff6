/** `npm run bench -- NAME …`: measures and prints; judges nothing. docs/performance.md says what it means. */

import { parseArgs } from "node:util";
import { AgainstError, benchAgainst, openOther, printAgainst } from "./against.js";
import { useClock } from "./clock.js";
import { benchCore, type CoreOptions, printCore } from "./core.js";
import { benchLatency } from "./live/latency.js";
import { benchLive } from "./live/live.js";
import { machine } from "./measure.js";
import { benchMemory, type MemoryOptions, printMemory } from "./memory.js";
import { benchNative, FORMS, type Form, NativeError, printNative } from "./native.js";
import { benchPool, printPool } from "./pool.js";
import { benchQuery, printQuery, type QueryOptions } from "./query.js";
import { benchRestart, printRestart, type RestartOptions } from "./restart.js";
import { benchScale, printScale, type ScaleOptions } from "./scale.js";
import { benchTargets } from "./targets/targets.js";

const USAGE = `npm run bench -- core [--against DIR] [--json] [--quick]
npm run bench -- core [--native [--form FORM]] [--cpu] [--json] [--quick]
npm run bench -- pool [--cpu] [--json] [--quick]
npm run bench -- scale [--cpu] [--json] [--quick]
npm run bench -- query [--cpu] [--json] [--quick]
npm run bench -- restart [--cpu] [--json] [--quick]
npm run bench -- memory [--json] [--quick]
npm run bench -- live [--json] [--quick]
npm run bench -- latency [--json] [--quick]
npm run bench -- targets [--runs N] [--json] [--quick]

  core     the datapath in memory: steady packets, set-up and expiry by the number of conns
  pool     every port of one address: what the first costs, and the last
  scale    the same costs by the number of conns, zones, flows and threads, one at a time
  query    what an operator's questions take, and what they cost the packets, with a million conns
  restart  how long conns take to be saved and restored, and what saving costs the packets
  memory   bytes of a conn, resident bytes of a process, and how long it takes to start
  live     frames through real interfaces: crosszone and others, in turns (Linux, root)
  latency  one request at a time through the same
  targets  everything that is to be reached, and whether it is, by all of these
  --against DIR  another checkout, built: both are measured in turns, with the ratio new by old
  --native       the same module as C by wasm2c and gcc: both in turns, with the ratio Wasm by native
  --form FORM    how that reaches its memory, the fastest first: ${FORMS.join(", ")}
  --runs N how often each target is measured, 3 by default
  --cpu    CPU time of the thread instead of the wall's clock, for a machine that others use
  --json   header and rows as JSON, raw repetitions included
  --quick  fewer conns and repetitions`;

interface Options {
  readonly json: boolean;
  readonly quick: boolean;
  readonly against?: string;
  readonly native?: boolean;
  readonly form?: string;
  readonly cpu?: boolean;
  readonly runs?: string;
}

class UsageError extends Error {}

/** What a benchmark takes beside --json and --quick, and what runs it. */
interface Benchmark {
  readonly options: readonly (keyof Options)[];
  run(options: Options): void | Promise<void>;
}

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  core: { options: ["against", "native", "form", "cpu"], run: runCore },
  pool: {
    options: ["cpu"],
    run: (options) => report(options, benchPool(options.quick ? 5 : 21), printPool),
  },
  scale: {
    options: ["cpu"],
    run: async (options) => {
      report(options, await benchScale(scaleOptions(options.quick)), printScale);
    },
  },
  query: {
    options: ["cpu"],
    run: (options) => report(options, benchQuery(queryOptions(options.quick)), printQuery),
  },
  restart: {
    options: ["cpu"],
    run: (options) => report(options, benchRestart(restartOptions(options.quick)), printRestart),
  },
  memory: {
    options: [],
    run: async (options) => {
      report(options, await benchMemory(memoryOptions(options.quick)), printMemory);
    },
  },
  live: { options: [], run: async (options) => endWith(await benchLive(options)) },
  latency: { options: [], run: async (options) => endWith(await benchLatency(options)) },
  targets: {
    options: ["runs"],
    run: async (options) => {
      endWith(await benchTargets({ ...options, runs: runsOf(options.runs) }));
    },
  },
};

/** Those three say themselves what was missing. */
function endWith(status: number): void {
  process.exitCode = status;
}

async function runCore(options: Options): Promise<void> {
  const { against, native, form, cpu, quick } = options;
  // Another checkout has a clock of its own.
  if (against !== undefined && (native || cpu)) {
    throw new UsageError("--against goes with neither --native nor --cpu");
  }
  if (form !== undefined && !native) throw new UsageError("--form goes with --native");
  if (against !== undefined) {
    const other = await openOther(against);
    report(options, [...benchAgainst(other, coreOptions(quick))], printAgainst);
  } else if (native) {
    report(options, benchNative(coreOptions(quick), formOf(form)), printNative);
  } else {
    report(options, [...benchCore(coreOptions(quick))], printCore);
  }
}

function coreOptions(quick: boolean): CoreOptions {
  if (quick) return { conns: [1, 1000, 60_000], repetitions: 3, packets: 500_000 };
  return { conns: [1, 1000, 60_000, 1_000_000], repetitions: 5, packets: 2_000_000 };
}

function scaleOptions(quick: boolean): ScaleOptions {
  if (quick) {
    const zones = [1, 100];
    const sizes = { conns: [1000, 60_000], zones, "nat zones": zones, flows: [1, 100] };
    const shared = { workers: [1, 2], workersConns: [60_000] };
    return { sizes, conns: 60_000, ...shared, repetitions: 3, packets: 200_000 };
  }
  const zones = [1, 10, 100, 1000, 4000];
  const sizes = {
    conns: [1000, 10_000, 100_000, 1_000_000, 4_000_000],
    zones,
    "nat zones": zones,
    flows: [1, 10, 100, 1000, 10_000],
  };
  const shared = { workers: [1, 2], workersConns: [1000, 60_000] };
  return { sizes, conns: 60_000, ...shared, repetitions: 5, packets: 1_000_000 };
}

function queryOptions(quick: boolean): QueryOptions {
  return quick ? { conns: 100_000, repetitions: 5 } : { conns: 1_000_000, repetitions: 15 };
}

function restartOptions(quick: boolean): RestartOptions {
  if (quick) return { conns: [1000, 60_000], repetitions: 5 };
  return { conns: [1000, 60_000, 1_000_000], repetitions: 9 };
}

/** The first is what a configuration has by itself. */
function memoryOptions(quick: boolean): MemoryOptions {
  if (quick) return { conns: [65_536], starts: 3, fills: 1 };
  return { conns: [65_536, 1_000_000], starts: 21, fills: 3 };
}

function runsOf(text = "3"): number {
  if (!/^[1-9]\d?$/.test(text)) {
    throw new UsageError(`--runs: a number from 1 to 99 expected, found '${text}'`);
  }
  return Number(text);
}

function formOf(text: string | undefined): Form {
  const found = FORMS.find((each) => each === (text ?? FORMS[0]));
  if (found === undefined) {
    throw new UsageError(`--form: one of ${FORMS.join(", ")} expected, found '${text}'`);
  }
  return found;
}

/** Prints what `show` makes of a result, or all of it as JSON. */
function report<Result>({ json }: Options, result: Result, show: (result: Result) => void): void {
  if (!json) show(result);
  else console.log(JSON.stringify({ machine: machine(), ...named(result) }, null, 2));
}

function named(result: unknown): object {
  return Array.isArray(result) ? { rows: result } : Object(result);
}

/** @throws UsageError when there is no such benchmark, or it does not take what was said */
function read(args: string[]): [Benchmark, Options] {
  const { values, positionals } = parseArgs({
    args,
    options: {
      against: { type: "string" },
      form: { type: "string" },
      runs: { type: "string" },
      native: { type: "boolean" },
      cpu: { type: "boolean" },
      json: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  const names = Object.keys(BENCHMARKS).join(", ");
  const [name = "", surplus] = positionals;
  if (name === "") throw new UsageError(`one of ${names} expected`);
  const benchmark = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
  if (benchmark === undefined) throw new UsageError(`'${name}' is none of ${names}`);
  if (surplus !== undefined) throw new UsageError(`unexpected argument '${surplus}'`);
  const taken = ["json", "quick", ...benchmark.options];
  const other = Object.keys(values).find((each) => !taken.includes(each));
  if (other !== undefined) throw new UsageError(`${name} has no --${other}`);
  return [benchmark, values];
}

/** What to say of an error that is the caller's or the machine's; undefined for one of ours. */
function explain(error: unknown): string | undefined {
  if (error instanceof UsageError) return `bench: ${error.message}\n\n${USAGE}`;
  // Behind the first sentence Node says how to pass a file whose name looks like an option.
  if (isParseError(error)) return `bench: ${error.message.split(". ")[0]}\n\n${USAGE}`;
  if (error instanceof AgainstError) return `bench: --against: ${error.message}`;
  if (error instanceof NativeError) return `bench: --native: ${error.message}`;
  return undefined;
}

/** Of util.parseArgs: an option that nobody knows, or one without its value. */
function isParseError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && /^ERR_PARSE_ARGS/.test(String(error.code));
}

async function main(args: string[]): Promise<void> {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(USAGE);
    return;
  }
  const [benchmark, options] = read(args);
  if (options.cpu) useClock("cpu");
  await benchmark.run(options);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const text = explain(error);
  if (text === undefined) throw error;
  console.error(text);
  process.exitCode = 2;
}
