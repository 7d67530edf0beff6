/**
 * The kernel's type information, as far as programs need it that call its functions: the number of a function by
 * its name. Documentation/bpf/btf.rst of the kernel.
 */

import { readFileSync } from "node:fs";

const KERNEL_TYPES = "/sys/kernel/btf/vmlinux";

const MAGIC = 0xeb9f;

/** struct btf_header */
enum HeaderAt {
  HeaderBytes = 4,
  Types = 8,
  TypeBytes = 12,
  Strings = 16,
}

/** struct btf_type, in front of what its kind adds. */
enum TypeAt {
  Name = 0,
  Info = 4,
  Bytes = 12,
}

enum Kind {
  Function = 12,
}

/** Bytes behind a struct btf_type, by kind: as they are, and for each of its members. */
const FIXED: readonly number[] = [0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0];
const EACH: readonly number[] = [0, 0, 0, 0, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 0, 12, 0, 0, 0, 12];

/** What was found: the kernel's types are 5 MB, and stay as they are while it runs. */
const known = new Map<string, number>();

/** The kernel's number of one of its functions, 0 where it has none of this name or says nothing of itself. */
export function kernelFunction(name: string): number {
  let id = known.get(name);
  if (id === undefined) {
    id = read(name);
    known.set(name, id);
  }
  return id;
}

function read(name: string): number {
  try {
    return functionIn(readFileSync(KERNEL_TYPES), name);
  } catch {
    return 0;
  }
}

/** The same in type information that was read; 0 also where it is not what we know. */
export function functionIn(types: Buffer, name: string): number {
  if (types.length < 24 || types.readUInt16LE(0) !== MAGIC) return 0;
  const headerBytes = types.readUInt32LE(HeaderAt.HeaderBytes);
  const strings = headerBytes + types.readUInt32LE(HeaderAt.Strings);
  const nameAt = types.indexOf(`\0${name}\0`, strings, "latin1") + 1 - strings;
  if (nameAt <= 0) return 0;
  let at = headerBytes + types.readUInt32LE(HeaderAt.Types);
  const end = at + types.readUInt32LE(HeaderAt.TypeBytes);
  for (let id = 1; at + TypeAt.Bytes <= end; id++) {
    const info = types.readUInt32LE(at + TypeAt.Info);
    const kind = (info >>> 24) & 0x1f;
    if (kind === Kind.Function && types.readUInt32LE(at + TypeAt.Name) === nameAt) return id;
    const fixed = FIXED[kind];
    const each = EACH[kind];
    if (fixed === undefined || each === undefined) return 0;
    at += TypeAt.Bytes + fixed + each * (info & 0xffff);
  }
  return 0;
}
