/** Whatever a configuration holds, it is a Config or a ConfigError. */

import fc from "fast-check";
import t from "tap";
import { ImageStatus } from "../../../assembly/abi.js";
import { compileImage } from "../../../host/config/compile.js";
import { ConfigError } from "../../../host/config/error.js";
import { readImage } from "../../../host/config/image.js";
import { checkConfig, parseConfig } from "../../../host/config/parse.js";
import { ImageRefused } from "../../../host/datapath.js";
import { Router } from "../../harness/router.js";
import { example, holds, policies } from "./fixture.js";

/** Ends without an exception other than ConfigError; what is accepted compiles and reads back. */
function isHandled(read: () => ReturnType<typeof checkConfig>): boolean {
  try {
    const config = read();
    return readImage(compileImage(config)).flows.length === config.flows.length;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.length > 0 && error.message !== "";
  }
}

t.test("any value", async (t) => {
  holds(
    t,
    fc.property(fc.anything(), (value) => isHandled(() => checkConfig(value))),
    1000,
  );
});

t.test("any text", async (t) => {
  holds(
    t,
    fc.property(fc.string(), (text) => isHandled(() => parseConfig(text, "x"))),
    1000,
  );
});

/** Places of everything in a document, as lists of keys. */
function placesIn(value: unknown, keys: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [keys];
  return [
    keys,
    ...Object.entries(value).flatMap(([key, inner]) => placesIn(inner, [...keys, key])),
  ];
}

/** Values that fit somewhere, and values that fit nowhere. */
const value = fc.oneof(
  fc.constantFrom(
    "a",
    "b",
    "public",
    "p1",
    "lan-a",
    "wan",
    0,
    1,
    2,
    10,
    11,
    20,
    80,
    65535,
    65536,
    -1,
    1.5,
    "192.168.0.1/24",
    "192.168.0.0/24",
    "203.0.113.7",
    "0.0.0.0/0",
    "203.0.113.1-203.0.113.9",
    "02:00:00:00:00:09",
    "1-65535",
    "afpacket",
    "pcap",
    "tcp",
    "udp",
    [],
    {},
    null,
    true,
    "zone=a,conn_state=+reply actions=nat(reverse,zone=a)",
    "endpoint-independent",
    "block",
    "deterministic",
    "any",
    "8000-8010",
    { tcp: "address-dependent", udp: 1 },
    { hosts: [{ zone: "a", prefix: "10.0.0.0/28" }] },
    "udp actions=reject",
    ["a"],
    [1, 2],
    "tcp actions=nat(src_zone=a,dst_zone=public,masq=203.0.113.7),output(wan)",
  ),
  fc.jsonValue(),
);

const mutation = fc.tuple(fc.nat(), fc.constantFrom("set", "drop", "double", "rename"), value);

/** The document gets a copy: what is shared by all mutations must not change with the next. */
function mutate(document: object, [at, kind, value]: [number, string, unknown]): void {
  const places = placesIn(document).filter((keys) => keys.length > 0);
  const keys = [...(places[at % places.length] ?? [])];
  const last = keys.pop() ?? "";
  let holder: unknown = document;
  for (const key of keys) {
    if (typeof holder !== "object" || holder === null) return;
    holder = Reflect.get(holder, key);
  }
  if (typeof holder !== "object" || holder === null) return;
  if (kind === "set") Reflect.set(holder, last, structuredClone(value));
  else if (kind === "rename") Reflect.set(holder, `${last}x`, Reflect.get(holder, last));
  else if (Array.isArray(holder) && kind === "double")
    holder.push(structuredClone(holder.at(Number(last))));
  else if (Array.isArray(holder)) holder.splice(Number(last), 1);
  else Reflect.deleteProperty(holder, last);
}

t.test("a value that is set twice, once into itself, makes no circle", async (t) => {
  const document = { zones: [] };
  const value = { hosts: [] };
  mutate(document, [0, "set", value]);
  for (let at = 0; at < 4; at++) mutate(document, [at, "set", value]);
  t.doesNotThrow(() => JSON.stringify(document));
  t.same(value, { hosts: [] });
});

/** Room for whatever a mutation makes of the pools. */
const ROOM = { conns: 65536, neighbors: 4096, poolAddresses: 2048, imageBytes: 1 << 20 };

/** The datapath finds nothing wrong with the image, unless it asks for more than the arena has. */
function takes(router: Router, image: Uint8Array): void {
  try {
    router.install(image);
  } catch (error) {
    if (!(error instanceof ImageRefused) || error.status !== ImageStatus.TooLarge) throw error;
  }
}

t.test("a sound document with a few things changed", async (t) => {
  const router = new Router(policies(), { capacity: ROOM });
  for (const sound of [example, policies]) {
    let accepted = 0;
    const property = fc.property(
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      (mutations) => {
        const document = sound();
        for (const each of mutations) mutate(document, each);
        return isHandled(() => {
          const config = checkConfig(document);
          accepted += 1;
          takes(router, compileImage(config));
          return config;
        });
      },
    );
    holds(t, property, 3000);
    t.ok(accepted > 50, "some of them are sound still");
  }
});
