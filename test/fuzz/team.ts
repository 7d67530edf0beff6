/** Several workers in a round: how frames come to them, and what must hold of all of them together. */

import type { Config } from "../../host/config/model.js";
import { checkConfig } from "../../host/config/parse.js";
import { Shares } from "../../host/config/shares.js";
import type { Document, Router, RouterOptions } from "../harness/router.js";
import { Fanout } from "../harness/steer.js";
import type { Random } from "./random.js";

export class Team {
  private readonly fanout: Fanout;
  private readonly shares: Shares;
  private readonly isSteered: boolean;
  /** Whether what crosses may wait. */
  readonly mayLinger: boolean;
  /** Conns by name of the zone, and the limits that there were, since the last check. */
  private conns: Readonly<Record<string, number>> = {};
  private limits: readonly Config[];
  /** When the workers have last switched, until each has seen what the others had then. */
  private switchedAt: number | undefined;
  /** Numbers of zones that are another tenant's by now: what is left of the one before ends when it is swept. */
  private readonly handedOver = new Set<number>();

  /** @param first  the configuration of the start */
  constructor(
    private readonly random: Random,
    first: Config,
    /** What the round has seen. */
    readonly seen = { steered: 0, lingered: 0, refused: 0 },
  ) {
    this.fanout = new Fanout(first);
    this.shares = new Shares(first);
    this.isSteered = random.chance(0.5);
    this.mayLinger = random.chance(0.5);
    this.limits = [first];
  }

  get options(): RouterOptions {
    const { random, seen } = this;
    const steer = (device: string, bytes: Uint8Array) => {
      // Now and then the kernel counts its sockets in another order than the workers.
      if (!this.isSteered || random.chance(0.05)) return random.below(this.workers);
      seen.steered++;
      return this.fanout.steer(device, bytes);
    };
    const lingers = () => {
      const goesOn = random.chance(0.6);
      if (goesOn) seen.lingered++;
      return goesOn;
    };
    return this.mayLinger ? { steer, lingers } : { steer };
  }

  private get workers(): number {
    return this.limits[0]?.workers ?? 1;
  }

  /** Whether the workers could go on with what they have shared out (host/forwarder.ts). */
  mayFollow(next: Document): boolean {
    const may = this.shares.refuse(checkConfig(next)).length === 0;
    if (!may) this.seen.refused++;
    return may;
  }

  switched({ config, now }: Router): void {
    const before = new Map(this.limits.at(-1)?.zones.map(({ id, name }) => [id, name]));
    for (const { id, name } of config.zones) {
      if (before.get(id) !== name) this.handedOver.add(id);
    }
    this.fanout.program(config);
    this.shares.adopt(config);
    this.limits = [...this.limits, config];
    this.switchedAt = now;
  }

  waited({ now }: Router): void {
    this.handedOver.clear();
    const { switchedAt } = this;
    if (switchedAt !== undefined && now - switchedAt >= 1000) this.switchedAt = undefined;
  }

  check(router: Router): void {
    this.checkPorts(router);
    this.checkConns(router);
    this.checkLimits(router);
  }

  /** No external port is two workers'; what has no ports, conns tell apart by their other end. */
  private checkPorts(router: Router): void {
    const owners = new Map<string, number>();
    for (const [worker, mappings] of router.mappingsByWorker().entries()) {
      for (const { protocol, externalZone, external, externalPort } of mappings) {
        if (!["tcp", "udp", "icmp"].includes(protocol)) continue;
        if (this.handedOver.has(externalZone)) continue;
        const key = `${protocol} ${externalZone} ${external}:${externalPort}`;
        const other = owners.get(key) ?? worker;
        if (other !== worker) throw new Error(`workers ${other} and ${worker} have ${key}`);
        owners.set(key, worker);
      }
    }
  }

  /** Nor is a conn's answer two workers' to expect. */
  private checkConns(router: Router): void {
    const owners = new Map<string, number>();
    for (const [worker, conns] of router.connsByWorker().entries()) {
      for (const { protocol, reply } of conns) {
        if (this.handedOver.has(reply.zone)) continue;
        const key = `${protocol} ${JSON.stringify(reply)}`;
        const other = owners.get(key) ?? worker;
        if (other !== worker) throw new Error(`workers ${other} and ${worker} await ${key}`);
        owners.set(key, worker);
      }
    }
  }

  /**
   * All workers together let a zone have no more conns than its limit, but for those that it had before. One that has
   * switched first does not know yet how many the others have, where there was no limit.
   */
  private checkLimits(router: Router): void {
    const { zones } = router.counters();
    const counted: Record<string, number> = {};
    for (const [name, { conns }] of Object.entries(zones)) {
      counted[name] = conns;
      const most = this.limits.map((config) => limitOf(config, name));
      const before = this.conns[name] ?? 0;
      const meanwhile = this.switchedAt === undefined ? 0 : Math.max(...most);
      if (conns > Math.max(before + meanwhile, ...most)) {
        throw new Error(`zone ${name} has ${conns} conns, ${before} before; its limit is ${most}`);
      }
    }
    this.conns = counted;
    this.limits = [router.config];
  }
}

/** Infinity for none. */
function limitOf({ zones }: Config, name: string): number {
  return zones.find((zone) => zone.name === name)?.connsMax || Number.POSITIVE_INFINITY;
}
