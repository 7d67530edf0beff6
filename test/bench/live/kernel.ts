/** What the live benchmark asks of bpf(2) and the router does not: linux/bpf.h. */

import { readFileSync } from "node:fs";
import {
  addressOfView,
  check,
  Errno,
  errno,
  libc,
  SystemError,
} from "../../../host/device/libc.js";

enum Command {
  MapLookup = 1,
  MapUpdate = 2,
  ProgramTestRun = 10,
}

/** Bytes of union bpf_attr as far as we fill it. */
const ATTRIBUTE_BYTES = 80;

/** union bpf_attr for the commands on maps. */
enum MapAt {
  Fd = 0,
  Key = 8,
  Value = 16,
}

/** union bpf_attr for BPF_PROG_TEST_RUN. */
enum TestAt {
  Fd = 0,
  DataBytes = 8,
  Data = 16,
  Repeat = 32,
  Flags = 64,
  BatchFrames = 72,
}

/** BPF_F_TEST_XDP_LIVE_FRAMES: what the program says of a frame is done. */
const LIVE_FRAMES = 2;

/** Frames between two flushes: NAPI's own budget. */
const BATCH_FRAMES = 64;

/** Memory that the kernel reads or writes by the address in another view must not be collected meanwhile. */
function pointer(view: DataView, at: number, to: NodeJS.ArrayBufferView): void {
  view.setBigUint64(at, BigInt(addressOfView(to)), true);
}

function onMap(command: Command, map: number, value: BigUint64Array): void {
  const view = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  const key = new Uint32Array(1);
  view.setUint32(MapAt.Fd, map, true);
  pointer(view, MapAt.Key, key);
  pointer(view, MapAt.Value, value);
  check(libc().bpf(command, view, ATTRIBUTE_BYTES), "map", "bpf(BPF_MAP_…_ELEM)");
}

/** Entry 0 of an array of 64-bit words. */
export function readWords(map: number, words: number): bigint[] {
  const value = new BigUint64Array(words);
  onMap(Command.MapLookup, map, value);
  return [...value];
}

export function writeWords(map: number, words: readonly bigint[]): void {
  onMap(Command.MapUpdate, map, BigUint64Array.from(words));
}

/** Entry 0 of a per-CPU array of 64-bit words: the sums over all processors. */
export function sumWords(map: number, words: number): number[] {
  const all = readWords(map, words * possibleCpus());
  return Array.from({ length: words }, (_, word) =>
    all.reduce((sum, each, place) => (place % words === word ? sum + Number(each) : sum), 0),
  );
}

/** Processors that there could be, which is what per-CPU maps have room for. */
function possibleCpus(): number {
  const text = readFileSync("/sys/devices/system/cpu/possible", "utf8").trim();
  return Number(text.split(/[-,]/).at(-1)) + 1;
}

/**
 * Runs an XDP program so many times, each time on a frame of the kernel's own that begins as `frame`; where the
 * program redirects it, it goes. A page comes back as the last use left it.
 * @returns false when a signal ended it before
 */
export function runLive(program: number, frame: Uint8Array, times: number): boolean {
  const view = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  view.setUint32(TestAt.Fd, program, true);
  view.setUint32(TestAt.DataBytes, frame.byteLength, true);
  pointer(view, TestAt.Data, frame);
  view.setUint32(TestAt.Repeat, times, true);
  view.setUint32(TestAt.Flags, LIVE_FRAMES, true);
  view.setUint32(TestAt.BatchFrames, BATCH_FRAMES, true);
  if (libc().bpf(Command.ProgramTestRun, view, ATTRIBUTE_BYTES) >= 0) return true;
  const number = errno();
  if (number === Errno.Intr) return false;
  throw new SystemError("generator", "bpf(BPF_PROG_TEST_RUN) of live frames", number);
}
