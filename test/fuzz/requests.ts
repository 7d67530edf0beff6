/** Requests of the protocol that a seed makes: most nearly right, by the methods' own schemas, some not even JSON. */

import { isRecord } from "../../host/config/shape.js";
import { protocolSchema } from "../../host/control/protocol/schema.js";
import { planeDocument } from "../harness/plane.js";
import type { Random } from "./random.js";

/** What of JSON Schema the protocol's schemas use. */
interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
}

const methods = protocolSchema().methods as Readonly<Record<string, { params: object }>>;
const NAMES = Object.keys(methods);

/** Words that mean something somewhere. */
const WORDS = [
  ...["a", "public", "10", "p1", "lan", "udp", "tcp", "icmp", "10.0.1.1", "10.0.0.0/8"],
  ...["203.0.113.64", "1-65535", "53", "", "\u0000", "\u{1f600}", "__proto__", "constructor"],
  ...["x".repeat(5000), "priority=900,ip,zone=a actions=drop", "../../etc/passwd", "NaN", "'"],
] as const;

const NUMBERS = [0, 1, -1, 2, 7, 10, 20, 53, 500, 65535, 65536, 1e9, 2 ** 53, 1e308, 0.5, -0];

export interface Sent {
  readonly text: string;
  /** Ids that have to be answered, each once. */
  readonly ids: readonly (string | number)[];
}

export class Requests {
  /** Far from those that a client counts. */
  private lastId = 1_000_000;

  constructor(
    private readonly random: Random,
    /** The revision in force, as far as anybody knows. */
    private readonly base: () => number,
  ) {}

  next(): Sent {
    const { random } = this;
    if (random.chance(0.08)) return this.broken();
    if (random.chance(0.1)) {
      const all = Array.from({ length: 1 + random.below(6) }, () => this.request());
      return { text: JSON.stringify(all), ids: all.flatMap(idsOf) };
    }
    const request = this.request();
    return { text: JSON.stringify(request), ids: idsOf(request) };
  }

  private request(): Record<string, unknown> {
    const { random } = this;
    const method = random.chance(0.03) ? random.pick(WORDS) : random.pick(NAMES);
    const id = random.chance(0.05) ? {} : { id: this.id() };
    const params = random.chance(0.1) ? this.junk(3) : this.params(method);
    return { jsonrpc: "2.0", ...id, method, params };
  }

  private id(): string | number {
    const id = ++this.lastId;
    return this.random.chance(0.5) ? id : `id ${id}`;
  }

  private params(method: string): unknown {
    const schema = methods[method]?.params as Schema | undefined;
    if (schema === undefined) return {};
    const made = this.value(schema, 4);
    if (!isRecord(made)) return made;
    if ("base" in made && this.random.chance(0.8)) made.base = this.base();
    if ("config" in made) made.config = this.document();
    if ("confirmWithinSec" in made && this.random.chance(0.8)) made.confirmWithinSec = 1;
    return made;
  }

  private value(schema: Schema, depth: number): unknown {
    const { random } = this;
    if (random.chance(0.04)) return this.junk(2);
    if (schema.anyOf !== undefined) return this.value(random.pick(schema.anyOf), depth);
    if (schema.enum !== undefined) return random.pick(schema.enum);
    switch (schema.type) {
      case "object":
        return this.object(schema, depth);
      case "array":
        return Array.from({ length: random.below(4) }, () => this.value(schema.items ?? {}, depth));
      case "boolean":
        return random.chance(0.5);
      case "integer":
      case "number": {
        const { minimum = 0, maximum = 100 } = schema;
        const high = Math.min(maximum, minimum + 1000);
        return random.chance(0.2)
          ? random.pick(NUMBERS)
          : minimum + random.below(high - minimum + 1);
      }
      case "string":
        return random.pick(WORDS);
      default:
        return this.junk(2);
    }
  }

  private object({ properties = {}, required = [] }: Schema, depth: number): unknown {
    const made: Record<string, unknown> = {};
    if (depth === 0) return made;
    for (const [key, schema] of Object.entries(properties)) {
      if (required.includes(key) ? this.random.chance(0.03) : this.random.chance(0.7)) continue;
      made[key] = this.value(schema, depth - 1);
    }
    return made;
  }

  /** A configuration that differs a little, or one that is wrong. */
  private document(): unknown {
    const { random } = this;
    const document: Record<string, unknown> = planeDocument({ busyPoll: random.below(1000) });
    if (random.chance(0.3)) document.flows = [random.pick(WORDS)];
    if (random.chance(0.3)) {
      document.zones = [
        { id: 10, name: "a", limits: { conns: 1 + random.below(4000) } },
        { id: 20, name: random.chance(0.5) ? "public" : "other" },
      ];
    }
    if (random.chance(0.2)) document[random.pick(Object.keys(document))] = this.junk(3);
    if (random.chance(0.1)) return this.junk(3);
    return random.chance(0.3) ? JSON.stringify(document) : document;
  }

  private junk(depth: number): unknown {
    const { random } = this;
    const kind = random.below(depth > 0 ? 7 : 5);
    switch (kind) {
      case 0:
        return null;
      case 1:
        return random.chance(0.5);
      case 2:
        return random.pick(NUMBERS);
      case 3:
      case 4:
        return random.pick(WORDS);
      case 5:
        return Array.from({ length: random.below(5) }, () => this.junk(depth - 1));
      default:
        return Object.fromEntries(
          Array.from({ length: random.below(4) }, () => [random.pick(WORDS), this.junk(depth - 1)]),
        );
    }
  }

  /** Text that was a request: cut short, with another character in it, or as deep as it gets. No id is sure of an answer. */
  private broken(): Sent {
    const { random } = this;
    const text = JSON.stringify(this.request());
    const at = random.below(text.length);
    const kinds = [
      text.slice(0, at),
      `${text.slice(0, at)}${random.pick(['"', "{", "]", ",", "\u0000", "\\"])}${text.slice(at + 1)}`,
      "[".repeat(1 + random.below(2000)),
      JSON.stringify(this.junk(4)),
    ];
    return { text: random.pick(kinds), ids: [] };
  }
}

function idsOf(request: Record<string, unknown>): (string | number)[] {
  return "id" in request ? [request.id as string | number] : [];
}
