/**
 * How the kernel shares out what comes in by one interface among the packet sockets of several workers: a program in
 * classic BPF for PACKET_FANOUT_CBPF (packet(7); linux/if_packet.h), which returns the worker's number. It follows the
 * rule of assembly/nat/owner.ts as far as a packet shows what that needs; whatever else there is, and ARP, goes to one
 * of them, who hands it on.
 *
 * The program sees a packet from its network header on: a VLAN tag has been moved beside it.
 */
import {
  type CodeLine,
  code,
  encode,
  jump,
  jumpIf,
  label,
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

/** The multipliers of assembly/nat/owner.ts. */
const ZONE_FACTOR = 0x85ebca6b;
const HOST_FACTOR = 0x9e3779b1;

/** A word of the program's memory that keeps the zone's part of the hash. */
const ZONE_PART = 0;

/** Devices and address ranges beyond these are not told apart: their packets go to whom they would by their host. */
const DEVICES_MAX = 512;
const RANGES_MAX = 64;

/** The program as the array of struct sock_filter that PACKET_FANOUT_DATA wants. */
export function buildSteering(steering: Steering): Uint8Array {
  try {
    return encode(programOf(steering));
  } catch (error) {
    if (!(error instanceof ProgramTooLong)) throw error;
    // All to one, who hands it on.
    return encode([code(Operation.Return, 0)]);
  }
}

function programOf(steering: Steering): CodeLine[] {
  const { devices } = steering;
  const known = devices.slice(0, DEVICES_MAX);
  const tagged = known
    .filter(({ vlan }) => vlan !== undefined)
    .sort((a, b) => (a.vlan ?? 0) - (b.vlan ?? 0));
  const untagged = known.find(({ vlan }) => vlan === undefined);
  const zones = new Map(known.map((device) => [device.zone, device]));
  return [
    code(Operation.LoadWord, ANCILLARY + Ancillary.Protocol),
    jumpIf(Operation.JumpEqual, IPV4, "ipv4", "other"),
    label("ipv4"),
    code(Operation.LoadByte, ANCILLARY + Ancillary.VlanTagPresent),
    jumpIf(Operation.JumpEqual, 0, nameOf(untagged), "tagged"),
    label("tagged"),
    code(Operation.LoadHalf, ANCILLARY + Ancillary.VlanTag),
    code(Operation.And, 0xfff),
    // A tag of VLAN 0 counts as none.
    jumpIf(Operation.JumpEqual, 0, nameOf(untagged), "search 0"),
    label("search 0"),
    ...searchVlan(tagged),
    ...[...zones.values()].flatMap((device) => atZone(device, steering)),
    label("host"),
    ...byHost(steering),
    label("other"),
    code(Operation.Return, 0),
  ];
}

function nameOf(device: SteeredDevice | undefined): string {
  return device === undefined ? "other" : `zone ${device.zone}`;
}

/** Halves the list until one is left. */
function searchVlan(sorted: readonly SteeredDevice[], place = "v"): CodeLine[] {
  const middle = sorted.length >> 1;
  const device = sorted[middle];
  if (device === undefined) return [jump("other")];
  if (sorted.length === 1) {
    return [jumpIf(Operation.JumpEqual, device.vlan ?? 0, nameOf(device), "other")];
  }
  return [
    jumpIf(Operation.JumpAtLeast, device.vlan ?? 0, `${place}>`, `${place}<`),
    label(`${place}<`),
    ...searchVlan(sorted.slice(0, middle), `${place}<`),
    label(`${place}>`),
    ...searchVlan(sorted.slice(middle), `${place}>`),
  ];
}

/** Notes the zone's part of a host's hash; then by port where the packet goes to an external address. */
function atZone({ zone, externals }: SteeredDevice, steering: Steering): CodeLine[] {
  const ranges = externals.slice(0, RANGES_MAX);
  const name = `zone ${zone}`;
  return [
    label(name),
    code(Operation.LoadImmediate, Math.imul(zone, ZONE_FACTOR) >>> 0),
    code(Operation.Store, ZONE_PART),
    ...(ranges.length === 0
      ? [jump("host")]
      : [
          code(Operation.LoadWord, NETWORK + IpAt.Destination),
          ...ranges.flatMap(({ first, last }, i) => [
            jumpIf(Operation.JumpAtLeast, first, `${name} from ${i}`, `${name} not ${i}`),
            label(`${name} from ${i}`),
            jumpIf(Operation.JumpAbove, last, `${name} not ${i}`, `${name} ours`),
            label(`${name} not ${i}`),
          ]),
          jump("host"),
          label(`${name} ours`),
          ...byPort(name, steering),
        ]),
  ];
}

/** A fragment goes to its host's worker, where its datagram is put in order. */
function byPort(name: string, { workers, shareShift }: Steering): CodeLine[] {
  return [
    code(Operation.LoadHalf, NETWORK + IpAt.Fragment),
    jumpIf(Operation.JumpSet, ANY_FRAGMENT, "host", `${name} whole`),
    label(`${name} whole`),
    code(Operation.LoadHeaderBytes, NETWORK),
    code(Operation.LoadByte, NETWORK + IpAt.Protocol),
    jumpIf(Operation.JumpEqual, Protocol.Tcp, `${name} ports`, `${name} not tcp`),
    label(`${name} not tcp`),
    jumpIf(Operation.JumpEqual, Protocol.Udp, `${name} ports`, `${name} not udp`),
    label(`${name} not udp`),
    jumpIf(Operation.JumpEqual, Protocol.Icmp, `${name} icmp`, "host"),
    label(`${name} icmp`),
    code(Operation.LoadByteAtX, NETWORK),
    jumpIf(Operation.JumpEqual, ECHO_REPLY, `${name} reply`, "host"),
    label(`${name} reply`),
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

function byHost({ workers }: Steering): CodeLine[] {
  return [
    code(Operation.LoadXFromMemory, ZONE_PART),
    code(Operation.LoadWord, NETWORK + IpAt.Source),
    code(Operation.XorX),
    code(Operation.Multiply, HOST_FACTOR),
    code(Operation.ShiftRight, 16),
    code(Operation.Multiply, workers),
    code(Operation.ShiftRight, 16),
    code(Operation.ReturnA),
  ];
}
