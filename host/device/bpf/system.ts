/** bpf(2): maps, programs and links, each a file descriptor that keeps it alive. linux/bpf.h. */

import { addressOfView, check, errno, libc, SystemError } from "../libc.js";

enum Command {
  MapCreate = 0,
  MapUpdate = 2,
  ProgramLoad = 5,
  LinkCreate = 28,
  LinkUpdate = 29,
}

export enum MapType {
  Array = 2,
  PerCpuArray = 6,
  XskMap = 17,
}

export enum ProgramType {
  TrafficClass = 3,
  Xdp = 6,
}

export enum AttachType {
  Xdp = 37,
  TrafficIngress = 46,
}

/** Flags of a link to XDP: linux/if_link.h. */
export enum XdpMode {
  Native = 4,
}

/** Flags of a program. */
export enum ProgramFlag {
  /** For one interface alone, whose driver's functions it may call. */
  DeviceBound = 64,
}

/** Bytes of union bpf_attr as far as we fill it; kernels take the rest as 0. */
const ATTRIBUTE_BYTES = 128;

/** A refusal of the verifier ends with its reason. */
const LOG_BYTES = 65536;

/** struct bpf_attr for BPF_PROG_LOAD. */
enum LoadAt {
  Type = 0,
  Instructions = 4,
  Code = 8,
  License = 16,
  LogLevel = 24,
  LogBytes = 28,
  Log = 32,
  Flags = 44,
  Name = 48,
  Interface = 64,
  AttachType = 68,
}

/** Longest name of a map or program, the closing zero included. */
const NAME_BYTES = 16;

const INSTRUCTION_BYTES = 8;

/** Some helpers and all functions of the kernel ask for a licence that is compatible with its own. */
const LICENSE = Buffer.from("Dual MIT/GPL\0");

/** A union bpf_attr that keeps what it points to alive. */
class Attribute {
  readonly view = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  private readonly kept: NodeJS.ArrayBufferView[] = [];

  word(at: number, value: number): this {
    this.view.setUint32(at, value, true);
    return this;
  }
  pointer(at: number, to: NodeJS.ArrayBufferView): this {
    this.kept.push(to);
    this.view.setBigUint64(at, BigInt(addressOfView(to)), true);
    return this;
  }
  name(at: number, text: string): this {
    Buffer.from(this.view.buffer).write(text.slice(0, NAME_BYTES - 1), at, "latin1");
    return this;
  }
}

function bpf(command: Command, { view }: Attribute): number {
  return libc().bpf(command, view, ATTRIBUTE_BYTES);
}

/** @returns its file descriptor */
export function createMap(
  who: string,
  type: MapType,
  keyBytes: number,
  valueBytes: number,
  entries: number,
): number {
  const attribute = new Attribute()
    .word(0, type)
    .word(4, keyBytes)
    .word(8, valueBytes)
    .word(12, entries)
    .name(28, "crosszone");
  return check(bpf(Command.MapCreate, attribute), who, "bpf(BPF_MAP_CREATE)");
}

export function updateMap(
  who: string,
  map: number,
  key: NodeJS.ArrayBufferView,
  value: NodeJS.ArrayBufferView,
): void {
  const attribute = new Attribute().word(0, map).pointer(8, key).pointer(16, value);
  check(bpf(Command.MapUpdate, attribute), who, "bpf(BPF_MAP_UPDATE_ELEM)");
}

export interface ProgramOptions {
  readonly name: string;
  readonly attachType?: AttachType;
  /** Index of the one interface that a DeviceBound program is for. */
  readonly boundTo?: number;
}

/**
 * @param code  what `assemble` made
 * @returns its file descriptor
 * @throws SystemError with the verifier's last words
 */
export function loadProgram(
  who: string,
  type: ProgramType,
  code: Uint8Array,
  options: ProgramOptions,
): number {
  const { name, attachType = 0, boundTo = 0 } = options;
  const log = Buffer.alloc(LOG_BYTES);
  const attribute = new Attribute()
    .word(LoadAt.Type, type)
    .word(LoadAt.Instructions, code.length / INSTRUCTION_BYTES)
    .pointer(LoadAt.Code, code)
    .pointer(LoadAt.License, LICENSE)
    .word(LoadAt.LogLevel, 1)
    .word(LoadAt.LogBytes, LOG_BYTES)
    .pointer(LoadAt.Log, log)
    .word(LoadAt.Flags, boundTo === 0 ? 0 : ProgramFlag.DeviceBound)
    .name(LoadAt.Name, name)
    .word(LoadAt.Interface, boundTo)
    .word(LoadAt.AttachType, attachType);
  const fd = bpf(Command.ProgramLoad, attribute);
  if (fd >= 0) return fd;
  const number = errno();
  const said = lastWords(log);
  throw new SystemError(who, `bpf(BPF_PROG_LOAD)${said === "" ? "" : `, "${said}"`}`, number);
}

/** The last line of the verifier's log that is not its statistics. */
function lastWords(log: Buffer): string {
  const text = log.toString("latin1", 0, log.indexOf(0));
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("processed "));
  return lines.at(-1) ?? "";
}

/**
 * Attaches a program to an interface until the link, or the process, is closed.
 * @param flags  XdpMode where it is XDP
 * @returns the link's file descriptor
 */
export function createLink(
  who: string,
  program: number,
  interfaceIndex: number,
  type: AttachType,
  flags = 0,
): number {
  const attribute = new Attribute()
    .word(0, program)
    .word(4, interfaceIndex)
    .word(8, type)
    .word(12, flags);
  return check(bpf(Command.LinkCreate, attribute), who, "bpf(BPF_LINK_CREATE)");
}

/** Puts another program in the place of the one that is attached; no frame passes between them. */
export function updateLink(who: string, link: number, program: number): void {
  const attribute = new Attribute().word(0, link).word(4, program);
  check(bpf(Command.LinkUpdate, attribute), who, "bpf(BPF_LINK_UPDATE)");
}
