/**
 * Reads the tables of docs/rfc.md and the titles of tests, and says where they contradict each other. Functions of
 * texts: the files are read by test/unit/rfc.test.ts.
 *
 * A title begins with the ids of the demands that the test holds, separated by "; ", and a colon:
 *
 *     RFC 4787 R9; RFC 5382 R8: two tenants reach each other by their external endpoints
 */

import { dirname, join } from "node:path/posix";

export const HEAD = ["id", "demand", "level", "done", "test", "code"];
const LEVELS = ["MUST", "should", "may"];
const ID = String.raw`(?:RFC \d+ [RS]\d+[a-z]?|peers P\d+)`;
const TITLE = new RegExp(`^(${ID}(?:; ${ID})*)(?=[: ]|$)`, "u");
/** A reason says something. */
const OPEN = /^(?:no|elsewhere): \S.{9,}$/u;

/** One demand. */
export interface Row {
  /** Of the page, from 1. */
  readonly line: number;
  readonly id: string;
  readonly demand: string;
  readonly level: string;
  readonly done: string;
  /** Linked files, relative to the project's root. */
  readonly tests: readonly string[];
  readonly code: readonly string[];
}

/** What the page is held against. */
export interface Project {
  /** Titles of the tests of each file, by its path relative to the project's root. */
  readonly titles: ReadonlyMap<string, readonly string[]>;
  exists(path: string): boolean;
}

/** The page's place, for its links. */
const PAGE = "docs/rfc.md";
const CONFORMANCE = "test/conformance/";

/** The cells of a line of a table; undefined for any other line. */
function cellsOf(line: string): string[] | undefined {
  if (!line.startsWith("|")) return undefined;
  return line
    .split(/(?<!\\)\|/u)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function linksOf(cell: string): string[] {
  return Array.from(cell.matchAll(/\]\(([^)#\s]+)[^)]*\)/gu), ([, link = ""]) =>
    join(dirname(PAGE), link),
  );
}

/** All rows of all tables; a line that is none, where one should be, is named by `fault`. */
export function parseRows(page: string, fault: (text: string) => void = () => {}): Row[] {
  const rows: Row[] = [];
  for (const [i, text] of page.split("\n").entries()) {
    const cells = cellsOf(text);
    if (cells === undefined || cells.every((cell) => /^:?-+:?$/u.test(cell))) continue;
    if (cells.join() === HEAD.join()) continue;
    const [id = "", demand = "", level = "", done = "", test = "", code = ""] = cells;
    const line = i + 1;
    if (cells.length !== HEAD.length || !new RegExp(`^${ID}$`, "u").test(id)) {
      fault(`line ${line}: not a row of the table: ${text}`);
      continue;
    }
    rows.push({ line, id, demand, level, done, tests: linksOf(test), code: linksOf(code) });
  }
  return rows;
}

/** The titles of a file's tests: literal strings of `t.test(…)`. */
export function titlesOf(source: string): string[] {
  const found = source.matchAll(/\bt\.test\(\s*("(?:[^"\\\n]|\\.)*")/gu);
  return Array.from(found, ([, text = '""']) => JSON.parse(text) as string);
}

/** How many tests a file has whose titles are not literal strings. */
export function untitledIn(source: string): number {
  return [...source.matchAll(/\bt\.test\(/gu)].length - titlesOf(source).length;
}

/** The ids that a title begins with. */
export function idsOf(title: string): string[] {
  return TITLE.exec(title)?.[1]?.split("; ") ?? [];
}

/** Everything that is wrong, one line each. */
export function faultsOf(page: string, project: Project): string[] {
  const faults: string[] = [];
  const rows = parseRows(page, (text) => faults.push(text));
  if (rows.length === 0) faults.push("no row at all");
  const holders = holdersOf(project);
  const known = new Set<string>();
  for (const row of rows) {
    if (known.has(row.id)) faults.push(`${row.id}: stands there twice`);
    known.add(row.id);
    faults.push(...faultsOfRow(row, project, holders).map((fault) => `${row.id}: ${fault}`));
  }
  return [...faults, ...strayTitles(known, project)];
}

/** The files that have a test for an id. */
function holdersOf({ titles }: Project): Map<string, Set<string>> {
  const holders = new Map<string, Set<string>>();
  for (const [file, all] of titles) {
    for (const id of all.flatMap(idsOf)) holders.set(id, (holders.get(id) ?? new Set()).add(file));
  }
  return holders;
}

function faultsOfRow(
  row: Row,
  project: Project,
  holders: ReadonlyMap<string, ReadonlySet<string>>,
): string[] {
  const done = row.done === "yes";
  // Of a row that is done, a test that is not there has no title either.
  const faults = [...(done ? [] : row.tests), ...row.code]
    .filter((path) => !project.exists(path))
    .map((path) => `${path} is not there`);
  if (row.demand === "") faults.push("says nothing");
  if (!LEVELS.includes(row.level)) faults.push(`level is '${row.level}', not MUST, should or may`);
  if (!done) {
    if (!OPEN.test(row.done)) faults.push(`done is '${row.done}', not yes, or no: with a reason`);
    return faults;
  }
  if (row.code.length === 0) faults.push("links no code");
  if (row.tests.length === 0) faults.push("links no test");
  const held = holders.get(row.id) ?? new Set();
  for (const path of row.tests.filter((each) => !held.has(each))) {
    const where = held.size === 0 ? "nor anywhere" : `but in ${[...held].join(", ")}`;
    faults.push(`no title begins with it in ${path}, ${where}`);
  }
  return faults;
}

/** Titles of conformance tests that say no demand, or one that has no row. */
function strayTitles(known: ReadonlySet<string>, { titles }: Project): string[] {
  const faults: string[] = [];
  for (const [file, all] of titles) {
    if (!file.startsWith(CONFORMANCE)) continue;
    for (const title of all) {
      const ids = idsOf(title);
      if (ids.length === 0) faults.push(`${file}: begins with no id: "${title}"`);
      for (const id of ids.filter((each) => !known.has(each))) {
        faults.push(`${file}: ${id} has no row: "${title}"`);
      }
    }
  }
  return faults;
}
