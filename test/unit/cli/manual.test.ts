/** The manual page: what groff says to it, and that nothing is left out. */

import { spawnSync } from "node:child_process";
import t from "tap";
import { COMMANDS } from "../../../host/cli/commands.js";
import { wordsOf } from "../../../host/cli/definition.js";
import { usageOf } from "../../../host/cli/help.js";
import { escaped, manualPage } from "../../../host/cli/man.js";

const page = manualPage(COMMANDS);

function groff(input: string) {
  return spawnSync("groff", ["-ww", "-man", "-Tascii", "-Z"], { input, encoding: "utf8" });
}

const skip = groff("").error === undefined ? false : "not installed: groff";

t.test("groff has nothing to complain of", { skip }, async (t) => {
  const { status, stdout, stderr } = groff(page);
  t.same([status, stderr], [0, ""]);
  t.ok(stdout.length > 10_000);
  const broken = groff(page.replace(".SH NAME", ".nosuch NAME"));
  t.match(broken.stderr, /nosuch/, "and would if there were something");
});

t.test("a synopsis, of however many lines and forms, ends its paragraph", { skip }, async (t) => {
  const shown = spawnSync("groff", ["-man", "-Tascii", "-P-c", "-P-b", "-P-u", "-rLL=78n"], {
    input: page,
    encoding: "utf8",
  }).stdout;
  const paragraphs = shown
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\s+/g, " ").trim());
  for (const command of COMMANDS) {
    for (const verb of command.verbs) {
      const name = `crosszone ${wordsOf(command, verb)}`;
      const usage = usageOf(command, verb)
        .map((line) => line.trim())
        .join(" ");
      const isWhole = (text: string) => text.endsWith(`${name} ${usage}`);
      t.ok(paragraphs.some(isWhole), `${name}: ${usage}`);
    }
  }
});

t.test("every command and every option is in it, the router's once", async (t) => {
  for (const { verbs } of COMMANDS) {
    for (const { options, examples } of verbs) {
      for (const name of Object.keys(options)) t.match(page, escaped(`--${name}`));
      for (const example of examples) t.match(page, escaped(example));
    }
  }
  t.equal(page.split(escaped("--token-file FILE")).length, 2);
});

t.test("nothing that groff would take for its own", async (t) => {
  t.equal(escaped(".a\n'b\\c-d …"), "\\&.a\n\\&'b\\ec\\-d ...");
  t.match(page, /^[\n -~]*$/, "and nothing but ASCII");
});
