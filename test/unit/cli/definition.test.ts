/** Commands as they are defined: their arguments, their help, and that what is shown is true. */

import t from "tap";
import { COMMANDS } from "../../../host/cli/commands.js";
import { FILTER_OPTIONS, filterOf, STRANGERS } from "../../../host/cli/conns/filter.js";
import { STATE_WORDS } from "../../../host/cli/conns/state.js";
import { choose, GROUPS, read, verb, wordsOf } from "../../../host/cli/definition.js";
import { commandLine, helpOf, overview, wrap } from "../../../host/cli/help.js";

const OPTIONS = {
  flag: { type: "boolean", short: "f", help: "a flag" },
  many: { type: "string", multiple: true, value: "X", help: "several" },
  one: { type: "string", choices: ["a", "b", "c"], default: "a", help: "one of three" },
  none: { type: "string", help: "nothing if not given" },
} as const;

const ARGS = [
  { name: "FIRST", help: "must be there" },
  { name: "SECOND", help: "may be", isOptional: true },
] as const;

const given = (...args: string[]) => read({ args: ARGS, options: OPTIONS }, args);

t.test("what was given, and what stands in its place", async (t) => {
  t.same(given("x"), { values: { flag: false, many: [], one: "a", none: undefined }, args: ["x"] });
  t.same(given("-f", "x", "--many=1", "--many", "2", "--one", "c", "y", "--none="), {
    values: { flag: true, many: ["1", "2"], one: "c", none: "" },
    args: ["x", "y"],
  });
});

t.test("bad arguments name what is wrong", async (t) => {
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /^FIRST is missing$/],
    [["x", "y", "z"], /^unexpected argument 'z'$/],
    [["x", "--nosuch"], /^--nosuch: unknown option$/],
    [["x", "--nosuch=1"], /^--nosuch: unknown option$/],
    [["x", "--flags"], /^--flags: unknown option \(did you mean --flag\?\)$/],
    [["x", "--__proto__"], /^--__proto__: unknown option$/],
    [["x", "-z", "1"], /^-z: unknown option$/],
    [["x", "-fz"], /^-z: unknown option$/],
    [["x", "--one", "d"], /^--one: a, b or c expected, found 'd'$/],
    [["x", "--one"], /^--one: a value is expected, found nothing$/],
    [
      ["x", "--none", "-1"],
      /^--none: a value is expected; write --none=-1 for one that begins with a dash$/,
    ],
    [["x", "--flag=1"], /^--flag: no value is expected, found '1'$/],
    [["x", "--none", "1", "--none=1"], /^--none stands twice: say it once$/],
    [["-f", "x", "--flag"], /^--flag stands twice: say it once$/],
    [["x", "--many", "1", "--many", "2", "--one", "a", "--one=b"], /^--one stands twice/],
  ];
  for (const [args, message] of table) {
    t.throws(() => given(...args), { name: "UsageError", message }, args.join(" "));
  }
});

t.test("a dash that stands alone, in a value's place or behind -- is no option", async (t) => {
  t.same(given("-", "--none", "-").args, ["-"]);
  t.equal(given("x", "--none=-1").values.none, "-1");
  t.same(given("--", "-f", "--one").args, ["-f", "--one"]);
});

t.test("a verb runs what it read", async (t) => {
  const seen: unknown[] = [];
  const each = verb({
    name: "each",
    summary: "s",
    text: "t",
    args: ARGS,
    options: OPTIONS,
    examples: [],
    act({ values, args, words }) {
      seen.push(values.one, args, words);
      return 1;
    },
  });
  t.equal(await each.run(["x", "--one=b"], "big each"), 1);
  t.same(seen, ["b", ["x"], "big each"]);
  await t.rejects(each.run([], "each"), { name: "UsageError" });
});

const VERBS = COMMANDS.flatMap((command) => command.verbs.map((verb) => ({ command, verb })));

t.test("every example is accepted as it stands", async (t) => {
  let examples = 0;
  for (const { command, verb } of VERBS) {
    t.ok(verb.examples.length > 0, wordsOf(command, verb));
    for (const example of verb.examples) {
      const words = wordsIn(example.replace(/^sudo /, "").replace(/^crosszone /, ""));
      t.equal(words[0], command.name, example);
      const { verb: chosen, rest } = choose(command, words.slice(1));
      t.equal(chosen, verb, example);
      t.ok(read(chosen, rest), example);
      examples++;
    }
  }
  t.ok(examples > 40, `${examples} examples`);
});

/** As a shell splits them; what is behind `>` or `|` is the shell's. */
function wordsIn(line: string): string[] {
  const [, command = ""] = /^((?:'[^']*'|[^>|])*)/.exec(line) ?? [];
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? "");
}

t.test("the help of every command has all of its options, in lines of 100 columns", async (t) => {
  for (const { command, verb } of VERBS) {
    const help = helpOf(command, verb);
    t.ok(help.startsWith(`crosszone ${wordsOf(command, verb)}`));
    for (const name of Object.keys(verb.options)) t.match(help, `--${name}`);
    const long = help.split("\n").filter((line) => line.length > 100);
    t.same(
      long.filter((line) => !verb.examples.some((example) => line.includes(example))),
      [],
      wordsOf(command, verb),
    );
    t.match(help, wrap(verb.text, 100).split("\n")[0]);
    t.match(help, `\n  ${commandLine(verb.examples[0] ?? "")}`);
    t.match(helpOf(command), `crosszone ${wordsOf(command, verb)}`, "also in that of the whole");
  }
});

t.test("the list of commands has each once, under its heading", async (t) => {
  const text = overview(COMMANDS);
  for (const { name, summary } of COMMANDS) {
    t.equal(text.split("\n").filter((line) => line.startsWith(`  ${name} `)).length, 1, name);
    t.match(text, summary.slice(0, 60));
  }
  for (const group of GROUPS) t.match(text, `\n${group}:\n`);
});

t.test("short options mean one thing in all commands", async (t) => {
  const meanings = new Map<string, string>();
  for (const { verb } of VERBS) {
    for (const [name, { short }] of Object.entries(verb.options)) {
      if (short === undefined) continue;
      t.equal(meanings.get(short) ?? name, name, `-${short}`);
      meanings.set(short, name);
    }
  }
  t.ok(meanings.size > 5);
});

const filter = (...args: string[]) =>
  filterOf(read({ args: [], options: FILTER_OPTIONS, strangers: STRANGERS }, args).values);

t.test("conntrack's options become the protocol's filter", async (t) => {
  t.same(filter(), {});
  t.same(
    filter(
      ...["-w", "a", "--orig-zone=10", "--reply-zone", "20", "-p", "tcp", "-s", "10.0.0.0/8"],
      ...["-d", "8.8.8.8", "--sport", "1-2", "--dport=53", "-r", "8.8.8.8", "-q", "203.0.113.7"],
      ...["--reply-port-src", "53", "--reply-port-dst", "9", "-n", "203.0.113.7"],
      ...["--src-nat-port", "9", "--address", "1.1.1.1", "--port", "5", "--nat", "source"],
    ),
    {
      zone: "a",
      originalZone: "10",
      replyZone: "20",
      protocol: "tcp",
      source: "10.0.0.0/8",
      destination: "8.8.8.8",
      sourcePort: "1-2",
      destinationPort: "53",
      replySource: "8.8.8.8",
      replyDestination: "203.0.113.7",
      replySourcePort: "53",
      replyDestinationPort: "9",
      translated: "203.0.113.7",
      translatedPort: "9",
      address: "1.1.1.1",
      port: "5",
      translation: "source",
    },
  );
});

t.test("conntrack's other names, and what it takes without a value", async (t) => {
  t.same(
    filter(
      ...["--orig-src", "10.0.0.1", "--orig-dst=8.8.8.8", "--orig-port-src", "1"],
      ...["--orig-port-dst", "2", "-p", "TCP", "-f", "ipv4"],
    ),
    {
      source: "10.0.0.1",
      destination: "8.8.8.8",
      sourcePort: "1",
      destinationPort: "2",
      protocol: "tcp",
    },
  );
  t.same(filter("-p", "GRE"), { protocol: "47" }, "as it is printed");
  t.same(filter("-p", "Nosuch"), { protocol: "Nosuch" }, "for the router to refuse");
  t.same(filter("-n"), { translation: "source" });
  t.same(filter("-n", "-w", "a"), { zone: "a", translation: "source" });
  t.same(filter("--src-nat=203.0.113.7"), { translated: "203.0.113.7" });
  t.same(filter("-g", "--port", "1"), { port: "1", translation: "destination" });
  t.same(filter("--dst-nat", "10.0.0.5"), {
    translation: "destination",
    replySource: "10.0.0.5",
  });
  t.same(filter("--nat", "none"), { translation: "none" });
  const table: readonly (readonly [readonly string[], string])[] = [
    [["--src", "10.0.0.1", "--orig-src", "10.0.0.2"], "--src stands twice: say it once"],
    [["--family", "ipv6"], "--family: ipv4 expected, found 'ipv6'"],
    [["-n", "-g"], "--src-nat and --dst-nat are of different conns"],
    [["--nat", "none", "-n"], "--nat none and --src-nat are of different conns"],
    [["-g", "1.1.1.1", "-r", "1.1.1.1"], "--dst-nat and --reply-src are the same address; say one"],
    [["-n", ""], "-n: a value or none is expected, found ''"],
    [["--src-nat="], "--src-nat: a value or none is expected, found ''"],
    [["-w"], "-w: a value is expected, found nothing"],
    [["-m", "1"], "-m: conns have no marks"],
    [["--status=ASSURED"], "--status: say --state"],
    [["--any-nat"], "--any-nat: say --src-nat or --dst-nat, one at a time"],
  ];
  for (const [args, message] of table) {
    t.throws(() => filter(...args), { name: "UsageError", message }, args.join(" "));
  }
});

t.test("states: ours, conntrack's and Open vSwitch's", async (t) => {
  t.same(filter("--state", "established"), { phase: ["established"] });
  t.same(filter("--state", "EST,new"), { phase: ["established", "new"] });
  t.same(filter("--state", "SYN_SENT"), { protocol: "tcp", phase: ["new"] }, "a word of TCP");
  t.same(filter("--state=FIN_WAIT", "--state=close"), {
    protocol: "tcp",
    phase: ["fin-original", "fin-reply", "reset"],
  });
  t.same(filter("--state", "TIME_WAIT", "-p", "6").protocol, "6");
  t.throws(() => filter("--state", "SYN_SENT", "-p", "udp"), { message: /is of TCP, not of udp/ });
  t.throws(() => filter("-w", "a", "-w", "b"), { message: "--zone stands twice: say it once" });
  t.throws(() => filter("--state", "WRONG"), {
    message: /one of new, .*TIME_WAIT.* found 'WRONG'/,
  });
  for (const word of STATE_WORDS) t.ok(filter("--state", word.toLowerCase()).phase?.length, word);
});
