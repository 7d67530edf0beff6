/**
 * The pages say what is there: every Reason has its row in docs/counters.md, every relative link leads somewhere,
 * README.md's configuration is accepted, and what ARCHITECTURE.md's tables name exists. For docs/config.md see
 * config/schema.test.ts.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Limit, Reason } from "../../assembly/abi.js";
import { checkConfig } from "../../host/config/parse.js";
import { madePages } from "../docs/pages.js";

/** Tests run from dist/test/unit. */
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

function text(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** The project's pages, relative to its root. */
function pages(): string[] {
  const inDocs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" });
  const inRoot = readdirSync(ROOT);
  return [...inRoot, ...inDocs.map((path) => join("docs", path))].filter((path) =>
    path.endsWith(".md"),
  );
}

/** Code is not prose: a bracket there is no link. */
function prose(page: string): string {
  return page.replace(/^```.*?^```/gmsu, "").replace(/`[^`\n]*`/gu, "`");
}

/** What GitHub makes of a heading. */
function anchor(heading: string): string {
  const plain = heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "");
  return plain.trim().replaceAll(" ", "-");
}

function anchors(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gmu)].map(([, heading = ""]) => anchor(heading));
}

/** Why a link of a page leads nowhere; undefined when it does not. */
function fault(page: string, link: string): string | undefined {
  const [path = "", hash] = link.split("#");
  const target = path === "" ? page : normalize(join(dirname(page), path));
  if (!existsSync(join(ROOT, target))) return `${page}: ${link}: no such file`;
  if (hash === undefined || anchors(text(target)).includes(hash)) return undefined;
  return `${page}: ${link}: no such heading`;
}

t.test("docs/counters.md has one row for every Reason and no other", async (t) => {
  const end = Reason.Count as number;
  const known = Object.values(Reason).filter((each) => typeof each === "number" && each < end);
  const rows = [...text("docs/counters.md").matchAll(/^\| `(\w+)` \| .+ \| .+ \|$/gmu)];
  t.same(
    rows.map(([, name]) => name).sort(),
    known.map((reason) => Reason[reason as number]).sort(),
  );
});

t.test("pages made of the code are as the code makes them: npm run docs", async (t) => {
  for (const [path, made] of madePages()) t.equal(text(path), made, path);
});

t.test("every relative link of every page leads to a file, and to a heading of it", async (t) => {
  const faults: string[] = [];
  let links = 0;
  for (const page of pages()) {
    for (const [, link = ""] of prose(text(page)).matchAll(/\]\(([^)\s]+)\)/gu)) {
      if (/^[a-z]+:/u.test(link)) continue;
      links++;
      faults.push(...[fault(page, link)].filter((each) => each !== undefined));
    }
  }
  t.ok(links > 50, `${links} links`);
  t.same(faults, []);
});

t.test("every configuration in README.md is accepted", async (t) => {
  const blocks = [...text("README.md").matchAll(/^```json\n(.*?)^```/gmsu)];
  t.ok(blocks.length > 0);
  for (const [, block = ""] of blocks) t.ok(checkConfig(JSON.parse(block)));
});

t.test("ARCHITECTURE.md: every file and every name of the table exists", async (t) => {
  const section = /^## Where is …\?$(.*?)^## /msu.exec(text("ARCHITECTURE.md"))?.[1] ?? "";
  const rows = [...section.matchAll(/^\| .+ \| \[(.+?)\]\((.+?)\) \| `(\w+)` \|$/gmu)];
  t.equal(rows.length, (section.match(/^\|/gmu)?.length ?? 0) - 2, "every row has this form");
  for (const [, shown = "", path = "", name = ""] of rows) {
    t.equal(shown, path);
    const words = existsSync(join(ROOT, path)) ? text(path) : "";
    const declared = new RegExp(
      `^(?:export |declare )?(?:final |async )?(?:function|class|enum|const) ${name}\\b|` +
        `^  (?:private |static |get |async )*${name}\\(`,
      "mu",
    );
    t.match(words, declared, `${path} has ${name}`);
  }
});

t.test("ARCHITECTURE.md: every file that the text names exists", async (t) => {
  const named = text("ARCHITECTURE.md").matchAll(/\b(?:assembly|host|test)\/[\w/]+\.ts\b/gu);
  const paths = [...new Set([...named].map(([path]) => path))];
  t.ok(paths.length > 20, `${paths.length} files`);
  t.same(
    paths.filter((path) => !existsSync(join(ROOT, path))),
    [],
  );
});

t.test("ARCHITECTURE.md's table of bounds has every Limit and its value", async (t) => {
  const bounds = /^## Bounds$(.*)/msu.exec(text("ARCHITECTURE.md"))?.[1] ?? "";
  const rows = bounds.split("\n").filter((line) => line.startsWith("|"));
  const limits = Object.entries(Limit).filter(([, value]) => typeof value === "number");
  const missing = limits.filter(([name, value]) => {
    const row = rows.find((each) => each.includes(`\`${name}\``)) ?? "";
    return !new RegExp(`\\b${value}\\b`, "u").test(row);
  });
  t.same(missing, []);
});
