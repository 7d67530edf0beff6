/**
 * The arena: everything the datapath knows, in one stretch of the linear memory.
 *
 *     0        1024     2048     8192      40960  64512    65024      65536                 arenaBytes
 *     ├────────┼────────┼────────┼─────────┼──────┼────────┼──────────┼─────────────────────┼──────────
 *     │ unused │ start  │ inputs │ outputs │ rows │ search │ restored │ arena               │ device
 *     │        │ record │        │         │      │ record │ records  │                     │ windows
 *                                                                     │
 *       header · reasons · packets · own frames · held frames ·
 *       held SYNs · conns · windows of TCP · conn slab · conn index · conn wheel · filter index ·
 *       mappings · mapping slab · mapping index · grants · grant slab · grant index · grant wheel ·
 *       hosts · host slab · host index · resting ports · events · alarms ·
 *       expectations · expectation slab · expectation index · expectation wheel · shifts · shift slab ·
 *       datagrams · datagram slab · datagram index · waiting fragments · identification counters ·
 *       neighbors · neighbor slab · neighbor index · neighbor wheel ·
 *       externals (pool addresses with their bitmaps and blocks) · config slot 0 · config slot 1 ·
 *       saving · moved ports · their index · search · its workspace
 *
 * State lives here and never in module globals: the globals below are addresses that `attach` derives
 * from the header, so a new module takes over an arena by attaching to it. Sizes are fixed by `start`.
 */

import { Abi, EventAt, EventClass, Exchange, Limit, MovedPortAt, Reason, StartAt } from "./abi";
import { BITMAP_BYTES } from "./table/bitmap";
import { expandSeed } from "./table/hash";
import { Index } from "./table/index";
import { Map64 } from "./table/map";
import { NONE } from "./table/none";
import { Slab } from "./table/slab";
import { Wheel } from "./table/wheel";

/** Sizes of the records that other files describe; each asserts its own. */
export enum RecordBytes {
  Packet = 80,
  Conn = 128,
  Window = 32,
  HeldSyn = 192,
  Neighbor = 64,
  HeldFrame = 2048,
  OwnFrame = 2048,
  Mapping = 48,
  Grant = 32,
  Host = 32,
  RestingPort = 8,
  Datagram = 96,
  WaitingFragment = 2048,
  ExternalHeader = 64,
  Block = 16,
  Expectation = 64,
  Shift = 64,
  /** With its rows. */
  Search = 8512,
  Alarm = 16,
  Reservation = 48,
  Saving = 32,
}

/** Places of 16 bytes that a search counts in: one for each host, and for each zone. */
const WORKSPACE_ENTRIES_MIN: u32 = Limit.Zones + 1;

/** Counters of IP identifications (nat/identification.ts): a power of two. */
export const IDENTIFICATIONS: u32 = 2048;

/** Bitmaps of an external address: TCP, UDP, ICMP. */
export const EXTERNAL_BITMAPS: u32 = 3;
/** Port blocks of an external address: one record for each unit of the smallest size. */
export const EXTERNAL_BLOCKS: u32 = 65536 / Limit.BlockPortsMin;
export const EXTERNAL_BYTES: u32 =
  RecordBytes.ExternalHeader +
  EXTERNAL_BITMAPS * <u32>BITMAP_BYTES +
  EXTERNAL_BLOCKS * RecordBytes.Block;

/** Ticks of the two wheels, milliseconds: conns end within two ticks of their time. */
const CONN_TICK_MS: u32 = 128;
const NEIGHBOR_TICK_MS: u32 = 32;
/** Grants count in seconds. */
const GRANT_TICK_MS: u32 = 1024;

/** Derived tables need at most this many bytes per byte of image, and per pool address. */
const DERIVED_PER_IMAGE_BYTE: usize = 8;
const DERIVED_PER_POOL_ADDRESS: u32 = 128;

@final
@unmanaged
export class ArenaHeader {
  magic: u32;
  layoutVersion: u32;
  bytes: u32;
  connCapacity: u32;
  neighborCapacity: u32;
  poolAddressCapacity: u32;
  imageCapacity: u32;
  /** Which config slot is in force, 0 or 1; meaningless while `configured` is 0. */
  activeSlot: u32;
  /** Raised by everything that makes cached verdicts and adjacencies old. Never 0. */
  generation: u32;
  /** The generation of the configuration in force; 0 before the first, and while another one is supposed to be. */
  configured: u32;
  /** Raised when another image comes into the slot that is not in force. */
  stagings: u32;
  /** The next conn that the sweep after a configuration looks at, and the generation it is for. */
  sweepCursor: u32;
  sweepDone: u32;
  /** The same for grants (nat/grant.ts). */
  grantCursor: u32;
  grantsSwept: u32;
  /** Grants that zones have beyond their even share (nat/share.ts). */
  grantsBeyond: u32;
  /** Seconds since the start, and the milliseconds of the clock that they are counted up to. */
  epochSeconds: u32;
  private epochAt: u32;
  /** The next address to announce, and the next device to announce it on; NONE when all are announced. */
  announceNext: u32;
  announceDevice: u32;
  /** Where the search for a neighbor to give up goes on. */
  neighborHand: u32;
  /** Raised when a tuple enters or leaves the index. */
  connChanges: u32;
  /** Milliseconds of the clock when what was saved had been restored. */
  restoredAt: u32;
  /** External ports of other workers than whose they would be (nat/moved.ts). */
  movedPorts: u32;
  /** While what was saved is restored: ports that are to rest, and seconds of the PCP server (nat/restore.ts). */
  lostPorts: u32;
  savedEpoch: u32;
  /** The time of the call under way, milliseconds. */
  now: u32;
  /** Ports that rest, a ring: the oldest, and how many. */
  restFirst: u32;
  restCount: u32;
  /** Events that wait for the host, a ring: the oldest, how many, and how many found no place. */
  eventFirst: u32;
  eventCount: u32;
  eventsLost: u32;
  /** Bits of EventClass that are noted. */
  eventMask: u32;
  /** Alarms about tables that were left out since the last that was noted; whether 80 % are in use. */
  tableRepeats: u32;
  connsHigh: u32;
  /** How many workers share the configuration, at least one, and which of them this is (nat/owner.ts). */
  workers: u32;
  worker: u32;
  /** External ports stand together in twos to this power. */
  shareShift: u32;
  /** From one IP identification of a counter to the next (nat/identification.ts). */
  identificationStep: u32;
  /** Random draws so far: with the seed, all that the port allocation depends on. */
  draws: u64;
  /** Lists of buffers for held frames: free ones, and those that become free with the next call. */
  heldFree: u32;
  heldLeaving: u32;
  /** The ring of SYNs that wait: where the oldest stands, and how many there are. */
  synFirst: u32;
  synCount: u32;
  /** The same for fragments that wait for their first one. */
  waitingFree: u32;
  waitingLeaving: u32;
  /** Datagrams of which fragments are on their way, by age (nat/datagram.ts). */
  oldestDatagram: u32;
  newestDatagram: u32;
  /** Datagrams and waiting fragments that zones have beyond their even shares (nat/share.ts). */
  datagramsBeyond: u32;
  waitingBeyond: u32;
  /** 64 bytes for the tuple hash, 16 for port allocation, 8 for the tables of the configuration. */
  private secret0: u64;
  private secret1: u64;
  private secret2: u64;
  private secret3: u64;
  private secret4: u64;
  private secret5: u64;
  private secret6: u64;
  private secret7: u64;
  private portSecret0: u64;
  private portSecret1: u64;
  mapSecret: u64;

  /** Counts the time since the start, which the clock cannot tell: it wraps. */
  advanceEpoch(): void {
    const passed = this.now - this.epochAt;
    // A clock that stepped back.
    if (<i32>passed < 0) this.epochAt = this.now;
    else if (passed >= 1000) {
      this.epochSeconds += passed / 1000;
      this.epochAt += (passed / 1000) * 1000;
    }
  }
  startEpoch(now: u32): void {
    this.epochAt = now;
  }
  /** The time since another process's start, so many seconds ago. */
  continueEpoch(seconds: u32): void {
    this.epochSeconds = seconds;
    this.epochAt = this.now;
  }

  get tupleKey(): usize {
    return changetype<usize>(this) + offsetof<ArenaHeader>("secret0");
  }
  get portKey(): usize {
    return changetype<usize>(this) + offsetof<ArenaHeader>("portSecret0");
  }
}

const HEADER_BYTES: usize = 320;
if (offsetof<ArenaHeader>() > HEADER_BYTES) ERROR("the arena's header outgrew its place");

export const arena: ArenaHeader = changetype<ArenaHeader>(<usize>Exchange.Arena);
export let reasons: usize = 0;
export let packets: usize = 0;
/** 64 bytes for what does not outlive a step, and a Tuple for a key that is looked up. */
export let scratch: usize = 0;
export let keyScratch: usize = 0;
/** Records of nat/reservation.ts, and one behind them. */
export let reservations: usize = 0;
export let ownFrames: usize = 0;
export let heldFrames: usize = 0;
export let heldSyns: usize = 0;
export let conns: usize = 0;
export let windows: usize = 0;
export let connSlab: Slab = changetype<Slab>(0);
export let connIndex: Index = changetype<Index>(0);
export let connWheel: Wheel = changetype<Wheel>(0);
export let filterIndex: Index = changetype<Index>(0);
export let mappings: usize = 0;
export let mappingSlab: Slab = changetype<Slab>(0);
export let mappingIndex: Index = changetype<Index>(0);
export let grants: usize = 0;
export let grantSlab: Slab = changetype<Slab>(0);
export let grantIndex: Index = changetype<Index>(0);
export let grantWheel: Wheel = changetype<Wheel>(0);
export let hosts: usize = 0;
export let hostSlab: Slab = changetype<Slab>(0);
export let hostIndex: Index = changetype<Index>(0);
export let restingPorts: usize = 0;
export let events: usize = 0;
export let alarms: usize = 0;
export let expectations: usize = 0;
export let expectationSlab: Slab = changetype<Slab>(0);
export let expectationIndex: Index = changetype<Index>(0);
export let expectationWheel: Wheel = changetype<Wheel>(0);
export let shifts: usize = 0;
export let shiftSlab: Slab = changetype<Slab>(0);
/** A Packet and a Conn for what is only thought of (nat/expose.ts). */
export let imaginedPacket: usize = 0;
export let imaginedConn: usize = 0;
export let neighbors: usize = 0;
export let neighborSlab: Slab = changetype<Slab>(0);
export let neighborIndex: Index = changetype<Index>(0);
export let neighborWheel: Wheel = changetype<Wheel>(0);
export let datagrams: usize = 0;
export let datagramSlab: Slab = changetype<Slab>(0);
export let datagramIndex: Index = changetype<Index>(0);
export let waitingFragments: usize = 0;
export let identifications: usize = 0;
export let externals: usize = 0;
export let slot0: usize = 0;
export let slotBytes: usize = 0;
export let saving: usize = 0;
export let movedPorts: usize = 0;
export let movedIndex: Map64 = changetype<Map64>(0);
export let searching: usize = 0;
export let searchWorkspace: usize = 0;
let end: usize = 0;

/** Bytes of the linear memory up to the end of the arena that the start record asks for; 0 if too many. */
export function arenaBytes(): u32 {
  return plan(
    load<u32>(Exchange.Start + StartAt.ConnCapacity),
    load<u32>(Exchange.Start + StartAt.NeighborCapacity),
    load<u32>(Exchange.Start + StartAt.PoolAddressCapacity),
    load<u32>(Exchange.Start + StartAt.ImageCapacity),
    load<u32>(Exchange.Start + StartAt.Workers),
  );
}

/** Lays out an empty arena as the start record says. The memory must reach to `arenaBytes`. */
export function startArena(now: u32): void {
  const bytes = arenaBytes();
  // A search empties its workspace itself: memory that nobody asks for stays untouched.
  memory.fill(Exchange.Arena, 0, searchWorkspace - Exchange.Arena);
  arena.magic = Abi.ArenaMagic;
  arena.layoutVersion = Abi.ArenaVersion;
  arena.bytes = bytes;
  arena.connCapacity = load<u32>(Exchange.Start + StartAt.ConnCapacity);
  arena.neighborCapacity = load<u32>(Exchange.Start + StartAt.NeighborCapacity);
  arena.poolAddressCapacity = load<u32>(Exchange.Start + StartAt.PoolAddressCapacity);
  arena.imageCapacity = load<u32>(Exchange.Start + StartAt.ImageCapacity);
  arena.workers = max<u32>(1, load<u32>(Exchange.Start + StartAt.Workers));
  arena.worker = load<u32>(Exchange.Start + StartAt.Worker);
  arena.shareShift = max<u32>(6, load<u32>(Exchange.Start + StartAt.ShareShift));
  arena.generation = 1;
  arena.announceNext = NONE;
  arena.now = now;
  arena.startEpoch(now);
  arena.eventMask = EventClass.Alarms | EventClass.Blocks;
  expandSeed(Exchange.Start + StartAt.Seed, arena.tupleKey, 88);
  Slab.create(changetype<usize>(connSlab), arena.connCapacity);
  Index.create(changetype<usize>(connIndex), arena.connCapacity * 2);
  Wheel.create(changetype<usize>(connWheel), arena.connCapacity, CONN_TICK_MS, now);
  Index.create(changetype<usize>(filterIndex), arena.connCapacity);
  Slab.create(changetype<usize>(mappingSlab), arena.connCapacity);
  Index.create(changetype<usize>(mappingIndex), arena.connCapacity);
  const grantCount = grantsFor(arena.connCapacity);
  Slab.create(changetype<usize>(grantSlab), grantCount);
  Index.create(changetype<usize>(grantIndex), grantCount);
  Wheel.create(changetype<usize>(grantWheel), grantCount, GRANT_TICK_MS, now);
  Slab.create(changetype<usize>(hostSlab), arena.connCapacity);
  Index.create(changetype<usize>(hostIndex), arena.connCapacity);
  Slab.create(changetype<usize>(expectationSlab), Limit.Expectations);
  Index.create(changetype<usize>(expectationIndex), Limit.Expectations);
  Wheel.create(changetype<usize>(expectationWheel), Limit.Expectations, CONN_TICK_MS, now);
  Slab.create(changetype<usize>(shiftSlab), Limit.ShiftedConns);
  Slab.create(changetype<usize>(neighborSlab), arena.neighborCapacity);
  Index.create(changetype<usize>(neighborIndex), arena.neighborCapacity);
  Wheel.create(changetype<usize>(neighborWheel), arena.neighborCapacity, NEIGHBOR_TICK_MS, now);
  if (arena.workers > 1) {
    Map64.create(changetype<usize>(movedIndex), Limit.MovedPorts, arena.mapSecret);
  }
  Slab.create(changetype<usize>(datagramSlab), Limit.Datagrams);
  Index.create(changetype<usize>(datagramIndex), Limit.Datagrams);
}

/** Takes over an arena that another module, or `startArena`, laid out. False when it is none of ours. */
export function attachArena(): bool {
  if (arena.magic != Abi.ArenaMagic || arena.layoutVersion != Abi.ArenaVersion) return false;
  const bytes = plan(
    arena.connCapacity,
    arena.neighborCapacity,
    arena.poolAddressCapacity,
    arena.imageCapacity,
    arena.workers,
  );
  return bytes == arena.bytes;
}

/** Gives each region its place; returns where the last one ends, 0 when that is beyond 4 GiB. */
function plan(
  connCount: u32,
  neighborCount: u32,
  poolAddresses: u32,
  imageBytes: u32,
  workers: u32,
): u32 {
  const wanted =
    <u64>connCount * 512 +
    <u64>neighborCount * 256 +
    <u64>poolAddresses * (EXTERNAL_BYTES + 2 * DERIVED_PER_POOL_ADDRESS) +
    <u64>imageBytes * 2 * (1 + DERIVED_PER_IMAGE_BYTE) +
    (16 << 20);
  if (wanted > 0xf0000000) return 0;
  end = Exchange.Arena;
  region(HEADER_BYTES);
  reasons = region(Reason.Count * 8);
  // One more than a batch: for a frame that leaves later than it came.
  packets = region((Limit.Batch + 1) * RecordBytes.Packet);
  scratch = region(64);
  keyScratch = region(16);
  reservations = region((Limit.Reservations + 1) * RecordBytes.Reservation);
  ownFrames = region(Limit.OwnFrames * RecordBytes.OwnFrame);
  heldFrames = region(Limit.Held * RecordBytes.HeldFrame);
  heldSyns = region(Limit.HeldSyns * RecordBytes.HeldSyn);
  conns = region(<usize>connCount * RecordBytes.Conn);
  windows = region(<usize>connCount * RecordBytes.Window);
  connSlab = Slab.view(region(Slab.bytes(connCount)));
  connIndex = Index.view(region(Index.bytes(connCount * 2)));
  connWheel = Wheel.view(region(Wheel.bytes(connCount)));
  filterIndex = Index.view(region(Index.bytes(connCount)));
  mappings = region(<usize>connCount * RecordBytes.Mapping);
  mappingSlab = Slab.view(region(Slab.bytes(connCount)));
  mappingIndex = Index.view(region(Index.bytes(connCount)));
  const grantCount = grantsFor(connCount);
  grants = region(<usize>grantCount * RecordBytes.Grant);
  grantSlab = Slab.view(region(Slab.bytes(grantCount)));
  grantIndex = Index.view(region(Index.bytes(grantCount)));
  grantWheel = Wheel.view(region(Wheel.bytes(grantCount)));
  hosts = region(<usize>connCount * RecordBytes.Host);
  hostSlab = Slab.view(region(Slab.bytes(connCount)));
  hostIndex = Index.view(region(Index.bytes(connCount)));
  restingPorts = region(<usize>connCount * RecordBytes.RestingPort);
  events = region(Limit.Events * EventAt.Bytes);
  alarms = region(Limit.Alarms * RecordBytes.Alarm);
  expectations = region(Limit.Expectations * RecordBytes.Expectation);
  expectationSlab = Slab.view(region(Slab.bytes(Limit.Expectations)));
  expectationIndex = Index.view(region(Index.bytes(Limit.Expectations)));
  expectationWheel = Wheel.view(region(Wheel.bytes(Limit.Expectations)));
  shifts = region(Limit.ShiftedConns * RecordBytes.Shift);
  shiftSlab = Slab.view(region(Slab.bytes(Limit.ShiftedConns)));
  imaginedPacket = region(RecordBytes.Packet);
  imaginedConn = region(RecordBytes.Conn);
  // One more: the way round, which is no neighbor (net/neighbor.ts).
  neighbors = region((<usize>neighborCount + 1) * RecordBytes.Neighbor);
  neighborSlab = Slab.view(region(Slab.bytes(neighborCount)));
  neighborIndex = Index.view(region(Index.bytes(neighborCount)));
  neighborWheel = Wheel.view(region(Wheel.bytes(neighborCount)));
  datagrams = region(Limit.Datagrams * RecordBytes.Datagram);
  datagramSlab = Slab.view(region(Slab.bytes(Limit.Datagrams)));
  datagramIndex = Index.view(region(Index.bytes(Limit.Datagrams)));
  waitingFragments = region(Limit.HeldFragments * RecordBytes.WaitingFragment);
  identifications = region(IDENTIFICATIONS * 2);
  externals = region(<usize>poolAddresses * EXTERNAL_BYTES);
  slotBytes =
    <usize>imageBytes * (1 + DERIVED_PER_IMAGE_BYTE) +
    <usize>poolAddresses * DERIVED_PER_POOL_ADDRESS +
    65536;
  slot0 = region(slotBytes);
  region(slotBytes);
  saving = region(RecordBytes.Saving);
  // One alone has all ports.
  const moved: u32 = workers > 1 ? Limit.MovedPorts : 0;
  movedPorts = region(<usize>moved * MovedPortAt.Bytes);
  movedIndex = Map64.view(region(moved > 0 ? Map64.bytes(moved) : 0));
  searching = region(RecordBytes.Search);
  searchWorkspace = region((<usize>workspaceFor(connCount)) << 4);
  return <u32>end;
}

/** Mappings that hosts may ask for by PCP: few of them serve, most send first. */
function grantsFor(connCount: u32): u32 {
  return max<u32>(connCount >> 3, 64);
}

function workspaceFor(connCount: u32): u32 {
  return max<u32>(connCount, WORKSPACE_ENTRIES_MIN);
}

/** How many places of 16 bytes the workspace of a search has. */
export function workspaceEntries(): u32 {
  return workspaceFor(arena.connCapacity);
}

function region(bytes: usize): usize {
  const at = end;
  end = (at + bytes + 63) & ~(<usize>63);
  return at;
}

/** Zeroes a record of a multiple of 32 bytes; a call of `memory.fill` costs more than these few stores. */
export function clear(at: usize, bytes: usize): void {
  for (let done: usize = 0; done < bytes; done += 32) {
    v128.store(at + done, i64x2.splat(0));
    v128.store(at + done, i64x2.splat(0), 16);
  }
}

/** One more frame, or event, that ended with this Reason. */
export function count(reason: Reason): void {
  const at = reasons + ((<usize>reason) << 3);
  store<u64>(at, load<u64>(at) + 1);
}
