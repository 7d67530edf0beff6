import fc from "fast-check";
import t from "tap";
import { AT, internals, NONE } from "../harness/internals.js";
import { holds } from "../harness/property.js";

const wasm = await internals();
const ZONES = 4;
const ROOM = 60;

interface Route {
  zone: number;
  prefix: number;
  length: number;
}

function keep(address: number, length: number): number {
  return length === 0 ? 0 : (address & (0xffffffff << (32 - length))) >>> 0;
}

/** Addresses that share their first bits more often than chance has it. */
const address = fc.oneof(
  fc.nat(0xffffffff),
  fc.tuple(fc.nat(3), fc.nat(3)).map(([high, low]) => ((10 << 24) | (high << 8) | low) >>> 0),
);
const route = fc.record({
  zone: fc.nat(ZONES),
  prefix: address,
  length: fc.oneof(fc.nat(33), fc.constantFrom(0, 8, 24, 32)),
});

/** The value (index) of the first of the longest, by looking at all. */
function findModel(routes: ReadonlyMap<number, Route>, zone: number, address: number): number {
  let found = NONE;
  let longest = -1;
  for (const [value, route] of routes) {
    const covers = keep(address, route.length) === keep(route.prefix, route.length);
    if (route.zone === zone && covers && route.length > longest) {
      longest = route.length;
      found = value;
    }
  }
  return found;
}

holds(
  t,
  "find agrees with looking at every prefix",
  fc.property(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.array(route, { maxLength: 70 }),
    fc.array(address),
    (secret, routes, strangers) => {
      wasm.prefixCreate(AT, ZONES, ROOM, secret);
      const model = new Map<number, Route>();
      for (const [value, route] of routes.entries()) {
        const { zone, prefix, length } = route;
        const there = [...model.values()].some(
          (other) =>
            other.zone === zone &&
            other.length === length &&
            keep(other.prefix, length) === keep(prefix, length),
        );
        const fits = !there && zone < ZONES && length <= 32 && model.size < ROOM;
        if (fits) model.set(value, route);
        if (wasm.prefixPut(AT, zone, prefix, length, value) !== (fits ? 1 : 0)) {
          throw new Error(`put ${value}`);
        }
      }
      if (wasm.prefixCount(AT) !== model.size) throw new Error("count");
      const near = routes.flatMap(({ prefix }) => [prefix, prefix ^ 1, prefix ^ 0x80000000]);
      for (const raw of [...near, ...strangers]) {
        for (let zone = 0; zone <= ZONES; zone++) {
          const found = wasm.prefixFind(AT, zone, raw >>> 0);
          if (found !== findModel(model, zone, raw >>> 0)) throw new Error(`find ${raw}`);
        }
      }
    },
  ),
);
