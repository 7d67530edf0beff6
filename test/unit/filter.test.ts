/** Queries are checked at the boundary: every fault with its path, and what is sound as numbers. */

import t from "tap";
import { ConnPhase, SearchKind, SearchSort } from "../../assembly/abi.js";
import { checkConfig } from "../../host/config/parse.js";
import { writeCursor } from "../../host/telemetry/cursor.js";
import {
  parseConnFilter,
  parseConnQuery,
  parseFlush,
  parseHostQuery,
  parseMappingQuery,
  parsePageQuery,
  parsePoolQuery,
  QueryError,
} from "../../host/telemetry/filter.js";
import { ConnQuerySchema } from "../../host/telemetry/filtershape.js";
import { edge } from "../harness/host.js";

const config = checkConfig(edge());

function refusal(parse: () => unknown): readonly string[] {
  try {
    parse();
  } catch (error) {
    if (error instanceof QueryError) return error.problems.map(String);
    throw error;
  }
  return [];
}

t.test("a filter as numbers", async (t) => {
  const filter = parseConnFilter(
    {
      zone: "a",
      replyZone: 20,
      protocol: "tcp",
      source: "10.0.0.0/8",
      destination: "198.51.100.7",
      sourcePort: 80,
      destinationPort: "0-1023",
      phase: ["new", "closing"],
      translated: "203.0.113.7",
      translatedPort: "5000",
    },
    config,
  );
  const expected = {
    zone: 10,
    replyZone: 20,
    protocol: 6,
    source: { address: 0x0a000000, length: 8 },
    destination: { address: 0xc6336407, length: 32 },
    sourcePort: { low: 80, high: 80 },
    destinationPort: { low: 0, high: 1023 },
    phases: [ConnPhase.New, ConnPhase.Closing],
    translation: "source",
    replyDestination: { address: 0xcb007107, length: 32 },
    replyDestinationPort: { low: 5000, high: 5000 },
  };
  const said = Object.entries(filter).filter(([, each]) => each !== undefined);
  t.strictSame(Object.fromEntries(said), expected);
});

t.test("every fault is named, with its path", async (t) => {
  const cases: [unknown, RegExp[]][] = [
    [7, [/^document: expected an object with filter/]],
    [{ filter: [] }, [/^filter: expected an object/]],
    [{ fitler: {} }, [/^fitler: expected a known key \(did you mean "filter"\?\)/]],
    [
      { filter: { zone: "nowhere" } },
      [/^filter\.zone: expected the name or number of a zone, found "nowhere"$/],
    ],
    [{ filter: { zone: 99 } }, [/^filter\.zone: .* found 99$/]],
    [{ filter: { protocol: "gre" } }, [/^filter\.protocol: expected a protocol from 0 to 255/]],
    [{ filter: { protocol: 256 } }, [/^filter\.protocol: /]],
    [
      { filter: { source: "10.0.0.1/8" } },
      [/^filter\.source: expected an IPv4 address, or a prefix/],
    ],
    [{ filter: { port: "2000-1000" } }, [/^filter\.port: expected a port from 0 to 65535/]],
    [{ filter: { phase: ["new", "old"] } }, [/^filter\.phase.*: expected one of "new"/]],
    [{ limit: 501 }, [/^limit: expected a number of rows from 1 to 500, found 501$/]],
    [{ limit: 0 }, [/^limit: /]],
    [{ sort: "size" }, [/^sort: expected one of "table", "age"/]],
    [{ cursor: "x" }, [/^cursor: expected a cursor of a page of this query/]],
    [{ filter: { zone: "nowhere", address: "1.2.3" } }, [/^filter\.zone: /, /^filter\.address: /]],
    [
      { filter: { translated: "1.2.3.4", replyDestination: "1.2.3.4" } },
      [/^filter\.translated: expected no/],
    ],
    [
      { filter: { translated: "1.2.3.4", translation: "none" } },
      [/^filter\.translation: expected "source"/],
    ],
  ];
  for (const [value, patterns] of cases) {
    const problems = refusal(() => parseConnQuery(value, config));
    t.equal(problems.length, patterns.length, `${JSON.stringify(value)}: ${problems}`);
    patterns.forEach((pattern, i) => {
      t.match(problems[i], pattern);
    });
  }
  t.match(
    refusal(() => parseFlush({ host: "10.0.0.1" }, config)),
    [/^zone: /],
  );
  t.match(
    refusal(() => parsePoolQuery({ pool: "p9" }, config)),
    [/^pool: /],
  );
  t.match(
    refusal(() => parseHostQuery({ sort: "age" }, config)),
    [/^sort: /],
  );
  t.match(
    refusal(() => parseMappingQuery({ filter: { source: "10.0.0.1" } }, config)),
    [/^filter\.source: /],
  );
  t.match(
    refusal(() => parsePageQuery({ limit: "many" }, config)),
    [/^limit: /],
  );
});

t.test("a cursor belongs to its query", async (t) => {
  const query = { kind: SearchKind.Conns, sort: SearchSort.Bytes, descending: true };
  const place = { reference: 1e12 + 0.5, key: 2n ** 64n - 2n, worker: 3, index: 0xfffffffe };
  const cursor = writeCursor(place, query);
  const parsed = parseConnQuery({ sort: "bytes", order: "desc", cursor }, config);
  t.strictSame(parsed.cursor, place);
  for (const other of [{ sort: "bytes" }, { sort: "age", order: "desc" }, {}]) {
    t.match(
      refusal(() => parseConnQuery({ ...other, cursor }, config)),
      [/^cursor: /],
    );
  }
  t.match(
    refusal(() => parseMappingQuery({ cursor }, config)),
    [/^cursor: /],
  );
  t.match(
    refusal(() => parseConnQuery({ sort: "bytes", order: "desc", cursor: `${cursor}A` }, config)),
    [/^cursor: /],
  );
});

t.test("what is left out: the newest fifty of all", async (t) => {
  const query = parseConnQuery({}, config);
  t.match(query, { kind: SearchKind.Conns, sort: SearchSort.Age, descending: false, limit: 50 });
  t.ok(ConnQuerySchema.entries.filter);
});
