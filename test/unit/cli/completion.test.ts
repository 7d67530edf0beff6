/** Completion, as bash and zsh themselves do it with our scripts. */

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { COMMANDS } from "../../../host/cli/commands.js";
import { completionScript } from "../../../host/cli/completion.js";
import { hasVerbs } from "../../../host/cli/definition.js";

const folder = mkdtempSync(join(tmpdir(), "crosszone-completion-"));
t.teardown(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, "files", "configs"), { recursive: true });
writeFileSync(join(folder, "files", "edge.json"), "");
writeFileSync(join(folder, "files", "white space.json"), "");
for (const shell of ["bash", "zsh"] as const) {
  writeFileSync(join(folder, shell), completionScript(shell, COMMANDS));
}

function has(shell: string): string | false {
  return spawnSync(shell, ["-c", "exit 7"]).status === 7 ? false : `not installed: ${shell}`;
}

/** What bash offers behind these words; the last one is begun. */
function bash(...words: string[]): string[] {
  const script = `
    source "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    complete -p crosszone >/dev/null || exit 1
    _crosszone
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync(
    "bash",
    ["-uc", script, "bash", join(folder, "bash"), "crosszone", ...words],
    { encoding: "utf8", cwd: join(folder, "files") },
  );
  if (status !== 0 || stderr !== "") throw new Error(`bash: ${status} ${stderr}`);
  return stdout.split("\n").filter((line) => line !== "");
}

const NAMES = COMMANDS.map(({ name }) => name);

t.test("bash", { skip: has("bash") }, async (t) => {
  t.same(bash("").sort(), [...NAMES, "help"].sort(), "all commands");
  t.same(bash("he"), ["help"]);
  t.same(bash("help", "con"), ["config"]);
  for (const { name, verbs } of COMMANDS.filter(hasVerbs)) {
    t.same(
      bash(name, ""),
      verbs.map((each) => each.name),
      name,
    );
  }
  t.same(bash("config", "ro"), ["rollback"]);
  t.same(bash("count", "--reply-p"), ["--reply-port-src", "--reply-port-dst"]);
  t.ok(bash("list", "-").includes("-w"), "short ones, too");
  t.notOk(bash("count", "--").includes("--csv"), "those of another command not");
  t.same(bash("config", "apply", "--con"), ["--confirm"]);
  t.same(bash("list", "-o", "o"), ["ovs"], "values");
  t.same(bash("events", "-o", ""), ["plain", "timestamp", "json"], "of this command");
  t.same(bash("list", "--sort", "=", "by"), ["bytes"], "behind =");
  t.same(bash("list", "--sort", "="), [
    ...["table", "age", "expiry", "bytes", "packets", "source", "zone"],
  ]);
  t.same(bash("list", "-p", "s"), ["sctp"]);
  t.same(bash("trace", "--proto", "=", "u"), ["udp"]);
  t.same(bash("count", "--state", "=", "TIME"), ["TIME_WAIT"]);
  t.same(bash("events", "--class", "al"), ["alarms", "all"]);
  t.same(bash("events", "-e", ""), ["NEW", "DESTROY", "ALL"]);
  t.same(bash("hosts", "--order", ""), ["asc", "desc"]);
  t.same(bash("list", "--orig-s"), ["--orig-src"], "conntrack's other names");
  t.same(bash("list", "--src", ""), [], "what nobody knows");
  t.same(bash("check", "e"), ["edge.json"], "files");
  t.same(bash("check", "wh"), ["white space.json"]);
  t.same(bash("token", "list", "--state", "c"), ["configs"], "folders");
  t.same(bash("token", "list", "--state", "e"), []);
  t.same(bash("config", "diff", "--file", "ed"), ["edge.json"]);
  t.same(bash("zones", ""), []);
  t.same(bash("nosuch", "--"), []);
});

t.test("bash: every option of every command", { skip: has("bash") }, async (t) => {
  for (const command of COMMANDS) {
    for (const verb of command.verbs) {
      const words = hasVerbs(command) ? [command.name, verb.name] : [command.name];
      const wanted = Object.keys(verb.options).map((name) => `--${name}`);
      const offered = bash(...words, "--");
      t.same(
        [...wanted, "--help"].filter((each) => !offered.includes(each)),
        [],
        words.join(" "),
      );
    }
  }
});

/** Of a shell on a busy machine. */
const PATIENCE_MS = 30_000;

/**
 * Asks that zsh shows something behind a line and two tabs; in a terminal of its own (zsh/zpty), as it completes in no other
 * way. It is over as soon as all of it is shown.
 */
async function zshShows(t: Test, line: string, ...wanted: readonly RegExp[]): Promise<void> {
  const script = `
    zmodload zsh/zpty
    zpty z zsh -f -i
    zpty -w z "PROMPT='ready> '; cd $2; fpath=($3 \\$fpath); autoload -Uz compinit; compinit -u -d $3/dump"
    zpty -w z "zstyle ':completion:*' list-colors 'no='; LISTMAX=1000; unsetopt auto_menu; COLUMNS=200; print up"
    zpty -r -m z seen '*up*ready*'
    zpty -w -n z "$1"$'\\t\\t'
    zmodload zsh/zselect
    repeat 1000 { zpty -r -t z seen && print -rn -- "$seen" || zselect -t 5 }`;
  const args = ["-fc", script, "zsh", line, join(folder, "files"), join(folder, "fpath")];
  const child = spawn("zsh", args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const bound = setTimeout(() => child.kill(), PATIENCE_MS);
  let said = "";
  let shown = "";
  const hear = (part: Buffer) => {
    said += part.toString();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the terminal's
    shown = said.replace(/\u001b\[[0-9;?]*[A-Za-z]|[\u0007\r]/g, "");
    if (wanted.every((each) => each.test(shown))) child.kill();
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  await ended;
  clearTimeout(bound);
  for (const each of wanted) t.match(shown, each, line);
}

t.test("zsh", { skip: has("zsh") }, async (t) => {
  mkdirSync(join(folder, "fpath"));
  writeFileSync(join(folder, "fpath", "_crosszone"), completionScript("zsh", COMMANDS));
  const syntax = spawnSync("zsh", ["-n", join(folder, "zsh")], { encoding: "utf8" });
  t.same([syntax.status, syntax.stderr], [0, ""]);
  const names = NAMES.map((name) => new RegExp(`\\b${name} +-- `));
  await zshShows(t, "crosszone ", ...names, /forward packets/);
  await zshShows(t, "crosszone config ", /rollback.*put an older revision/);
  await zshShows(t, "crosszone list --reply-z", /--reply-zone=/);
  await zshShows(t, "crosszone list -o ", /crosszone +csv +extended.* ovs/);
  await zshShows(t, "crosszone list -p ", /gre +icmp +sctp +tcp +udp/);
  await zshShows(t, "crosszone count --state=TIME", /TIME_WAIT/);
  await zshShows(t, "crosszone events -e ", /ALL +DESTROY +NEW/);
  await zshShows(t, "crosszone events --class ", /alarms +all +blocks/);
  await zshShows(t, "crosszone hosts --order ", /asc +desc/);
  await zshShows(t, "crosszone check ed", /edge\.json/);
});
