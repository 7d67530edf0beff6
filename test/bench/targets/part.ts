/**
 * One benchmark of those in memory as a process; prints its result as JSON.
 *
 *     node part.js core|native|scale|memory OPTIONS
 */

import { benchCore } from "../core.js";
import { benchMemory } from "../memory.js";
import { benchNative, FORMS, NativeError } from "../native.js";
import { benchScale } from "../scale.js";
import type { InMemory } from "./parts.js";

type Benchmarks = { readonly [P in keyof InMemory]: (options: InMemory[P]) => unknown };

const BENCHMARKS: Benchmarks = {
  core: (options) => [...benchCore(options)],
  native: (options) => benchNative(options, FORMS[0]),
  scale: benchScale,
  memory: benchMemory,
};

const [, , part = "", options = ""] = process.argv;
try {
  const benchmark = BENCHMARKS[part as keyof InMemory] as (options: unknown) => unknown;
  console.log(JSON.stringify(await benchmark(JSON.parse(options))));
} catch (error) {
  if (!(error instanceof NativeError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
