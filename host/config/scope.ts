/**
 * Names of a document: what a zone, device or pool is called, by name or number. A reference that leads
 * nowhere is a problem once, and none when the entry that it means is itself broken.
 */

import { parseDecimal } from "./address.js";
import { ANY_NAME, type Broken } from "./document.js";
import { describe, type Problems } from "./error.js";
import type { Device, Pool, Zone } from "./model.js";
import { nearest } from "./shape.js";

const NUMBER_MAX = 65535;
/** With more names than this, an error guesses none: it would take too long. */
const HINTS_MAX = 1000;

/** Records of one kind by name and number; `null` stands for an entry that is broken. */
class Names<T> {
  private readonly byKey = new Map<string | number, T | null>();

  constructor(
    private readonly kind: string,
    private readonly broken: ReadonlySet<string>,
  ) {}

  /** Undefined for a key that has no record yet. */
  get(key: string | number): T | null | undefined {
    return this.byKey.get(key);
  }

  set(key: string | number, record: T | null): void {
    this.byKey.set(key, record);
  }

  /** Whether some entry of the kind could not be made a record. */
  get incomplete(): boolean {
    return this.broken.size > 0 || [...this.byKey.values()].includes(null);
  }

  find(reference: string | number, path: string, problems: Problems): T | undefined {
    const key =
      typeof reference === "number"
        ? reference
        : (parseDecimal(reference, NUMBER_MAX) ?? reference);
    const found = this.byKey.get(key);
    if (found !== undefined && found !== null) return found;
    if (found === null || this.broken.has(ANY_NAME) || this.broken.has(String(key)))
      return undefined;
    const names = [...this.byKey.keys()].filter((each) => typeof each === "string");
    const near =
      typeof key === "string" && names.length <= HINTS_MAX ? nearest(key, names) : undefined;
    const hint = near === undefined ? "" : ` (did you mean ${describe(near)}?)`;
    problems.add(path, `a ${this.kind} of this configuration${hint}`, describe(reference));
    return undefined;
  }
}

export class Scope {
  readonly zones: Names<Zone>;
  readonly devices: Names<Device>;
  readonly pools: Names<Pool>;

  constructor(
    readonly problems: Problems,
    broken: Broken,
  ) {
    this.zones = new Names("zone", broken.zones);
    this.devices = new Names("device", broken.devices);
    this.pools = new Names("pool", broken.pools);
  }

  zone(reference: string | number, path: string): Zone | undefined {
    return this.zones.find(reference, path, this.problems);
  }

  device(reference: string | number, path: string): Device | undefined {
    return this.devices.find(reference, path, this.problems);
  }

  pool(reference: string, path: string): Pool | undefined {
    return this.pools.find(reference, path, this.problems);
  }
}
