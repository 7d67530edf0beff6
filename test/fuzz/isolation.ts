/** One round of random traffic over random configurations, every frame that leaves judged by the oracle. */

import { ConfigError } from "../../host/config/error.js";
import type { Device } from "../../host/config/model.js";
import { checkConfig } from "../../host/config/parse.js";
import { ImageRefused } from "../../host/datapath.js";
import { type ConnView, formatConn } from "../../host/telemetry/conn.js";
import { keptDevices } from "../../host/workers/share.js";
import { inherit } from "../harness/conversation.js";
import { cut } from "../harness/fragments.js";
import {
  type Ipv4Fields,
  icmp,
  ipv4Packet,
  numberOf,
  type Payload,
  raw,
  TcpFlags,
  tcp,
  udp,
} from "../harness/frame.js";
import { Host } from "../harness/host.js";
import { type Document, type Restored, Router, type Sent } from "../harness/router.js";
import { markedError, quoteOf } from "./errors.js";
import {
  another,
  GATEWAY,
  network,
  POOL_ADDRESSES,
  PORTS,
  PUBLIC_HOSTS,
  TENANT_HOSTS,
  TIMEOUTS,
} from "./network.js";
import { mirror, Oracle, type Wire, wireOf } from "./oracle.js";
import { Random } from "./random.js";
import { Team } from "./team.js";

/** What the rounds of a run have seen, to show that something happened. */
export type Tally = Record<string, number>;

/** A whole mark stands in it, behind TCP's header as well. */
const SHORTEST_PIECE = 40;

type Extras = Pick<Ipv4Fields, "source" | "ttl">;

const STEPS = 250;
const OWN = ["192.168.0.1", "203.0.113.2"];
/** Where a packet may turn round. */
const OURS = new Set([...OWN, ...POOL_ADDRESSES, "203.0.113.10"].map(numberOf));
const FLAGS = [
  TcpFlags.Syn,
  TcpFlags.Syn,
  TcpFlags.Syn | TcpFlags.Ack,
  TcpFlags.Ack,
  TcpFlags.Fin | TcpFlags.Ack,
  TcpFlags.Rst,
];

const ICMP_ERRORS = [3, 11, 12];

/** Throws where isolation, or one of the Router's own invariants, is broken. */
export function isolationRound(seed: number): Tally {
  return new Round(seed, 1).run();
}

/** The same with several workers: what must hold of all of them together, too. */
export function workersRound(seed: number): Tally {
  return new Round(seed, 2 + (seed % 2)).run();
}

class Round {
  private readonly random: Random;
  private router: Router;
  private team: Team | undefined;
  private readonly oracle: Oracle;
  /** What left of late, to be answered. */
  private recent: Sent[] = [];
  private document: Document;
  private errorsPassed = 0;
  private between = 0;
  private heard = 0;
  /** What other processes went on with, and what could not go on, by its Fate. */
  private readonly restored: Tally = {};
  /** When something left that did not wait. */
  private readonly prompt = new WeakMap<Sent, number>();
  /** How the frames ended that were offered last, by Reason. */
  private ended: Record<string, number> = {};
  /** While some workers have switched and others have not: the devices that both know. */
  private kept: readonly Device[] | undefined;

  constructor(seed: number, workers: number) {
    this.random = new Random(seed);
    this.document = accepted(() => network(this.random, workers));
    const now = this.random.chance(0.1) ? 2 ** 32 - this.random.below(20_000) : 1000;
    const team = workers > 1 ? new Team(this.random, checkConfig(this.document)) : undefined;
    this.router = new Router(this.document, { seed, now, ...team?.options });
    this.team = team;
    const shortest = Math.min(...Object.values(TIMEOUTS)) * 1000;
    this.oracle = new Oracle(this.router.config, shortest);
  }

  run(): Tally {
    for (let step = 0; step < STEPS; step++) {
      this.step();
      this.team?.check(this.router);
    }
    this.checkLeaks();
    const { errorsPassed, between, heard, oracle, router, team } = this;
    const { crossed } = router;
    const seen = { ...oracle.seen, ...team?.seen, errorsPassed, between, heard, crossed };
    return { ...router.reasons(), ...seen, ...this.restored };
  }

  /** When nobody has said anything for long, nothing is left: no conn, no frame that waits, no address. */
  private checkLeaks(): void {
    const { router } = this;
    this.take(router.settle());
    this.take(router.wait(3_600_000));
    this.take(router.settle());
    const { zones, reasons } = router.counters();
    const conns = router.conns().length;
    const counted = Object.values(zones).reduce((sum, { conns }) => sum + conns, 0);
    if (conns !== 0 || counted !== 0)
      throw new Error(`${conns} conns are left, ${counted} counted`);
    const kept = [...router.mappings(), ...router.hosts()];
    if (kept.length > 0) throw new Error(`left behind: ${JSON.stringify(kept)}`);
    const { Held = 0, HeldSent = 0, NeighborFailed = 0 } = reasons;
    const { FragmentHeld = 0, FragmentTimeout = 0 } = reasons;
    const left = Held + FragmentHeld - HeldSent - NeighborFailed - FragmentTimeout;
    // A fragment that waited may have been dropped by what became of its first one.
    if (left < 0 || (left > 0 && FragmentHeld === 0))
      throw new Error(`frames wait: ${JSON.stringify(reasons)}`);
    const pools = [{ name: "p20", zone: 20, addresses: ["198.18.0.0-198.18.0.23"] }];
    const { capacity, workers } = this.document;
    const zone = { id: 20, name: "last" };
    const device = { name: "last", zone: 20, interface: "eth9" };
    const last = { version: 1, workers, zones: [zone], devices: [device], capacity };
    router.reconfigure(last);
    router.reconfigure({ ...last, pools });
  }

  private step(): void {
    const { random } = this;
    const dice = random.below(100);
    if (dice < 40) this.sendNew();
    else if (dice < 70) this.sendAnswer();
    else if (dice < 76) this.sendError();
    else if (dice < 82) this.sendToExternal();
    else if (dice < 90) this.sendArp();
    else if (dice < 97) this.wait(random.pick([0, 10, 500, 1500, 5000]));
    else if (dice < 99) this.reconfigure();
    else this.restart();
  }

  /** Another process goes on: with the same configuration as if nothing had happened, else as behind a switch. */
  private restart(): void {
    const { random, router: before, team } = this;
    this.take(before.settle());
    // What a switch has revoked is swept.
    this.take(before.wait(1));
    this.take(before.settle());
    const isSame = random.chance(0.5);
    const workers = team === undefined ? 1 : 2 + random.below(2);
    const { capacity } = this.document;
    const document = isSame
      ? this.document
      : accepted(() => ({ ...network(random, workers), capacity }));
    if (team !== undefined) this.team = new Team(random, checkConfig(document), team.seen);
    const elapsed = random.pick([0, 0, 10, 1500, 5000]);
    this.router = new Router(document, {
      seed: random.below(1000),
      now: before.now + elapsed,
      number: before.number + (isSame ? 0 : 1),
      ...this.team?.options,
    });
    const saved = before.save(1 + random.below(20));
    const fates = this.router.restore(saved, { elapsed, old: random.chance(0.5) });
    inherit(this.router, before);
    checkRestored(before, this.router);
    if (isSame) checkAllRestored(before, fates);
    else this.oracle.reconfigured(this.router.config);
    this.document = document;
    for (const [fate, count] of Object.entries(fates.conns)) {
      this.restored[`conns${fate}`] = (this.restored[`conns${fate}`] ?? 0) + count;
    }
  }

  /** Nothing is on its way between two workers for long. */
  private wait(ms: number): void {
    if (ms > 0) this.take(this.router.settle());
    this.take(this.router.wait(ms));
    this.team?.waited(this.router);
  }

  private take(sent: readonly Sent[]): void {
    for (const each of sent) {
      this.oracle.check(each);
      if (each.ip !== undefined) this.remember(each);
    }
    this.recent = this.recent.slice(-24);
    for (const each of sent) if (each.arp?.operation === 1) this.answerQuestion(each);
  }

  /** What can be answered. */
  private remember(sent: Sent): void {
    if (sent.ip?.fragmentOffset === 0) this.recent.push(sent);
  }

  /** Most hosts that are asked for exist. */
  private answerQuestion(question: Sent): void {
    const target = question.arp?.target ?? "";
    const exists = this.devices.some(({ name }) => name === question.device);
    if (this.random.chance(0.3) || !exists) return;
    const host = new Host(this.router, question.device, target);
    this.take(host.answerArp(question.arp?.sender ?? ""));
  }

  /** Devices that frames can come in by now. */
  private get devices(): readonly Device[] {
    return this.kept ?? this.router.config.devices;
  }

  private sendNew(): void {
    const { random } = this;
    const device = random.pick(this.devices);
    const inside = device.zone.id < 20;
    const source = random.chance(0.95)
      ? random.pick(inside ? TENANT_HOSTS : PUBLIC_HOSTS)
      : random.pick([...OWN, ...POOL_ADDRESSES, ...TENANT_HOSTS, ...PUBLIC_HOSTS]);
    const destination = random.pick([
      ...PUBLIC_HOSTS,
      ...TENANT_HOSTS,
      ...(random.chance(0.3) ? [...OWN, ...POOL_ADDRESSES, GATEWAY] : []),
    ]);
    const protocol = random.pick([1, 6, 6, 17, 17, 17, 47]);
    this.send(device, {
      protocol,
      source: numberOf(source),
      destination: numberOf(destination),
      sourcePort: protocol === 1 ? random.pick([8, 8, 8, 0, 13]) : ported(protocol, random),
      destinationPort: protocol === 1 ? random.pick(PORTS) : ported(protocol, random),
    });
  }

  /** The answer to something that left: from where it arrived or, to see what happens, from elsewhere. */
  private sendAnswer(): void {
    const { random, devices } = this;
    const sent = this.recent[random.below(this.recent.length)];
    if (sent?.ip === undefined || ICMP_ERRORS.includes(sent.ip.icmpType)) {
      this.sendNew();
      return;
    }
    const there = devices.find(({ name }) => name === sent.device);
    const device = there === undefined || random.chance(0.25) ? random.pick(devices) : there;
    const answer = mirror(wireOf(sent));
    const isExact = random.chance(0.9);
    this.send(device, isExact ? answer : { ...answer, sourcePort: random.pick(PORTS) });
    if (isExact && device === there) this.checkHeard(sent);
  }

  /** What has just left its zone behind a pool has a conn, and whoever has that has heard the answer. */
  private checkHeard(sent: Sent): void {
    const { router, prompt } = this;
    const { Filtered, NoConn } = this.ended;
    const isPrompt = prompt.get(sent) === router.now && sent.configuration === router.number;
    if (!isPrompt || sent.ip?.protocol !== 17 || this.team?.mayLinger === true) return;
    if (!POOL_ADDRESSES.includes(sent.ip.source) || this.kept !== undefined) return;
    this.heard++;
    if (Filtered !== undefined || NoConn !== undefined) {
      throw new Error(`an answer finds no conn: ${JSON.stringify(this.ended)}`);
    }
  }

  /** An ICMP error about something that left: from where it arrived or elsewhere, from whom it may be. */
  private sendError(): void {
    const { random } = this;
    const { devices } = this.router.config;
    const seen = this.recent[random.below(this.recent.length)];
    if (seen === undefined) {
      this.sendNew();
      return;
    }
    const there = devices.find(({ name }) => name === seen.device);
    const device = there === undefined || random.chance(0.25) ? random.pick(devices) : there;
    const quoted = quoteOf(random, seen);
    const mark = this.oracle.markError(device, quoted, this.router.now);
    const sources = [...PUBLIC_HOSTS, ...TENANT_HOSTS, GATEWAY, ...OWN, ...POOL_ADDRESSES];
    const extras = { source: random.pick(sources), ttl: random.chance(0.05) ? 1 : 64 };
    const sender = quoted.length < 16 ? 0 : quoted.readUInt32BE(12);
    const destination = random.chance(0.9) ? sender : numberOf(random.pick(sources));
    const host = new Host(this.router, device.name, "192.0.2.1");
    const sent = host.send(destination, markedError(random, quoted, mark), extras);
    this.errorsPassed += this.router.ended.Forwarded ?? 0;
    this.take(sent);
  }

  /** To the external endpoint of something that left: from a stranger, or from inside, to turn round there. */
  private sendToExternal(): void {
    const { random } = this;
    const { devices } = this.router.config;
    const seen = this.recent[random.below(this.recent.length)];
    const outside = devices.find(({ name }) => name === seen?.device);
    if (seen?.ip === undefined || outside === undefined || outside.zone.id < 20) {
      this.sendNew();
      return;
    }
    const { protocol, source, sourcePort, identifier } = seen.ip;
    const device = random.chance(0.4) ? outside : random.pick(devices);
    const inside = device.zone.id < 20;
    this.send(device, {
      protocol,
      source: numberOf(random.pick(inside ? TENANT_HOSTS : PUBLIC_HOSTS)),
      destination: numberOf(source),
      sourcePort: protocol === 1 ? 8 : ported(protocol, random),
      destinationPort: protocol === 1 ? identifier : sourcePort,
    });
  }

  private send(device: Device, wire: Wire): void {
    const host = new Host(this.router, device.name, "192.0.2.1");
    const mark = this.oracle.mark(device, effective(wire), this.router.now);
    const extras = { source: wire.source, ttl: this.random.chance(0.05) ? 1 : 64 };
    this.ended = {};
    const sent = this.random.chance(0.15)
      ? this.sendPieces(host, wire, mark, extras)
      : this.offer(wire, () => host.send(wire.destination, this.payload(host, wire, mark), extras));
    for (const each of sent) this.prompt.set(each, this.router.now);
    this.take(sent);
  }

  /** What has got a conn and did not leave, or not yet, the oracle cannot see. */
  private offer(wire: Wire, send: () => Sent[]): Sent[] {
    const { router } = this;
    const { crossed } = router;
    const sent = send();
    for (const [reason, count] of Object.entries(router.ended)) {
      this.ended[reason] = (this.ended[reason] ?? 0) + count;
    }
    const { Held, HoldQueueFull, Filtered } = router.ended;
    const isKept = Held !== undefined || HoldQueueFull !== undefined || router.isCrossing;
    // It has gone round, and was dropped there: by this worker, or by another one.
    const wentRound = Filtered !== undefined || router.crossed > crossed;
    if (isKept || (wentRound && OURS.has(wire.destination))) this.oracle.isWaiting();
    return sent;
  }

  /** In pieces, each long enough for a whole mark, in any order, some lost, some twice. */
  private sendPieces(host: Host, wire: Wire, mark: Buffer, extras: Extras): Sent[] {
    const { random } = this;
    const data = Buffer.concat(Array.from({ length: 40 }, () => mark));
    const payload = this.payload(host, wire, data);
    const identification = random.below(4);
    const { destination } = wire;
    const packet = ipv4Packet({ destination, payload, identification, ...extras });
    const size = 8 * (SHORTEST_PIECE / 8 + random.below(40));
    const last = packet.length - 20 - SHORTEST_PIECE;
    const cuts = Array.from({ length: Math.floor(last / size) }, (_, i) => (i + 1) * size);
    const pieces = cut(packet, cuts);
    const order = pieces.flatMap((each) => random.pick([[each], [each], [each], [], [each, each]]));
    for (let i = order.length - 1; i > 0 && random.chance(0.8); i--) {
      const other = random.below(i + 1);
      [order[i], order[other]] = [order[other] as Buffer, order[i] as Buffer];
    }
    return order.flatMap((each) => this.offer(wire, () => host.sendPacket(each)));
  }

  /** Segments mostly have the numbers that their sender would use; some are outside of every window. */
  private payload(host: Host, wire: Wire, data: Buffer): Payload {
    const { protocol, sourcePort, destinationPort } = wire;
    if (protocol === 17) return udp({ sourcePort, destinationPort, data });
    if (protocol === 6) {
      const flags = this.random.pick(FLAGS);
      if (this.random.chance(0.1)) return tcp({ sourcePort, destinationPort, flags, data });
      const { source, destination } = wire;
      return host.segment(destination, sourcePort, destinationPort, flags, { data }, { source });
    }
    if (protocol === 1) return icmp({ type: sourcePort, identifier: destinationPort, data });
    return raw(protocol, data);
  }

  private sendArp(): void {
    const { random } = this;
    const device = random.pick(this.router.config.devices);
    const host = new Host(
      this.router,
      device.name,
      random.pick([...TENANT_HOSTS, ...PUBLIC_HOSTS]),
    );
    const target = random.pick([...OWN, ...POOL_ADDRESSES, ...TENANT_HOSTS]);
    this.take(random.chance(0.7) ? host.ask(target) : host.answerArp(target));
  }

  private reconfigure(): void {
    const { router, oracle, team } = this;
    const next = this.random.chance(0.3)
      ? this.document
      : accepted(() => another(this.random, this.document));
    if (team !== undefined && !team.mayFollow(next)) return;
    let announced = false;
    try {
      router.reconfigure(next, () => {
        if (!announced) oracle.announce(checkConfig(next));
        announced = true;
        this.sendBetween(next);
      });
    } catch (error) {
      if (error instanceof ImageRefused && !announced) return;
      throw error;
    }
    if (!announced) oracle.announce(router.config);
    oracle.adopt();
    this.document = next;
    team?.switched(router);
  }

  /** While some workers have switched and others have not. */
  private sendBetween(next: Document): void {
    const kept = new Set(keptDevices(this.router.config, checkConfig(next)));
    const devices = this.router.config.devices.filter(({ port }) => kept.has(port));
    if (devices.length === 0) return;
    this.kept = devices;
    for (let i = this.random.below(6); i > 0; i--) {
      if (this.random.chance(0.5)) this.sendNew();
      else this.sendAnswer();
      this.between++;
    }
    this.kept = undefined;
  }
}

/** What goes on is what there was, and not twice. */
function checkRestored(before: Router, after: Router): void {
  const nameOf = (conn: ConnView) => `${conn.protocol} ${formatConn(conn)}`;
  const had = new Set(before.conns().map(nameOf));
  const has = after.conns().map(nameOf);
  const strange = has.filter((each) => !had.has(each));
  if (strange.length > 0 || new Set(has).size < has.length) {
    throw new Error(`restored: ${strange}; of ${[...had]}`);
  }
}

/**
 * The same configuration allows all that there was, but for what has turned round to a mapping of which nothing else is
 * left when its time has been counted, and for what is beyond a limit that was lowered while it was there.
 */
function checkAllRestored(before: Router, { conns, ports }: Restored): void {
  const turned = before.conns().filter(({ original }) => OURS.has(numberOf(original.destination)));
  const { Restored: _, Expired: __, Refused: refused = 0, OverLimit = 0, ...lost } = conns;
  const { Restored: ___, Expired: ____, ...lostPorts } = ports;
  const isLost = Object.keys(lost).length + Object.keys(lostPorts).length > 0;
  if (isLost || refused > turned.length || OverLimit > beyondLimits(before)) {
    throw new Error(`lost at a restart: ${JSON.stringify({ conns, ports })}`);
  }
}

/** Conns beyond what their zones and hosts may have; all of a host that has too many ports. */
function beyondLimits(router: Router): number {
  const { zones } = router.counters();
  const hosts = router.hosts();
  const beyond = (count: number, limit: number) => (limit === 0 ? 0 : Math.max(0, count - limit));
  let sum = 0;
  for (const { id, name, connsMax, connsPerHost, portsPerHost } of router.config.zones) {
    sum += beyond(zones[name]?.conns ?? 0, connsMax);
    for (const { conns, ports } of hosts.filter(({ zone }) => zone === id)) {
      const { tcp, udp, icmp } = portsPerHost;
      const hasMore =
        beyond(ports.tcp, tcp) + beyond(ports.udp, udp) + beyond(ports.icmp, icmp) > 0;
      sum += hasMore ? conns : beyond(conns, connsPerHost);
    }
  }
  return sum;
}

function ported(protocol: number, random: Random): number {
  return protocol === 47 ? 0 : random.pick(PORTS);
}

/** Protocols without ports have none in their wire. */
function effective(wire: Wire): Wire {
  return wire.protocol === 47 ? { ...wire, sourcePort: 0, destinationPort: 0 } : wire;
}

/** A document that the check accepts: random flows may contradict each other. */
function accepted(make: () => Document): Document {
  for (;;) {
    const document = make();
    try {
      checkConfig(document);
      return document;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
    }
  }
}
