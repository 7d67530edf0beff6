/** docs/rfc.md is true: each demand that is done has its test and its code, each conformance test its demand. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import {
  faultsOf,
  idsOf,
  type Project,
  parseRows,
  titlesOf,
  untitledIn,
} from "../harness/rfctable.js";

/** Tests run from dist/test/unit. */
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

function text(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function testFiles(): string[] {
  return readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts"))
    .map((path) => `test/${path.split(sep).join("/")}`)
    .sort();
}

t.test("docs/rfc.md is what the tests and the sources say", async (t) => {
  const titles = new Map(testFiles().map((path) => [path, titlesOf(text(path))]));
  const project: Project = { titles, exists: (path) => existsSync(join(ROOT, path)) };
  const faults = faultsOf(text("docs/rfc.md"), project);
  t.same(faults, [], `${faults.length} faults`);
});

t.test("every conformance test has a title that can be read", async (t) => {
  const files = testFiles().filter((path) => path.startsWith("test/conformance/"));
  t.same(
    files.filter((path) => untitledIn(text(path)) > 0),
    [],
    "titles are literal strings",
  );
});

const HEAD = "| id | demand | level | done | test | code |\n|---|---|---|---|---|---|\n";
const SOUND = `# Page

${HEAD}| RFC 1 R1 | It does. | MUST | yes | [a](../test/conformance/a.test.ts) | [m](../assembly/m.ts) |
| RFC 1 R1a | It does, too. | should | yes | [a](../test/conformance/a.test.ts) | [m](../assembly/m.ts) |
| RFC 1 R2 | It would. | MUST | no: nobody can do that | | |
| peers P1 | A case. | may | elsewhere: it is another's work | | |
`;

function projectOf(titles: Record<string, string[]>): Project {
  const files = [...Object.keys(titles), "assembly/m.ts"];
  return { titles: new Map(Object.entries(titles)), exists: (path) => files.includes(path) };
}

const TITLES = { "test/conformance/a.test.ts": ["RFC 1 R1: one", "RFC 1 R1a; RFC 1 R1: both"] };

t.test("a page that is sound has no fault", async (t) => {
  t.same(faultsOf(SOUND, projectOf(TITLES)), []);
  const [first] = parseRows(SOUND);
  t.same(first, {
    line: 5,
    id: "RFC 1 R1",
    demand: "It does.",
    level: "MUST",
    done: "yes",
    tests: ["test/conformance/a.test.ts"],
    code: ["assembly/m.ts"],
  });
});

t.test("the check finds each kind of fault", async (t) => {
  const pages: readonly (readonly [from: string | RegExp, to: string, fault: RegExp])[] = [
    [/^\|.*\n/gmu, "", /^no row at all$/],
    ["| RFC 1 R1a |", "| RFC 1 R1 |", /^RFC 1 R1: stands there twice$/],
    ["| RFC 1 R2 |", "| RFC 1 2 |", /^line 7: not a row/],
    ["| It would. | MUST |", "| It would. |", /^line 7: not a row/],
    ["It does, too.", "", /^RFC 1 R1a: says nothing$/],
    ["| MUST | yes", "| must | yes", /^RFC 1 R1: level is 'must'/],
    ["no: nobody can do that", "no", /^RFC 1 R2: done is 'no'/],
    ["no: nobody can do that", "no: later", /^RFC 1 R2: done is 'no: later'/],
    ["no: nobody can do that", "", /^RFC 1 R2: done is ''/],
    ["no: nobody can do that", "partly", /^RFC 1 R2: done is 'partly'/],
    ["no: nobody can do that", "yes", /^RFC 1 R2: links no code$/],
    ["no: nobody can do that", "yes", /^RFC 1 R2: links no test$/],
    ["assembly/m.ts", "assembly/n.ts", /^RFC 1 R1: assembly\/n.ts is not there$/],
    ["that | | |", "that | [b](../b.test.ts) | |", /^RFC 1 R2: b.test.ts is not there$/],
    ["a.test.ts", "b.test.ts", /^RFC 1 R1: no title begins .*, but in test\/conformance\/a/],
    [/^\| RFC 1 R1a .*\n/mu, "", /^test\/conformance\/a.test.ts: RFC 1 R1a has no row/],
  ];
  for (const [from, to, fault] of pages) {
    const page = SOUND.replace(from, to);
    t.not(page, SOUND, `${from} stands there`);
    const faults = faultsOf(page, projectOf(TITLES));
    t.ok(
      faults.some((each) => fault.test(each)),
      `${fault} in ${JSON.stringify(faults)}`,
    );
  }
});

t.test("the check finds titles that are missing, misplaced or of no demand", async (t) => {
  const a = "test/conformance/a.test.ts";
  const [one = "", both = ""] = TITLES[a];
  t.same(faultsOf(SOUND, projectOf({ [a]: [one] })), [
    `RFC 1 R1a: no title begins with it in ${a}, nor anywhere`,
  ]);
  t.same(faultsOf(SOUND, projectOf({ [a]: [one], "test/unit/b.test.ts": [both] })), [
    `RFC 1 R1a: no title begins with it in ${a}, but in test/unit/b.test.ts`,
  ]);
  t.same(faultsOf(SOUND, projectOf({ [a]: [one, both, "it works"] })), [
    `${a}: begins with no id: "it works"`,
  ]);
  t.same(faultsOf(SOUND, projectOf({ [a]: [one, both, "RFC 1 R9: x"] })), [
    `${a}: RFC 1 R9 has no row: "RFC 1 R9: x"`,
  ]);
  const elsewhere = { [a]: [one, both], "test/unit/b.test.ts": ["it works", "RFC 9 R9: x"] };
  t.same(faultsOf(SOUND, projectOf(elsewhere)), [], "other tests have any title");
});

t.test("a title's ids", async (t) => {
  t.same(idsOf("RFC 4787 R9: x"), ["RFC 4787 R9"]);
  t.same(idsOf("RFC 4787 R9 x"), ["RFC 4787 R9"]);
  t.same(idsOf("RFC 4787 R9a; RFC 5382 R8; peers P36: x"), [
    "RFC 4787 R9a",
    "RFC 5382 R8",
    "peers P36",
  ]);
  t.same(idsOf("RFC 7857 S10"), ["RFC 7857 S10"]);
  t.same(idsOf("RFC 4787 R1"), ["RFC 4787 R1"]);
  t.same(idsOf("RFC 4787 R9, RFC 5382 R8: x"), [], "one separator");
  for (const title of ["RFC 4787: x", "x RFC 4787 R9: x", "RFC 4787 R9ab: x", "peers: x", ""]) {
    t.same(idsOf(title), [], title);
  }
});

t.test("the titles of a source", async (t) => {
  const source = [
    't.test("one", async (t) => {',
    '  await t.test(\n    "RFC 1 R1: \\"two\\"",\n    { skip },',
    't.test("three", { skip: true }, async (t) => {',
  ].join("\n");
  t.same(titlesOf(source), ["one", 'RFC 1 R1: "two"', "three"]);
  t.equal(untitledIn(source), 0);
  t.equal(untitledIn(`${source}\nt.test(\`\${name}\`, async`), 1);
  t.equal(untitledIn(`${source}\nt.test(name, async`), 1);
});
