/**
 * What the isolation of zones means, in plain TypeScript: no packet of one zone ever reaches another zone
 * except through a conn, a forward or a flow that names both. The oracle sees what is sent and what leaves,
 * never the datapath's own tables.
 *
 * Each packet carries a mark, in each of its pieces, that says which one it is. A piece that is not the first
 * leaves where a first one left before. For each frame that leaves, its mark leads to the
 * packet that came in, and that one either
 *
 *     answers   a packet that left before: then it leaves in that one's zone, as the mirror of it, or
 *     begins    something that a flow of its configuration allows from its zone to the one it leaves in, or
 *     turns     at an external address of ours, where a flow leads it, and there comes in again, or
 *     comes in  to an external endpoint, whose owner's filter lets its sender in (ownership.ts), or
 *     is told   of an error, or its echo answered, on the device that it came in by.
 *
 * An ICMP error that is sent on carries a mark behind the packet that it quotes. It may only leave in the
 * zone that the quoted packet came from, to its sender, and quote what that one sent.
 */

import { prefixMask } from "../../host/config/address.js";
import type { Config, Device, FlowRule, Pool } from "../../host/config/model.js";
import { numberOf } from "../harness/frame.js";
import type { Sent } from "../harness/router.js";
import { quotedWire } from "./errors.js";
import { type Endpoint, has, Ownership, opens, receiverOf, senderOf } from "./ownership.js";

/** A packet as it stands on a wire; ICMP: type and identifier stand for the ports. */
export interface Wire {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

interface Origin {
  readonly wire: Wire;
  readonly device: Device;
  readonly config: Config;
  readonly incarnation: number;
  readonly epoch: number;
  readonly sentAt: number;
  /** Of an ICMP error: what it quotes, and what it may quote when it leaves. */
  readonly about?: About;
}

interface About {
  readonly quoted: Wire | undefined;
  readonly candidates: readonly Passed[];
}

/** A packet as it was sent, in its zone. */
interface Passed {
  readonly zone: number;
  readonly wire: Wire;
  readonly incarnation: number;
}

/** Something that left its zone: what it was there, and where its answers belong. */
interface Passage {
  readonly wire: Wire;
  readonly zone: number;
  readonly answer: Wire;
  readonly answerZone: number;
  readonly incarnations: readonly [number, number];
  epoch: number;
  usedAt: number;
}

/** How a packet may have begun; behind a pool with the external endpoint that it was given. */
interface Way {
  readonly kind: "straight" | "turned" | "inward";
  readonly pool?: Pool;
  readonly external?: Endpoint;
}

/** A configuration and what came of it. */
interface Standing {
  readonly config: Config;
  /** Zones by number: which tenant has it. A number that changes hands gets another incarnation. */
  readonly incarnations: ReadonlyMap<number, { name: string; incarnation: number }>;
  /** How many came before it. */
  readonly epoch: number;
}

const NO_WIRE: Wire = { protocol: 1, source: 0, destination: 0, sourcePort: 0, destinationPort: 0 };

const MARK = Buffer.from("crosszone");
export const MARK_BYTES = MARK.length + 4;

export class Violation extends Error {
  override readonly name = "Violation";
}

export class Oracle {
  private readonly origins: Origin[] = [];
  private readonly passages = new Map<string, Passage>();
  private readonly ways = new Map<string, Set<string>>();
  /** Packets that have a conn, though they did not leave (yet). */
  private readonly waiting: Origin[] = [];
  /** By epoch. */
  private readonly standings: Standing[] = [];
  /** The one that those who send know of. */
  private known: Standing;
  /** The one under which left what is looked at. */
  private standing: Standing;
  /** Packets that left by each way. */
  readonly seen = { straight: 0, turned: 0, inward: 0 };
  private readonly ownership: Ownership;
  private nextIncarnation = 1;

  constructor(
    config: Config,
    /** Milliseconds that the shortest-lived conn lives at least. */
    private readonly lifetimeMs: number,
  ) {
    this.ownership = new Ownership(lifetimeMs);
    this.known = this.standingBehind(undefined, config);
    this.standing = this.known;
    this.standings.push(this.known);
  }

  /** All work under another configuration from now on. */
  reconfigured(config: Config): void {
    this.announce(config);
    this.adopt();
  }

  /** Some may work under another configuration from now on, and whoever sends does not know which. */
  announce(config: Config): void {
    this.standings.push(this.standingBehind(this.standings.at(-1), config));
  }

  /** All do. */
  adopt(): void {
    this.known = this.standings.at(-1) as Standing;
  }

  private standingBehind(last: Standing | undefined, config: Config): Standing {
    const incarnations = new Map<number, { name: string; incarnation: number }>();
    for (const { id, name } of config.zones) {
      const before = last?.incarnations.get(id);
      const same = before?.name === name ? before : undefined;
      incarnations.set(id, same ?? { name, incarnation: this.nextIncarnation++ });
    }
    return { config, incarnations, epoch: this.standings.length };
  }

  private get config(): Config {
    return this.standing.config;
  }
  private get epoch(): number {
    return this.standing.epoch;
  }

  /** The mark that the next packet must carry. */
  mark(device: Device, wire: Wire, now: number): Buffer {
    this.standing = this.known;
    const { config, epoch } = this;
    const incarnation = this.incarnationOf(device.zone.id);
    const number = Buffer.alloc(4);
    number.writeUInt32BE(this.origins.length);
    this.origins.push({ wire, device, config, incarnation, epoch, sentAt: now });
    return Buffer.concat([MARK, number]);
  }

  /** The mark of an ICMP error, and what it quotes, as far as that can be read. */
  markError(device: Device, quoted: Buffer, now: number): Buffer {
    const about = quotedWire(quoted);
    const wire = about ?? NO_WIRE;
    const mark = this.mark(device, wire, now);
    const origin = this.origins.pop() as Origin;
    const candidates = about === undefined ? [] : this.passedAs(about, device.zone.id);
    this.origins.push({ ...origin, about: { quoted: about, candidates } });
    return mark;
  }

  /** What the packet that looks like this in that zone was when it was sent, and where. */
  private passedAs(quoted: Wire, here: number): Passed[] {
    const key = keyOf(here, mirror(quoted));
    return [...this.passages.values()].flatMap((each) => {
      const [zoneIncarnation, answerIncarnation] = each.incarnations;
      if (keyOf(each.answerZone, each.answer) === key) {
        if (answerIncarnation !== this.incarnationOf(here)) return [];
        return [{ zone: each.zone, wire: each.wire, incarnation: zoneIncarnation }];
      }
      if (keyOf(each.zone, each.wire) === key) {
        if (zoneIncarnation !== this.incarnationOf(here)) return [];
        return [{ zone: each.answerZone, wire: each.answer, incarnation: answerIncarnation }];
      }
      return [];
    });
  }

  /** The packet that was marked last has to wait, found no place to, or has gone round and was not let in. */
  isWaiting(): void {
    const last = this.origins.at(-1);
    if (last !== undefined && last !== this.waiting.at(-1)) this.waiting.push(last);
  }

  private incarnationOf(zone: number): number {
    return this.standing.incarnations.get(zone)?.incarnation ?? 0;
  }

  /** Throws a Violation where the frame should not have left, or not there. */
  check(sent: Sent): void {
    const { ip } = sent;
    if (ip === undefined) return;
    this.standing = this.standings[sent.configuration] ?? this.known;
    // An error quotes a mark, and has its own behind it; the last one may be cut.
    const at = sent.bytes.lastIndexOf(MARK, sent.bytes.length - MARK_BYTES);
    const origin = at < 0 ? undefined : this.origins[sent.bytes.readUInt32BE(at + MARK.length)];
    if (origin === undefined) throw violation(sent, "nobody sent this");
    const device = this.config.devices.find(({ name }) => name === sent.device);
    if (device === undefined) throw violation(sent, "no such device");
    const zone = device.zone.id;
    if (origin.about !== undefined) {
      this.checkError(sent, origin, origin.about, zone);
      return;
    }
    const left = wireOf(sent);
    const way = `${zone} ${left.source} ${left.destination}`;
    const ways = this.waysOf(origin);
    if (ip.fragmentOffset > 0 && !ways.has(way)) throw violation(sent, "no first piece went there");
    if (ip.fragmentOffset > 0) return;
    this.checkWhole(sent, origin, left, zone);
    if (ip.moreFragments) ways.add(way);
  }

  /** Where first pieces of a packet's source, destination and protocol went, as zone and addresses. */
  private waysOf({ device, incarnation, wire }: Origin): Set<string> {
    const { protocol, source, destination } = wire;
    const key = `${device.zone.id} ${incarnation} ${protocol} ${source} ${destination}`;
    const ways = this.ways.get(key) ?? new Set<string>();
    this.ways.set(key, ways);
    return ways;
  }

  private checkWhole(sent: Sent, origin: Origin, left: Wire, zone: number): void {
    if (this.answers(origin, left, zone)) return;
    if (this.isOwn(zone, left.source)) this.checkTold(sent, origin, left);
    else this.checkBegins(sent, origin, left, zone);
  }

  /** An error reaches the zone of the packet that it quotes, its sender there, and quotes what that sent. */
  private checkError(sent: Sent, origin: Origin, about: About, zone: number): void {
    const left = quotedWire(sent.ip?.payload.subarray(8) ?? Buffer.alloc(0));
    const { quoted, candidates } = about;
    if (left === undefined || quoted === undefined) throw violation(sent, "an error about nothing");
    if (left.source !== numberOf(sent.ip?.destination ?? 0)) {
      throw violation(sent, "an error not to the sender of what it quotes");
    }
    const key = keyOf(zone, left);
    const here = origin.device.zone.id;
    const passed =
      candidates.some(
        (each) =>
          keyOf(each.zone, each.wire) === key && each.incarnation === this.incarnationOf(zone),
      ) || this.waiting.some((asked) => this.isAboutWaiting(asked, quoted, here, left, zone));
    if (!passed) throw violation(sent, "an error about a packet of another");
  }

  /** Whether an error is about a packet that only the router has seen, or about the answer to it. */
  private isAboutWaiting(
    asked: Origin,
    quoted: Wire,
    here: number,
    left: Wire,
    zone: number,
  ): boolean {
    const from = asked.device.zone.id;
    if (asked.incarnation !== this.incarnationOf(from)) return false;
    const key = keyOf(from, asked.wire);
    if (key === keyOf(zone, left) && this.wayMeanwhile(asked, quoted, here) !== undefined)
      return true;
    return (
      key === keyOf(here, mirror(quoted)) &&
      this.wayMeanwhile(asked, mirror(left), zone) !== undefined
    );
  }

  private isOwn(zone: number, address: number): boolean {
    const devices = this.config.devices.filter((each) => each.zone.id === zone);
    return devices.some(({ addresses }) => addresses.some((each) => each.address === address));
  }

  /** What the router says itself goes back to where the packet came from. */
  private checkTold(sent: Sent, origin: Origin, left: Wire): void {
    if (origin.device.name !== sent.device) throw violation(sent, "told on another device");
    if (left.destination !== origin.wire.source) throw violation(sent, "told somebody else");
  }

  /** Whether the packet answers one that left before, and leaves where that one came from. */
  private answers(origin: Origin, left: Wire, zone: number): boolean {
    const here = origin.device.zone.id;
    const passage = this.passages.get(keyOf(here, origin.wire));
    if (passage === undefined || !this.leadsBack(passage, origin, left, zone)) {
      if (!this.answersWaiting(origin, left, zone)) return false;
      // It may also have begun something, if what looks like an answer to it was dropped after all.
      this.mayBegin(origin, left, zone);
      return true;
    }
    const idle = origin.sentAt - passage.usedAt;
    // What may have ended meanwhile may begin again with what looks like an answer to it.
    if (idle >= this.lifetimeMs || passage.epoch !== this.epoch) this.mayBegin(origin, left, zone);
    const { pools } = origin.config;
    const refreshes = pools.every(({ inboundRefresh }) => inboundRefresh);
    if (prolongs(origin) && refreshes) passage.usedAt = Math.max(passage.usedAt, origin.sentAt);
    return true;
  }

  private leadsBack(passage: Passage, origin: Origin, left: Wire, zone: number): boolean {
    const [back, seen] = passage.incarnations;
    // One that has waited may have come before its zone's number was another tenant's.
    const sender = [this.incarnationOf(origin.device.zone.id), origin.incarnation];
    return (
      passage.zone === zone &&
      back === this.incarnationOf(zone) &&
      sender.includes(seen) &&
      keyOf(zone, left) === keyOf(zone, mirror(passage.wire))
    );
  }

  /** Whether it answers a packet that only the router has seen. */
  private answersWaiting(origin: Origin, left: Wire, zone: number): boolean {
    const key = keyOf(zone, mirror(left));
    const seen = mirror(origin.wire);
    return this.waiting.some(
      (asked) =>
        keyOf(asked.device.zone.id, asked.wire) === key &&
        asked.incarnation === this.incarnationOf(zone) &&
        this.wayMeanwhile(asked, seen, origin.device.zone.id, origin.incarnation) !== undefined,
    );
  }

  /** How a packet may have left in that zone, looking as it does; undefined when it may not. */
  private way(origin: Origin, left: Wire, zone: number): Way | undefined {
    const rule = origin.config.flows.find((each) => allows(each, origin, left, zone));
    if (rule?.action.kind === "masquerade") {
      return { kind: "straight", pool: rule.action.pool, external: senderOf(left, zone) };
    }
    if (rule !== undefined) return { kind: "straight" };
    return this.turn(origin, left, zone) ?? this.inward(origin, left, zone);
  }

  /**
   * The same under one of the configurations that there were while it was on its way: one of them decided. Only those
   * count in which the zone was this incarnation's, where one is named.
   */
  private wayMeanwhile(
    origin: Origin,
    left: Wire,
    zone: number,
    incarnation?: number,
  ): Way | undefined {
    return this.waysMeanwhile(origin, left, zone, incarnation)[0];
  }

  /** All of them: which configuration decided, only the router knows. */
  private waysMeanwhile(origin: Origin, left: Wire, zone: number, incarnation?: number): Way[] {
    return this.meanwhile(origin).flatMap(({ config, epoch, incarnations }) => {
      if (![undefined, incarnations.get(zone)?.incarnation].includes(incarnation)) return [];
      return this.way({ ...origin, config, epoch }, left, zone) ?? [];
    });
  }

  /** The configurations from the one that its sender knew of on. */
  private meanwhile({ epoch }: Origin): Standing[] {
    return this.standings.slice(epoch, this.epoch + 1);
  }

  /**
   * A packet that a flow gives an external source in another zone, where it goes to an address of ours, turns
   * round there: by a forward, or to whoever has the external endpoint.
   */
  private turn(origin: Origin, left: Wire, zone: number): Way | undefined {
    const { config } = origin;
    for (const rule of config.flows) {
      const { action } = rule;
      if (action.kind !== "masquerade" && action.kind !== "source") continue;
      const middle = action.targetZone.id;
      const between = betweenZones(origin.wire, left);
      // it leads to the middle, not yet turned round
      if (!allows(rule, origin, between, middle)) continue;
      if (!isOurs(config, middle, between.destination)) continue;
      const there = { wire: between, device: undefined, zone: middle };
      if (
        config.flows.some(
          (each) => each.action.kind === "destination" && leads(each, there, left, zone),
        ) ||
        (left.source === between.source && this.reaches(config, between, middle, left, zone))
      ) {
        return action.kind === "source"
          ? { kind: "turned" }
          : { kind: "turned", pool: action.pool, external: senderOf(between, middle) };
      }
    }
    return undefined;
  }

  /** A packet from outside to an external endpoint, whose owner lets its sender in. */
  private inward(origin: Origin, left: Wire, zone: number): Way | undefined {
    const { wire, config } = origin;
    const keepsSource = left.source === wire.source && left.sourcePort === wire.sourcePort;
    const here = origin.device.zone.id;
    const reached = keepsSource && this.reaches(config, wire, here, left, zone);
    return reached ? { kind: "inward" } : undefined;
  }

  /** Whether what comes in looking like `wire` is let in, and is then what left in the owner's zone. */
  private reaches(config: Config, wire: Wire, here: number, left: Wire, zone: number): boolean {
    const external = receiverOf(wire, here);
    const inside = receiverOf(left, zone);
    const incarnation = this.incarnationOf(zone);
    const configs = this.standings.slice(0, this.epoch + 1).map(({ config }) => config);
    return (
      this.ownership.letsIn(external, inside, incarnation, wire.source, configs) ||
      this.waiting.some(
        (asked) =>
          asked.incarnation === incarnation &&
          isSame(senderOf(asked.wire, asked.device.zone.id), inside) &&
          this.meanwhile(asked).some(({ config }) =>
            config.flows.some(
              ({ action }) =>
                action.kind === "masquerade" &&
                action.targetZone.id === here &&
                has(action.pool, external),
            ),
          ) &&
          opens(config, external, wire.source, new Set([asked.wire.destination])),
      )
    );
  }

  /** An endpoint keeps its external endpoint, and is alone with it. Not certain: it may also be an answer. */
  private faultOfOwner(
    origin: Origin,
    { pool, external }: Way,
    certain: boolean,
  ): string | undefined {
    if (pool === undefined || external === undefined) return undefined;
    const { wire, config, incarnation, epoch, sentAt: at } = origin;
    const inside = senderOf(wire, origin.device.zone.id);
    const common = { inside, incarnation, external, wire, pool, config, epoch, at };
    const beginning = { ...common, prolongs: prolongs(origin) };
    if (certain) return this.ownership.begins(beginning);
    this.ownership.mayBegin(beginning);
    return undefined;
  }

  private checkBegins(sent: Sent, origin: Origin, left: Wire, zone: number): void {
    const [way, ...others] = this.waysMeanwhile(origin, left, zone);
    if (way === undefined) {
      throw violation(sent, `no flow leads from zone ${origin.device.zone.id} to zone ${zone}`);
    }
    this.seen[way.kind]++;
    const fault = this.faultOfOwner(origin, way, true);
    for (const other of others) this.faultOfOwner(origin, other, false);
    if (fault !== undefined && origin.epoch === this.epoch) throw violation(sent, fault);
    const key = keyOf(zone, mirror(left));
    const other = this.passages.get(key);
    const from = origin.device.zone.id;
    const same = other?.zone === from && keyOf(from, other.wire) === keyOf(from, origin.wire);
    if (other !== undefined && !same && other.epoch === this.epoch) {
      const idle = origin.sentAt - other.usedAt;
      if (idle < this.lifetimeMs) throw violation(sent, "its answers are another's");
    }
    this.remember(origin, left, zone);
  }

  private mayBegin(origin: Origin, left: Wire, zone: number): void {
    const way = this.way(origin, left, zone);
    if (way === undefined) return;
    this.faultOfOwner(origin, way, false);
    this.remember(origin, left, zone);
  }

  private remember(origin: Origin, left: Wire, zone: number): void {
    const answer = mirror(left);
    const key = keyOf(zone, answer);
    const from = origin.device.zone.id;
    const other = this.passages.get(key);
    const same = other?.zone === from && keyOf(from, other.wire) === keyOf(from, origin.wire);
    this.passages.set(key, {
      wire: origin.wire,
      zone: from,
      answer,
      answerZone: zone,
      incarnations: [origin.incarnation, this.incarnationOf(zone)],
      epoch: origin.epoch,
      usedAt: same && other !== undefined && !prolongs(origin) ? other.usedAt : origin.sentAt,
    });
  }
}

/** Whether what was sent on has surely prolonged its conn: of TCP not every segment does. */
function prolongs({ wire }: Origin): boolean {
  return wire.protocol !== 6;
}

/** The packet between the zones: from the external endpoint that it has when it has turned round. */
function betweenZones(wire: Wire, left: Wire): Wire {
  const isIcmp = wire.protocol === 1;
  return {
    ...wire,
    source: left.source,
    sourcePort: isIcmp ? wire.sourcePort : left.sourcePort,
    destinationPort: isIcmp ? left.destinationPort : wire.destinationPort,
  };
}

function isOurs(config: Config, zone: number, address: number): boolean {
  return (
    config.pools.some((pool) => pool.zone.id === zone && has(pool, { address })) ||
    config.devices.some(
      (each) => each.zone.id === zone && each.addresses.some((own) => own.address === address),
    )
  );
}

function isSame(one: Endpoint, other: Endpoint): boolean {
  return (
    one.zone === other.zone &&
    one.protocol === other.protocol &&
    one.address === other.address &&
    one.port === other.port
  );
}

function violation(sent: Sent, what: string): Violation {
  return new Violation(`${what}: ${sent.device} ${sent.bytes.toString("hex")}`);
}

/** A packet in a zone; no device where it is between two zones. */
interface Place {
  readonly wire: Wire;
  readonly device: Device | undefined;
  readonly zone: number;
}

/** Whether a flow lets the packet leave in that zone, looking as it does. */
function allows(rule: FlowRule, { wire, device }: Origin, left: Wire, zone: number): boolean {
  return leads(rule, { wire, device, zone: device.zone.id }, left, zone);
}

function leads(rule: FlowRule, place: Place, left: Wire, zone: number): boolean {
  const { wire, device, zone: here } = place;
  const { action } = rule;
  if (rule.device !== undefined && rule.device.name !== device?.name) return false;
  if (rule.zone !== undefined && rule.zone.id !== here) return false;
  if (rule.protocol !== undefined && rule.protocol !== wire.protocol) return false;
  if (!within(rule.source, wire.source) || !within(rule.destination, wire.destination))
    return false;
  if (wire.protocol !== 1) {
    if (!inRange(rule.sourcePorts, wire.sourcePort)) return false;
    if (!inRange(rule.destinationPorts, wire.destinationPort)) return false;
  }
  const keepsDestination = left.destination === wire.destination;
  switch (action.kind) {
    case "masquerade":
      return (
        action.sourceZone.id === here &&
        action.targetZone.id === zone &&
        keepsDestination &&
        has(action.pool, { address: left.source })
      );
    case "source":
      return (
        (action.sourceZone?.id ?? here) === here &&
        action.targetZone.id === zone &&
        keepsDestination &&
        left.source === action.address
      );
    case "destination":
      return (
        (action.sourceZone?.id ?? here) === here &&
        action.targetZone.id === zone &&
        left.source === wire.source &&
        left.destination === action.address
      );
    case "route":
      return (action.zone?.id ?? here) === zone && keepsDestination && left.source === wire.source;
    default:
      return false;
  }
}

function within(prefix: { address: number; length: number } | undefined, address: number): boolean {
  return prefix === undefined || (address & prefixMask(prefix.length)) >>> 0 === prefix.address;
}

function inRange(range: { low: number; high: number } | undefined, port: number): boolean {
  return range === undefined || (range.low <= port && port <= range.high);
}

/** Types of ICMP queries and of the replies to them. */
const COUNTERPARTS = new Map([
  [8, 0],
  [0, 8],
  [13, 14],
  [14, 13],
]);

/** What an answer to a packet looks like. */
export function mirror(wire: Wire): Wire {
  const isIcmp = wire.protocol === 1;
  return {
    protocol: wire.protocol,
    source: wire.destination,
    destination: wire.source,
    sourcePort: isIcmp ? (COUNTERPARTS.get(wire.sourcePort) ?? 255) : wire.destinationPort,
    destinationPort: isIcmp ? wire.destinationPort : wire.sourcePort,
  };
}

export function wireOf({ ip }: Sent): Wire {
  if (ip === undefined) throw new Error("not IPv4");
  const isEcho = ip.protocol === 1;
  return {
    protocol: ip.protocol,
    source: numberOf(ip.source),
    destination: numberOf(ip.destination),
    sourcePort: isEcho ? ip.icmpType : ip.sourcePort,
    destinationPort: isEcho ? ip.identifier : ip.destinationPort,
  };
}

function keyOf(zone: number, wire: Wire): string {
  const { protocol, source, destination, sourcePort, destinationPort } = wire;
  return `${zone} ${protocol} ${source}:${sourcePort} ${destination}:${destinationPort}`;
}
