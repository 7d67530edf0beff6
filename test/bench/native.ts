/**
 * The same dist/datapath.wasm as machine code of a C compiler: wasm2c makes C of it, gcc -O3 a shared library, and
 * koffi calls its exports. What Wasm in V8 costs beside that is the price of the sandbox and of a compiler in a
 * hurry, not of the datapath.
 *
 * Only the code differs. Both forms work in a WebAssembly.Memory of V8's, are driven by the same lines of core.ts
 * and take turns, repetition by repetition. Once, the frames out and the whole memory of both are compared.
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { type Exports, type Instantiate, instantiatorOf, loadModule } from "../../host/datapath.js";
import { addressOf } from "../../host/device/libc.js";
import { type AgainstRow, benchAgainst, repeatBy } from "./against.js";
import { Core, type CoreOptions } from "./core.js";
import { batches, Edge, EdgePlan, LAN, Pristine, shuffled, WAN } from "./edge.js";
import { bestRatio, list, median, round, timeNs } from "./measure.js";

/** Run from dist/test/bench. */
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const WASM = join(ROOT, "dist/datapath.wasm");
const NATIVE = join(ROOT, "test/bench/native");
const SIMDE = "simde/wasm/simd128.h";

/** The one whose C inForm() edits and test/bench/native/ is written for. */
const WASM2C_VERSION = "1.0.39";

const require = createRequire(import.meta.url);

/**
 * How the C reaches the linear memory, the fastest first. That nothing reaches beyond it is seen to
 *
 *     register  by the guard pages that V8 reserves behind its memories, without an instruction; and where the
 *               memory begins stands in a register: both as in V8's own code
 *     guarded   by the guard pages; where it begins is read again and again
 *     forced    the same; and loads whose value nobody uses are made, so that they can trap, as wasm2c writes it
 *     checked   by a comparison before each access, for memories without guard pages
 */
export const FORMS = ["register", "guarded", "forced", "checked"] as const;
export type Form = (typeof FORMS)[number];

export class NativeError extends Error {}

export interface NativeBuild {
  readonly wasm2c: string;
  readonly compiler: string;
  readonly flags: readonly string[];
  readonly form: Form;
  /** What calling an export costs beyond calling one in V8; in the figures once for each batch of 256. */
  readonly callNs: number;
}

export interface NativeRow {
  readonly name: AgainstRow["name"];
  readonly conns: number;
  readonly nativeNs: number;
  readonly wasmNs: number;
  /** Wasm by native: above 1, native is faster. */
  readonly ratio: number;
  /** The same of the fastest repetitions. */
  readonly bestRatio: number;
  readonly nativeRaw: readonly number[];
  readonly wasmRaw: readonly number[];
}

export interface NativeResult {
  readonly native: NativeBuild;
  readonly rows: readonly NativeRow[];
}

function flagsOf(form: Form, optimise: string): string[] {
  const guarded = form === "checked" ? 0 : 1;
  return [
    optimise,
    "-march=native",
    "-fPIC",
    "-shared",
    `-DWASM_RT_MEMCHECK_GUARD_PAGES=${guarded}`,
  ];
}

/** Runs a tool and returns what it prints. @param from  where it is found when there is none */
function run(tool: string, from: string, command: string, args: readonly string[]): string {
  const { error, status, signal, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (error !== undefined) {
    throw new NativeError(`${tool} does not run (${error.message}); ${from} has it`);
  }
  if (status === 0) return stdout;
  const said = stripVTControlCharacters(`${stderr}${stdout}`).trim().slice(0, 2000);
  const how = signal ?? `exit code ${status}`;
  throw new NativeError(`${tool} failed (${how}):\n${said || "It said nothing."}`);
}

/** A Node program of the npm package wabt. */
export function wasm2c(...args: readonly string[]): string {
  let program: string;
  try {
    program = require.resolve("wabt/bin/wasm2c");
  } catch {
    throw new NativeError("no wasm2c; npm's package wabt has it, which `npm ci` installs");
  }
  return run("wasm2c", "npm's package wabt", process.execPath, [program, ...args]);
}

const gcc = (...args: readonly string[]) => run("gcc", "Debian's package gcc", "gcc", args);

/** The C compiler's name and version. @throws NativeError saying which of Debian's packages is missing */
function compilerVersion(): string {
  const version = gcc("--version").split("\n", 1)[0] ?? "gcc";
  const including = ["-E", "-x", "c", "-include", SIMDE, "/dev/null", "-o", "/dev/null"];
  if (spawnSync("gcc", including).status !== 0) {
    throw new NativeError(`gcc finds no <${SIMDE}>; Debian's package libsimde-dev has it`);
  }
  return version;
}

/** Whether what `--native` needs beyond npm's packages is there. */
export function hasCompiler(): boolean {
  try {
    compilerVersion();
    return true;
  } catch {
    return false;
  }
}

function wasm2cVersion(): string {
  const version = wasm2c("--version").trim();
  if (version === WASM2C_VERSION) return version;
  throw new NativeError(`wasm2c is ${version}, needed is ${WASM2C_VERSION}: \`npm ci\``);
}

/** What wasm2c wrote, as the form wants it. */
function inForm(form: Form, source: string): string {
  if (form === "forced" || form === "checked") return source;
  const unforced = edited(source, /__asm__\("" ::"\w"\(var\)\);/g, "");
  if (form === "guarded") return unforced;
  const entered = [
    /^\/\* export: .* \*\/\n\w+ \w+\(.*\) \{$/gm,
    /^ {2}init_instance_import\(instance, w2c_env_instance\);$/gm,
  ].reduce((text, place) => edited(text, place, "$&\n  ENTER(instance);"), unforced);
  const based = edited(entered, "&((mem)->data[addr])", "&linear[addr]");
  return edited(based, '#include "datapath.h"', `$&\n#include "linear.h"`);
}

function edited(source: string, place: RegExp | string, to: string): string {
  const text = source.replace(place, to);
  if (text === source) throw new NativeError(`wasm2c wrote no ${place}`);
  return text;
}

/** Compiles the datapath and loads it. @param optimise  gcc's option */
export function compileNative(form: Form, optimise = "-O3"): [Instantiate, NativeBuild] {
  const folder = mkdtempSync(join(tmpdir(), "crosszone-native-"));
  try {
    const file = (suffix: string) => join(folder, `datapath.${suffix}`);
    const version = wasm2cVersion();
    const compiler = compilerVersion();
    wasm2c(WASM, "--module-name", "datapath", "--output", file("c"));
    writeFileSync(file("c"), inForm(form, readFileSync(file("c"), "utf8")));
    const flags = flagsOf(form, optimise);
    const includes = [`-I${folder}`, `-I${NATIVE}`];
    gcc(...flags, ...includes, "-o", file("so"), file("c"), join(NATIVE, "instance.c"));
    const instantiate = load(file("so"), readFileSync(file("h"), "utf8"));
    const callNs = callNsOf(instantiate);
    return [instantiate, { wasm2c: version, compiler, flags, form, callNs }];
  } finally {
    // What is loaded stays.
    rmSync(folder, { recursive: true });
  }
}

interface Koffi {
  load(path: string): { func(prototype: string): (...args: number[]) => number };
}

/** The library's exports, by the names and types of the header that wasm2c wrote beside it. */
function load(library: string, header: string): Instantiate {
  const koffi = require("koffi") as Koffi;
  const loaded = koffi.load(library);
  const instantiate = loaded.func("uintptr_t nativeInstantiate(uintptr_t memory, uint32_t pages)");
  const functions = Array.from(exportsOf(header), ({ name, symbol, result, parameters }) => {
    const rest = ", uint32_t".repeat(parameters);
    return [name, loaded.func(`${result} ${symbol}(uintptr_t instance${rest})`)] as const;
  });
  return (memory) => {
    const instance = instantiate(addressOf(memory), memory.buffer.byteLength / 65536);
    if (instance === 0) throw new NativeError("no memory for an instance");
    const bound = functions.map(([name, call]) => {
      return [name, (...args: number[]) => call(instance, ...args)] as const;
    });
    return Object.fromEntries(bound) as unknown as Exports;
  };
}

interface NativeExport {
  readonly name: string;
  readonly symbol: string;
  readonly result: "void" | "uint32_t";
  /** Behind the instance, 32 bits each. */
  readonly parameters: number;
}

/** In the header: a comment with the export's name; below it its prototype, `u32 SYMBOL(INSTANCE*, u32, u32);`. */
export function* exportsOf(header: string): Generator<NativeExport> {
  const found = header.matchAll(/export: '(\w+)' \*\/\n(\w+) (\w+)\(\w+\*((?:, u32)*)\);/g);
  for (const [, name = "", result, symbol = "", parameters = ""] of found) {
    const type = result === "void" ? "void" : "uint32_t";
    yield { name, symbol, result: type, parameters: parameters.split(",").length - 1 };
  }
}

/** Of a call that does nothing, beyond the same call in V8. */
function callNsOf(native: Instantiate): number {
  const memory = () => new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const calls = 50_000;
  const nsOf = ({ abiVersion }: Exports) => {
    const once = () =>
      timeNs(() => {
        for (let i = 0; i < calls; i++) abiVersion();
      });
    return median(Array.from({ length: 7 }, once)) / calls;
  };
  return round(nsOf(native(memory())) - nsOf(instantiatorOf(loadModule())(memory())));
}

/** What a form of the code makes of the same frames: a hash of all that leaves, and the memory at the end. */
function outcomeOf(instantiate: Instantiate, conns: number): [frames: string, memory: Uint8Array] {
  const edge = new Edge(new EdgePlan({ conns }), instantiate);
  const hash = createHash("sha256");
  const pass = (from: Pristine, carrier: number, back?: Pristine) => {
    for (const [first, frames] of batches(from.count)) {
      edge.copy(from, first, frames);
      const sent = edge.process(frames, carrier);
      for (let i = 0; i < sent; i++) hash.update(edge.sent(i));
      hash.update(`${sent} `);
      if (back !== undefined) edge.turnAround(back, first, sent);
    }
  };
  const out = Pristine.outward(shuffled(conns));
  const back = new Pristine(conns);
  pass(out, LAN, back);
  pass(back, WAN);
  pass(out, LAN);
  edge.expire();
  edge.rest();
  return [hash.digest("hex"), new Uint8Array(edge.datapath.memory.buffer)];
}

/** @throws NativeError when the two forms do not do the same, to the byte */
export function refuseDifference(one: Instantiate, other: Instantiate, conns: number): void {
  const [frames, memory] = outcomeOf(one, conns);
  const [otherFrames, otherMemory] = outcomeOf(other, conns);
  if (frames !== otherFrames) throw new NativeError("native and Wasm send different frames");
  if (Buffer.compare(memory, otherMemory) !== 0) {
    throw new NativeError("native and Wasm leave different memories");
  }
}

/** Conns by which native and Wasm are compared. */
const COMPARED_CONNS = 20_000;

export function benchNative(options: CoreOptions, form: Form): NativeResult {
  const wasm = instantiatorOf(loadModule());
  const [native, build] = compileNative(form);
  refuseDifference(wasm, native, COMPARED_CONNS);
  const repeatWith = (code: Instantiate) => repeatBy(new Core(code));
  const rows = Array.from(benchAgainst(repeatWith(native), options, repeatWith(wasm)), rowOf);
  return { native: build, rows };
}

function rowOf({ oldNs, newNs, oldRaw, newRaw, ...rest }: AgainstRow): NativeRow {
  const figures = { nativeNs: oldNs, wasmNs: newNs, bestRatio: bestRatio(newRaw, oldRaw) };
  return { ...rest, ...figures, nativeRaw: oldRaw, wasmRaw: newRaw };
}

export function printNative({ native, rows }: NativeResult): void {
  const { wasm2c, compiler, flags, form, callNs } = native;
  console.log(`wasm2c ${wasm2c}, ${compiler}, ${flags.join(" ")}`);
  console.log(`form ${form}; a call costs ${callNs.toFixed(0)} ns more than in V8`);
  for (const row of rows) {
    const { name, conns, nativeNs, wasmNs, nativeRaw, wasmRaw } = row;
    const ns = (value: number) => value.toFixed(1).padStart(8);
    console.log(
      `${name.padEnd(11)} ${String(conns).padStart(8)} conns  native ${ns(nativeNs)}  ` +
        `wasm ${ns(wasmNs)} ns  × ${row.ratio.toFixed(2)}, best × ${row.bestRatio.toFixed(2)}  ` +
        `(${list(nativeRaw)}; ${list(wasmRaw)})`,
    );
  }
}
