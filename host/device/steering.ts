/**
 * How the kernel shares out what comes in by one interface among the packet sockets of several workers: a program in
 * classic BPF for PACKET_FANOUT_CBPF (packet(7); linux/if_packet.h), which returns the worker's number. It follows the
 * rule of assembly/nat/owner.ts as far as a packet shows what that needs. Who gets a packet that is not his own hands it on:
 *
 *     not IPv4, two tags                           to worker 0
 *     a tag that the program does not know         by its host, with the tag in place of the zone
 *     an address beyond RANGES_MAX of its zone     by its host
 *
 * The kernel takes 4096 instructions. A device needs 3 to 5 of them, more where its zone has external addresses, so
 * some 800 to 1300 have a place; those with external addresses come first.
 *
 * The program sees a packet from its network header on: a VLAN tag has been moved beside it.
 */
import { HOST_FACTOR, ZONE_FACTOR } from "../../assembly/abi.js";
import {
  type CodeLine,
  code,
  encode,
  INSTRUCTIONS_MAX,
  jump,
  jumpIf,
  label,
  NEXT,
  Operation,
  ProgramTooLong,
} from "./classicbpf.js";

/** What the rule needs of one device on an interface. */
export interface SteeredDevice {
  /** Identifier of its tag; undefined for untagged frames. */
  readonly vlan: number | undefined;
  /** Number of its zone. */
  readonly zone: number;
  /** Addresses of pools in the zone, by their first and last; without those of deterministic pools. */
  readonly externals: readonly { readonly first: number; readonly last: number }[];
}

/** What the program of an interface follows from. */
export interface Steering {
  readonly workers: number;
  /** External ports stand together in twos to this power (abi's StartAt.ShareShift). */
  readonly shareShift: number;
  readonly devices: readonly SteeredDevice[];
}

/** SKF_AD_OFF and SKF_NET_OFF of linux/filter.h, as unsigned words. */
const ANCILLARY = 0xfffff000;
const NETWORK = 0xfff00000;
enum Ancillary {
  Protocol = 0,
  VlanTag = 44,
  VlanTagPresent = 48,
}

const IPV4 = 0x0800;
/** Offsets in an IPv4 header. */
enum IpAt {
  Fragment = 6,
  Protocol = 9,
  Source = 12,
  Destination = 16,
}
const ANY_FRAGMENT = 0x3fff;
enum Protocol {
  Icmp = 1,
  Tcp = 6,
  Udp = 17,
}
/** The reply of an echo has its asker's identifier, four bytes into the header. */
const ECHO_REPLY = 0;
const IDENTIFIER_AT = 4;
const DESTINATION_PORT_AT = 2;

/** Address ranges of a zone beyond these are not known for ours. */
const RANGES_MAX = 64;

/** No program has a place for more: each takes three instructions at least. */
const DEVICES_MAX = Math.floor(INSTRUCTIONS_MAX / 3);

/** VLAN identifiers have 12 bits, and 0 is none. */
const VLANS = 4096;

/** Where what is in no part of the program goes on. */
const BY_TAG = "by tag";
const BY_HOST = "by host";
const OTHER = "other";

/** The program as the array of struct sock_filter that PACKET_FANOUT_DATA wants. */
export function buildSteering(steering: Steering): Uint8Array {
  const { devices } = steering;
  const hasExternals = ({ externals }: SteeredDevice) => externals.length > 0;
  const sorted = [
    ...devices.filter(hasExternals),
    ...devices.filter((device) => !hasExternals(device)),
  ];
  for (let known = Math.min(sorted.length, DEVICES_MAX); ; known -= Math.ceil(known / 16)) {
    try {
      return encode(programOf({ ...steering, devices: sorted.slice(0, known) }));
    } catch (error) {
      if (!(error instanceof ProgramTooLong)) throw error;
    }
  }
}

function programOf(steering: Steering): CodeLine[] {
  const { devices } = steering;
  const byVlan = new Map<number, SteeredDevice>();
  for (const device of devices) if (device.vlan !== undefined) byVlan.set(device.vlan, device);
  const tagged = [...byVlan].sort(([a], [b]) => a - b);
  const untagged = devices.find(({ vlan }) => vlan === undefined);
  const zones = new Map(devices.map((device) => [device.zone, device]));
  return [
    code(Operation.LoadWord, ANCILLARY + Ancillary.Protocol),
    jumpIf(Operation.JumpEqual, IPV4, NEXT, OTHER),
    code(Operation.LoadByte, ANCILLARY + Ancillary.VlanTagPresent),
    jumpIf(Operation.JumpEqual, 0, "untagged", NEXT),
    code(Operation.LoadHalf, ANCILLARY + Ancillary.VlanTag),
    code(Operation.And, 0xfff),
    // A tag of VLAN 0 counts as none.
    jumpIf(Operation.JumpEqual, 0, "untagged", NEXT),
    ...new VlanSearch(tagged).lines,
    label("untagged"),
    ...(untagged === undefined ? [jump(BY_TAG)] : atDevice(untagged)),
    ...[...zones.values()].flatMap((device) => atZone(device, steering)),
    label(BY_TAG),
    code(Operation.Multiply, ZONE_FACTOR),
    code(Operation.CopyToX),
    label(BY_HOST),
    ...byHost(steering),
    label(OTHER),
    code(Operation.Return, 0),
  ];
}

/** Halves the list until one is left; where no other tag can be, that one is not compared. */
class VlanSearch {
  readonly lines: CodeLine[] = [];
  private labels = 0;

  constructor(private readonly tagged: readonly (readonly [vlan: number, SteeredDevice])[]) {
    this.search(0, tagged.length, 1, VLANS);
  }

  /** Among those from `first` up to `end`, for a tag that is at least `low` and below `high`. */
  private search(first: number, end: number, low: number, high: number): void {
    const { lines, tagged } = this;
    const middle = (first + end) >> 1;
    const [vlan, device] = tagged[middle] ?? [];
    if (vlan === undefined || device === undefined) {
      lines.push(jump(BY_TAG));
    } else if (end - first === 1) {
      if (high - low > 1) lines.push(jumpIf(Operation.JumpEqual, vlan, NEXT, BY_TAG));
      lines.push(...atDevice(device));
    } else {
      const upper = this.labels++;
      lines.push(jumpIf(Operation.JumpAtLeast, vlan, upper, NEXT));
      this.search(first, middle, low, vlan);
      lines.push(label(upper));
      this.search(middle, end, vlan, high);
    }
  }
}

function atDevice(device: SteeredDevice): CodeLine[] {
  return device.externals.length > 0 ? [jump(`zone ${device.zone}`)] : toHost(device);
}

/** By its host, with the zone's part of the hash. */
function toHost({ zone }: SteeredDevice): CodeLine[] {
  const part = Math.imul(zone, ZONE_FACTOR) >>> 0;
  return [code(Operation.LoadXImmediate, part), jump(BY_HOST)];
}

/** By port where the packet goes to an external address of the zone. */
function atZone(device: SteeredDevice, steering: Steering): CodeLine[] {
  const { zone, externals } = device;
  if (externals.length === 0) return [];
  const name = `zone ${zone}`;
  return [
    label(name),
    code(Operation.LoadWord, NETWORK + IpAt.Destination),
    ...externals
      .slice(0, RANGES_MAX)
      .flatMap(({ first, last }, i) => [
        jumpIf(Operation.JumpAtLeast, first, NEXT, `${name} not ${i}`),
        jumpIf(Operation.JumpAbove, last, NEXT, `${name} ours`),
        label(`${name} not ${i}`),
      ]),
    jump(`${name} host`),
    label(`${name} ours`),
    ...byPort(name, steering),
    label(`${name} host`),
    ...toHost(device),
  ];
}

/** A fragment goes to its host's worker, where its datagram is put in order. */
function byPort(name: string, { workers, shareShift }: Steering): CodeLine[] {
  const host = `${name} host`;
  return [
    code(Operation.LoadHalf, NETWORK + IpAt.Fragment),
    jumpIf(Operation.JumpSet, ANY_FRAGMENT, host, NEXT),
    code(Operation.LoadHeaderBytes, NETWORK),
    code(Operation.LoadByte, NETWORK + IpAt.Protocol),
    jumpIf(Operation.JumpEqual, Protocol.Tcp, `${name} ports`, NEXT),
    jumpIf(Operation.JumpEqual, Protocol.Udp, `${name} ports`, NEXT),
    jumpIf(Operation.JumpEqual, Protocol.Icmp, NEXT, host),
    code(Operation.LoadByteAtX, NETWORK),
    jumpIf(Operation.JumpEqual, ECHO_REPLY, NEXT, host),
    code(Operation.LoadHalfAtX, NETWORK + IDENTIFIER_AT),
    jump(`${name} share`),
    label(`${name} ports`),
    code(Operation.LoadHalfAtX, NETWORK + DESTINATION_PORT_AT),
    label(`${name} share`),
    code(Operation.ShiftRight, shareShift),
    code(Operation.CopyToX),
    code(Operation.LoadHalf, NETWORK + IpAt.Destination + 2),
    code(Operation.AddX),
    code(Operation.Modulo, workers),
    code(Operation.ReturnA),
  ];
}

/** X is the zone's part of the hash. */
function byHost({ workers }: Steering): CodeLine[] {
  return [
    code(Operation.LoadWord, NETWORK + IpAt.Source),
    code(Operation.XorX),
    code(Operation.Multiply, HOST_FACTOR),
    code(Operation.ShiftRight, 16),
    code(Operation.Multiply, workers),
    code(Operation.ShiftRight, 16),
    code(Operation.ReturnA),
  ];
}
