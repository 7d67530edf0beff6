/**
 * One configuration in its slot of the arena: a copy of the image, the places of its sections, and the
 * tables derived from it. Two slots take turns, so a refused image never touches the one in force.
 *
 *     Configuration · image · zone numbers · devices by tag · ports · own addresses · pool addresses ·
 *     prefixes · zone states · device states · pool states · device counters · flow counters
 */

import {
  DeviceAt,
  DeviceCounterAt,
  FlowAt,
  FlowCounterAt,
  ImageAt,
  InterfaceAt,
  PoolAt,
  PoolRangeAt,
  PoolSubscriberAt,
  PortTimeoutAt,
  RouteAt,
  Section,
  SectionAt,
  Timeout,
  TimeoutSetAt,
  ZoneAt,
  ZoneCounterAt,
} from "../abi";
import { arena, slot0, slotBytes } from "../memory";
import { Map64 } from "../table/map";
import { NONE } from "../table/none";
import { Prefix } from "../table/prefix";
import {
  AddressRecord,
  DeviceRecord,
  FlowRecord,
  InterfaceRecord,
  PoolRangeRecord,
  PoolRecord,
  PoolSubscriberRecord,
  PortTimeoutRecord,
  RouteRecord,
  ZoneRecord,
} from "./records";

/** What a zone keeps across configurations as long as its number keeps its name. */
@final
@unmanaged
export class ZoneState {
  /** Counters of devices that are gone; then conns and conns created (abi: ZoneCounterAt). */
  rxPackets: u64;
  rxBytes: u64;
  txPackets: u64;
  txBytes: u64;
  conns: u64;
  connsCreated: u64;
  dropped: u64;
  /** The generation in which the number got its name: conns older than that are another tenant's. */
  born: u32;
  /** When the second began in which `alarmsTold` of its hosts' alarms were noted (nat/event.ts). */
  alarmAt: u32;
  alarmsTold: u8;
  /** 1 above 80 % of its limit. */
  connsHigh: u8;
  /** Alarms that were left out since the last that was noted: of the zone, of its hosts' conns and ports. */
  zoneRepeats: u16;
  connRepeats: u16;
  portRepeats: u16;
  /** Datagrams of which fragments are on their way, and fragments that wait: 0 at a switch. */
  datagrams: u16;
  waiting: u16;
  /** Mappings that its hosts have by PCP (nat/grant.ts). */
  grants: u32;
  /** Conns that this worker may let it have, where it is limited and several share the limit: the host lends them. */
  allowance: u32;
  /** What of the limit the other workers have, when the host last said so. */
  elsewhere: u32;
  /** Whether the snapshot that is being restored means the same tenant by the number (nat/restore.ts). */
  isSaved: bool;
  private pad0: u8;
  private pad1: u16;
  private pad2: u32;

  /** Adds a device's counters (abi: DeviceCounterAt) to the zone's. */
  addDevice(counters: usize): void {
    this.rxPackets += load<u64>(counters, DeviceCounterAt.RxPackets);
    this.rxBytes += load<u64>(counters, DeviceCounterAt.RxBytes);
    this.txPackets += load<u64>(counters, DeviceCounterAt.TxPackets);
    this.txBytes += load<u64>(counters, DeviceCounterAt.TxBytes);
    this.dropped += load<u64>(counters, DeviceCounterAt.RxDropped);
  }
}

/** What a pool has in use, summed over the external addresses that count for it (nat/external.ts). */
@final
@unmanaged
export class PoolState {
  private used0: u32;
  private used1: u32;
  private used2: u32;
  /** Ports of blocks that hosts have. */
  private used3: u32;
  /** Bits of these four of which 80 % are in use. */
  high: u32;
  /** Alarms that were left out since the last that was noted (nat/event.ts). */
  repeats: u16;
  private pad0: u16;
  private pad1: u64;

  /** Of a bitmap's protocol, or of BLOCKS (nat/external.ts). */
  used(which: u32): u32 {
    return load<u32>(changetype<usize>(this) + ((<usize>which) << 2));
  }
  countUse(which: u32, change: i32): void {
    const at = changetype<usize>(this) + ((<usize>which) << 2);
    store<u32>(at, load<u32>(at) + change);
  }
}

/** Budget of a device for ICMP errors, a token bucket in milliseconds (RFC 1812 section 4.3.2.8). */
@final
@unmanaged
export class DeviceState {
  icmpTokens: u32;
  icmpFilled: u32;
  /** Neighbors in the table, static ones excepted, how many of them are incomplete, and frames that wait. */
  neighbors: u32;
  incomplete: u32;
  held: u32;
  private pad: u32;
}

const ZONE_STATE_BYTES: usize = 96;
const POOL_STATE_BYTES: usize = 32;
const DEVICE_STATE_BYTES: usize = 24;
const CONFIGURATION_BYTES: usize = 256;

if (offsetof<ZoneState>() != ZONE_STATE_BYTES) ERROR("a ZoneState is 96 bytes");
if (offsetof<PoolState>() != POOL_STATE_BYTES) ERROR("a PoolState is 32 bytes");
if (offsetof<ZoneState>("dropped") != ZoneCounterAt.Dropped)
  ERROR("ZoneState begins as ZoneCounterAt");
if (offsetof<DeviceState>() != DEVICE_STATE_BYTES) ERROR("a DeviceState is 24 bytes");

/** Key of a pair in the derived tables. */
export function pairKey(high: u32, low: u32): u64 {
  return ((<u64>high) << 32) | <u64>low;
}

/** Key of a device: its interface and its tags. */
export function tagKey(interfaceIndex: u32, outer: u32, inner: u32): u64 {
  return ((<u64>interfaceIndex) << 32) | ((<u64>outer) << 16) | <u64>inner;
}

@final
@unmanaged
export class Configuration {
  image: usize;
  zones: usize;
  zoneCount: u32;
  interfaces: usize;
  interfaceCount: u32;
  devices: usize;
  deviceCount: u32;
  addresses: usize;
  addressCount: u32;
  routes: usize;
  routeCount: u32;
  neighbors: usize;
  neighborCount: u32;
  pools: usize;
  poolCount: u32;
  poolRanges: usize;
  poolRangeCount: u32;
  poolSubscribers: usize;
  poolSubscriberCount: u32;
  timeoutSets: usize;
  timeoutSetCount: u32;
  portTimeouts: usize;
  portTimeoutCount: u32;
  /** Bits of Policy. */
  policy: u32;
  flows: usize;
  flowCount: u32;
  strings: usize;
  stringBytes: u32;
  flowsAnyDevice: u32;
  flowsTracked: u32;
  /** Whether any flow tells ICMP errors from packets of their conns: conn_state with `related`. */
  hasRelatedFlows: bool;
  /** Addresses of all pools, an address of two pools counted twice. */
  poolAddressCount: u32;

  zoneByNumber: Map64;
  deviceByTags: Map64;
  deviceByPort: Map64;
  deviceByAddress: Map64;
  externalByAddress: Map64;
  prefixes: Prefix;
  zoneStates: usize;
  deviceStates: usize;
  poolStates: usize;
  deviceCounters: usize;
  flowCounters: usize;
  /** u32 per flow, and the first of the list that belongs to no one address (nat/forward.ts). */
  forwardLinks: usize;
  wideForwards: u32;

  /** The configuration of slot 0 or 1. */
  static slot(which: u32): Configuration {
    return changetype<Configuration>(slot0 + <usize>which * slotBytes);
  }

  /** Where the image of a slot stands. */
  static imageOf(which: u32): usize {
    return slot0 + <usize>which * slotBytes + CONFIGURATION_BYTES;
  }

  zone(index: u32): ZoneRecord {
    return changetype<ZoneRecord>(this.zones + <usize>index * ZoneAt.Bytes);
  }
  networkInterface(index: u32): InterfaceRecord {
    return changetype<InterfaceRecord>(this.interfaces + <usize>index * InterfaceAt.Bytes);
  }
  device(index: u32): DeviceRecord {
    return changetype<DeviceRecord>(this.devices + <usize>index * DeviceAt.Bytes);
  }
  address(index: u32): AddressRecord {
    return changetype<AddressRecord>(this.addresses + <usize>index * offsetof<AddressRecord>());
  }
  route(index: u32): RouteRecord {
    return changetype<RouteRecord>(this.routes + <usize>index * RouteAt.Bytes);
  }
  pool(index: u32): PoolRecord {
    return changetype<PoolRecord>(this.pools + <usize>index * PoolAt.Bytes);
  }
  poolRange(index: u32): PoolRangeRecord {
    return changetype<PoolRangeRecord>(this.poolRanges + <usize>index * PoolRangeAt.Bytes);
  }
  poolSubscriber(index: u32): PoolSubscriberRecord {
    return changetype<PoolSubscriberRecord>(
      this.poolSubscribers + <usize>index * PoolSubscriberAt.Bytes,
    );
  }
  portTimeout(index: u32): PortTimeoutRecord {
    return changetype<PortTimeoutRecord>(this.portTimeouts + <usize>index * PortTimeoutAt.Bytes);
  }
  /** The n-th address of a pool, counted over all its ranges. */
  poolAddress(pool: PoolRecord, n: u32): u32 {
    let left = n;
    let range = this.poolRange(pool.ranges);
    for (let r: u32 = 0; r < pool.rangeCount; r++) {
      range = this.poolRange(pool.ranges + r);
      const size = range.last - range.first;
      if (left <= size) break;
      left -= size + 1;
    }
    return range.first + left;
  }
  /** Which of a pool's addresses it is, the inverse of `poolAddress`; NONE where it is none of them. */
  placeInPool(pool: PoolRecord, address: u32): u32 {
    let before: u32 = 0;
    for (let r: u32 = 0; r < pool.rangeCount; r++) {
      const range = this.poolRange(pool.ranges + r);
      if (address >= range.first && address <= range.last) return before + address - range.first;
      before += range.last - range.first + 1;
    }
    return NONE;
  }
  /** Whether a pool of this zone has the address. */
  hasPoolAddress(zone: u32, address: u32): bool {
    for (let p: u32 = 0; p < this.poolCount; p++) {
      const pool = this.pool(p);
      if (<u32>pool.zone != zone) continue;
      for (let r: u32 = 0; r < pool.rangeCount; r++) {
        const range = this.poolRange(pool.ranges + r);
        if (address >= range.first && address <= range.last) return true;
      }
    }
    return false;
  }
  /** Whether this external address (its index and itself) is one of the pool's. */
  hasExternal(pool: PoolRecord, external: u32, address: u32): bool {
    return (
      this.hasAddress(pool, address) &&
      this.externalByAddress.get(pairKey(pool.zone, address)) == external
    );
  }
  hasAddress(pool: PoolRecord, address: u32): bool {
    for (let r: u32 = 0; r < pool.rangeCount; r++) {
      const range = this.poolRange(pool.ranges + r);
      if (address >= range.first && address <= range.last) return true;
    }
    return false;
  }
  flow(index: u32): FlowRecord {
    return changetype<FlowRecord>(this.flows + <usize>index * FlowAt.Bytes);
  }
  zoneState(index: u32): ZoneState {
    return changetype<ZoneState>(this.zoneStates + <usize>index * ZONE_STATE_BYTES);
  }
  deviceState(index: u32): DeviceState {
    return changetype<DeviceState>(this.deviceStates + <usize>index * DEVICE_STATE_BYTES);
  }

  poolState(index: u32): PoolState {
    return changetype<PoolState>(this.poolStates + <usize>index * POOL_STATE_BYTES);
  }
  poolIndexOf(pool: PoolRecord): u32 {
    return <u32>(changetype<usize>(pool) - this.pools) / PoolAt.Bytes;
  }
  poolStateOf(pool: PoolRecord): PoolState {
    return this.poolState(this.poolIndexOf(pool));
  }

  /** Milliseconds; `set` is one of TimeoutSets. */
  timeout(set: u32, which: Timeout): u32 {
    return load<u32>(this.timeoutSets + <usize>set * TimeoutSetAt.Bytes + ((<usize>which) << 2));
  }
  /** Milliseconds that stand in the header: ImageAt.HoldDown, FragmentTimeout or SynTimeout. */
  delay(which: ImageAt): u32 {
    return load<u32>(this.image + which);
  }

  nextForward(flow: u32): u32 {
    return load<u32>(this.forwardLinks + ((<usize>flow) << 2));
  }
  setNextForward(flow: u32, next: u32): void {
    store<u32>(this.forwardLinks + ((<usize>flow) << 2), next);
  }

  /** Counts one packet of a flow. */
  countFlow(flow: u32, bytes: u32): void {
    const at = this.flowCounters + <usize>flow * FlowCounterAt.Bytes;
    store<u64>(at, load<u64>(at) + 1);
    store<u64>(at, load<u64>(at, 8) + bytes, 8);
  }

  uncountFlow(flow: u32, bytes: u32): void {
    const at = this.flowCounters + <usize>flow * FlowCounterAt.Bytes;
    store<u64>(at, load<u64>(at) - 1);
    store<u64>(at, load<u64>(at, 8) - bytes, 8);
  }

  /** Reads the places of the sections from the image, which `checkImage` has found sound. */
  openSections(image: usize): void {
    this.image = image;
    this.zones = this.sectionAt(Section.Zones);
    this.zoneCount = this.sectionCount(Section.Zones);
    this.interfaces = this.sectionAt(Section.Interfaces);
    this.interfaceCount = this.sectionCount(Section.Interfaces);
    this.devices = this.sectionAt(Section.Devices);
    this.deviceCount = this.sectionCount(Section.Devices);
    this.addresses = this.sectionAt(Section.Addresses);
    this.addressCount = this.sectionCount(Section.Addresses);
    this.routes = this.sectionAt(Section.Routes);
    this.routeCount = this.sectionCount(Section.Routes);
    this.neighbors = this.sectionAt(Section.Neighbors);
    this.neighborCount = this.sectionCount(Section.Neighbors);
    this.pools = this.sectionAt(Section.Pools);
    this.poolCount = this.sectionCount(Section.Pools);
    this.poolRanges = this.sectionAt(Section.PoolRanges);
    this.poolRangeCount = this.sectionCount(Section.PoolRanges);
    this.poolSubscribers = this.sectionAt(Section.PoolSubscribers);
    this.poolSubscriberCount = this.sectionCount(Section.PoolSubscribers);
    this.timeoutSets = this.sectionAt(Section.TimeoutSets);
    this.timeoutSetCount = this.sectionCount(Section.TimeoutSets);
    this.portTimeouts = this.sectionAt(Section.PortTimeouts);
    this.portTimeoutCount = this.sectionCount(Section.PortTimeouts);
    this.policy = load<u32>(image + ImageAt.Policy);
    this.flows = this.sectionAt(Section.Flows);
    this.flowCount = this.sectionCount(Section.Flows);
    this.strings = this.sectionAt(Section.Strings);
    this.stringBytes = this.sectionCount(Section.Strings);
    this.flowsAnyDevice = load<u32>(image + ImageAt.FlowsAnyDevice);
    this.flowsTracked = load<u32>(image + ImageAt.FlowsTracked);
  }

  private sectionAt(section: Section): usize {
    return this.image + load<u32>(sectionHead(this.image, section) + SectionAt.Offset);
  }
  private sectionCount(section: Section): u32 {
    return load<u32>(sectionHead(this.image, section) + SectionAt.Count);
  }

  /** Each new conn asks for one at random: with twice as many places most are found where they are looked for first. */
  private get placesForExternals(): u32 {
    return 2 * this.poolAddressCount;
  }

  /** Gives the derived tables their places, all empty. False when the slot is too small for them. */
  placeTables(slotEnd: usize): bool {
    const imageEnd = this.image + load<u32>(this.image + ImageAt.TotalBytes);
    const need =
      Map64.bytes(this.zoneCount) +
      2 * Map64.bytes(this.deviceCount) +
      Map64.bytes(this.addressCount) +
      Map64.bytes(this.placesForExternals) +
      Prefix.bytes(this.zoneCount, this.routeCount) +
      <usize>this.zoneCount * ZONE_STATE_BYTES +
      <usize>this.deviceCount * (DEVICE_STATE_BYTES + DeviceCounterAt.Bytes) +
      <usize>this.poolCount * POOL_STATE_BYTES +
      <usize>this.flowCount * (FlowCounterAt.Bytes + 4) +
      12 * 64;
    if (imageEnd + need > slotEnd) return false;
    const key = arena.mapSecret;
    let at = align(imageEnd);
    this.zoneByNumber = Map64.create(at, this.zoneCount, key);
    at = align(at + Map64.bytes(this.zoneCount));
    this.deviceByTags = Map64.create(at, this.deviceCount, key);
    at = align(at + Map64.bytes(this.deviceCount));
    this.deviceByPort = Map64.create(at, this.deviceCount, key);
    at = align(at + Map64.bytes(this.deviceCount));
    this.deviceByAddress = Map64.create(at, this.addressCount, key);
    at = align(at + Map64.bytes(this.addressCount));
    this.externalByAddress = Map64.create(at, this.placesForExternals, key);
    at = align(at + Map64.bytes(this.placesForExternals));
    this.prefixes = Prefix.create(at, this.zoneCount, this.routeCount, key);
    at = align(at + Prefix.bytes(this.zoneCount, this.routeCount));
    this.zoneStates = at;
    at = align(at + <usize>this.zoneCount * ZONE_STATE_BYTES);
    this.deviceStates = at;
    at = align(at + <usize>this.deviceCount * DEVICE_STATE_BYTES);
    this.poolStates = at;
    at = align(at + <usize>this.poolCount * POOL_STATE_BYTES);
    this.deviceCounters = at;
    at = align(at + <usize>this.deviceCount * DeviceCounterAt.Bytes);
    this.flowCounters = at;
    at = align(at + <usize>this.flowCount * FlowCounterAt.Bytes);
    this.forwardLinks = at;
    at = align(at + ((<usize>this.flowCount) << 2));
    memory.fill(this.zoneStates, 0, at - this.zoneStates);
    return true;
  }

  /** Whether an address of a zone is the router's own, or a pool's: nothing is sent on to it. */
  isOurs(zoneIndex: u32, address: u32): bool {
    const key = pairKey(zoneIndex, address);
    return this.deviceByAddress.get(key) != NONE || this.externalByAddress.get(key) != NONE;
  }

  /** Index of the zone with this number, NONE when there is none. */
  zoneIndex(number: u32): u32 {
    return this.zoneByNumber.get(number);
  }

  /** Whether a name of ours is the same as one of another configuration. */
  private sameName(
    name: u32,
    nameBytes: u32,
    other: Configuration,
    otherName: u32,
    otherNameBytes: u32,
  ): bool {
    return (
      nameBytes == otherNameBytes &&
      memory.compare(this.strings + name, other.strings + otherName, nameBytes) == 0
    );
  }

  /** Whether the zone with this index has this name. */
  isNamed(index: u32, name: usize, nameBytes: u32): bool {
    const zone = this.zone(index);
    return (
      nameBytes == zone.nameBytes && memory.compare(this.strings + zone.name, name, nameBytes) == 0
    );
  }

  /** Whether this zone of ours is the same tenant's as that zone of another configuration. */
  sameZone(index: u32, other: Configuration, otherIndex: u32): bool {
    const a = this.zone(index);
    const b = other.zone(otherIndex);
    return a.number == b.number && this.sameName(a.name, a.nameBytes, other, b.name, b.nameBytes);
  }

  /** Whether this device of ours is what that device of another configuration is: hosts on it stay. */
  sameDevice(index: u32, other: Configuration, otherIndex: u32): bool {
    const a = this.device(index);
    const b = other.device(otherIndex);
    const on = this.networkInterface(a.interfaceIndex);
    const off = other.networkInterface(b.interfaceIndex);
    return (
      this.sameZone(a.zone, other, b.zone) &&
      a.vlanOuter == b.vlanOuter &&
      a.vlanInner == b.vlanInner &&
      this.sameName(a.name, a.nameBytes, other, b.name, b.nameBytes) &&
      this.sameName(on.name, on.nameBytes, other, off.name, off.nameBytes)
    );
  }
}
if (offsetof<Configuration>() > CONFIGURATION_BYTES) ERROR("a Configuration outgrew its place");

function align(at: usize): usize {
  return (at + 63) & ~(<usize>63);
}

function sectionHead(image: usize, section: Section): usize {
  return image + ImageAt.Sections + <usize>section * SectionAt.Bytes;
}

/** The configuration in force. Valid once `arena.configured` is not 0. */
export let active: Configuration = changetype<Configuration>(0);

/** Makes `active` what the arena's header says. */
export function activate(): void {
  active = Configuration.slot(arena.activeSlot);
}

/** What is in force while another configuration is supposed to be. */
let suspended: u32 = 0;

/**
 * Until `resume`, within the same call: the configuration of the other slot as if it were in force (configure.ts:
 * `rehearseArena`). `arena.configured` is 0 meanwhile, which nothing that is remembered is good for.
 */
export function suppose(): void {
  suspended = arena.configured;
  arena.configured = 0;
  arena.activeSlot ^= 1;
  activate();
}

/** Ends what `suppose` began. */
export function resume(): void {
  arena.configured = suspended;
  arena.activeSlot ^= 1;
  activate();
}
