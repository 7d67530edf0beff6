/**
 * Who has which external endpoint, told from what left alone: the first packet of an inside endpoint that is
 * seen outside says what it has there. It may not have another while it keeps that one (RFC 4787 REQ-1),
 * nobody else may have it (REQ-3), also not for as long as it rests (RFC 6888 REQ-8), and who may send to it
 * follows from whom its owner has sent to (RFC 4787 REQ-8).
 */

import { Allocation, FilteringBehaviour, MappingBehaviour } from "../../assembly/abi.js";
import type { Config, PerProtocol, Pool } from "../../host/config/model.js";
import type { Wire } from "./oracle.js";

/** An endpoint, or what is seen of one: for ICMP the identifier stands for the port. */
export interface Endpoint {
  readonly zone: number;
  readonly protocol: number;
  readonly address: number;
  readonly port: number;
}

interface Owner {
  readonly inside: Endpoint;
  readonly incarnation: number;
  readonly epoch: number;
  /** It may also have been an answer from there. */
  readonly certain: boolean;
  /** Addresses that it has sent to. */
  readonly remotes: Set<number>;
  usedAt: number;
}

interface Held {
  readonly external: string;
  readonly epoch: number;
  usedAt: number;
}

/** A conn that began behind a pool. */
export interface Beginning {
  readonly inside: Endpoint;
  readonly incarnation: number;
  readonly external: Endpoint;
  /** As the sender named it. */
  readonly wire: Wire;
  readonly pool: Pool;
  readonly config: Config;
  readonly epoch: number;
  readonly at: number;
  /** Whether this packet surely prolongs what it has begun, or belongs to. */
  readonly prolongs: boolean;
}

const PROTOCOLS: ReadonlyMap<number, keyof PerProtocol<unknown>> = new Map([
  [6, "tcp"],
  [17, "udp"],
  [1, "icmp"],
]);

/** Of the first configuration: nothing is older. */
const FIRST_EPOCH = 0;

/** From so many conns on, the ports that rest in a round find room; a smaller ring frees them earlier. */
const RESTS_FROM = 512;

export class Ownership {
  private readonly owners = new Map<string, Owner[]>();
  private readonly held = new Map<string, Held>();
  /** The epoch in which each conn was first seen. */
  private readonly since = new Map<string, number>();

  /** Milliseconds that the shortest-lived conn lives at least. */
  constructor(private readonly lifetimeMs: number) {}

  /** Why a conn may not have this external endpoint; undefined when it may. Remembers it. */
  begins(beginning: Beginning): string | undefined {
    const { inside, pool, external } = beginning;
    const protocol = PROTOCOLS.get(inside.protocol);
    if (protocol === undefined) return undefined;
    // A mapping that there was before goes on when its pool gets other ports.
    const { low, high } = pool.ports;
    if (beginning.epoch === FIRST_EPOCH && (external.port < low || external.port > high)) {
      return "a port that its pool does not have";
    }
    const shares =
      (pool.allocation === Allocation.Random || pool.allocation === Allocation.Preserve) &&
      pool.mapping[protocol] === MappingBehaviour.AddressAndPortDependent &&
      pool.filtering[protocol] === FilteringBehaviour.AddressAndPortDependent;
    const fault = shares ? undefined : (this.keeps(beginning, protocol) ?? this.isAlone(beginning));
    this.remember(beginning, true);
    return fault;
  }

  /** A conn may have this external endpoint. */
  mayBegin(beginning: Beginning): void {
    this.remember(beginning, false);
  }

  /** An endpoint that has a mapping keeps it. */
  private keeps(
    { inside, external, wire, pool, epoch, at, prolongs }: Beginning,
    protocol: keyof PerProtocol<unknown>,
  ) {
    const mapping = pool.mapping[protocol];
    const to = [
      mapping >= MappingBehaviour.AddressDependent ? wire.destination : "",
      mapping >= MappingBehaviour.AddressAndPortDependent
        ? protocol === "icmp"
          ? wire.sourcePort
          : wire.destinationPort
        : "",
    ];
    const key = `${keyOf(inside)} ${pool.name} ${to}`;
    const now = keyOf(external);
    // A conn of a former configuration stays as that one made it.
    const conn = `${keyOf(inside)} ${wire.destination}:${wire.destinationPort} ${now}`;
    const since = this.since.get(conn) ?? epoch;
    this.since.set(conn, since);
    if (since < epoch) return undefined;
    const before = this.held.get(key);
    const goesOn = before?.external === now && before.epoch === epoch && !prolongs;
    this.held.set(key, { external: now, epoch, usedAt: goesOn ? before.usedAt : at });
    if (before === undefined || before.epoch !== epoch || before.external === now) return undefined;
    return at - before.usedAt < this.lifetimeMs ? "its endpoint has another port" : undefined;
  }

  /** Nobody else has, or had of late, its external endpoint. */
  private isAlone({ inside, incarnation, external, config, epoch, at }: Beginning) {
    const rests = (config.capacity.conns ?? 0) >= RESTS_FROM ? config.timeouts.holdDown * 1000 : 0;
    const other = this.ownersOf(external).find(
      (each) =>
        each.certain &&
        (keyOf(each.inside) !== keyOf(inside) || each.incarnation !== incarnation) &&
        each.epoch === epoch &&
        at - each.usedAt < this.lifetimeMs + rests,
    );
    return other === undefined
      ? undefined
      : `its port is, or was just now, ${keyOf(other.inside)}'s`;
  }

  private remember(beginning: Beginning, certain: boolean): void {
    const { inside, incarnation, external, wire, epoch, at, prolongs } = beginning;
    const owners = this.ownersOf(external);
    const known = owners.find(
      (each) =>
        keyOf(each.inside) === keyOf(inside) &&
        each.incarnation === incarnation &&
        each.certain === certain &&
        each.epoch === epoch,
    );
    if (known !== undefined) {
      known.remotes.add(wire.destination);
      if (prolongs) known.usedAt = Math.max(known.usedAt, at);
      return;
    }
    const remotes = new Set([wire.destination]);
    this.owners.set(keyOf(external), [
      ...owners,
      { inside, incarnation, epoch, certain, remotes, usedAt: at },
    ]);
  }

  private ownersOf(external: Endpoint): readonly Owner[] {
    return this.owners.get(keyOf(external)) ?? [];
  }

  /**
   * Whether somebody who had this external endpoint as `inside` lets an address in. Its filter is that of a configuration
   * since it began.
   * @param configs  all, by epoch, up to the one in force
   */
  letsIn(
    external: Endpoint,
    inside: Endpoint,
    incarnation: number,
    sender: number,
    configs: readonly Config[],
  ): boolean {
    return this.ownersOf(external).some(
      (each) =>
        keyOf(each.inside) === keyOf(inside) &&
        each.incarnation === incarnation &&
        configs.slice(each.epoch).some((config) => opens(config, external, sender, each.remotes)),
    );
  }
}

/** Whether a pool that has the external endpoint lets a sender in, of whom its owner sent to `remotes`. */
export function opens(
  config: Config,
  external: Endpoint,
  sender: number,
  remotes: ReadonlySet<number>,
): boolean {
  const protocol = PROTOCOLS.get(external.protocol);
  if (protocol === undefined || protocol === "icmp") return false;
  const pools = config.pools.filter(
    (pool) => pool.zone.id === external.zone && has(pool, external),
  );
  return pools.some((pool) => {
    switch (pool.filtering[protocol]) {
      case FilteringBehaviour.EndpointIndependent:
        return true;
      case FilteringBehaviour.AddressDependent:
        return remotes.has(sender);
      default:
        return false;
    }
  });
}

/** Whether a pool has an address. */
export function has(pool: Pool, { address }: { readonly address: number }): boolean {
  return pool.ranges.some(({ first, last }) => first <= address && address <= last);
}

function keyOf({ zone, protocol, address, port }: Endpoint): string {
  return `${zone} ${protocol} ${address}:${port}`;
}

/** Who sent a packet, as it looks in a zone. */
export function senderOf(wire: Wire, zone: number): Endpoint {
  const port = wire.protocol === 1 ? wire.destinationPort : wire.sourcePort;
  return { zone, protocol: wire.protocol, address: wire.source, port };
}

/** Whom a packet goes to. ICMP queries go to no port. */
export function receiverOf(wire: Wire, zone: number): Endpoint {
  return { zone, protocol: wire.protocol, address: wire.destination, port: wire.destinationPort };
}
