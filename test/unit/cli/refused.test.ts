/** What commands say where they refuse their arguments, and where the router does. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { RpcCode, RpcError } from "../../../host/control/protocol/rpc.js";
import { folderOf, start } from "../../harness/scriptedcommand.js";

t.setTimeout(180_000);

/** Processes: more would wait for each other. */
const AT_ONCE = 4;

t.test("nothing is asked where the arguments are wrong", async (t) => {
  const { router, run } = await start(t, () => undefined);
  const table: readonly (readonly [readonly string[], RegExp])[] = [
    [["list", "--json", "--csv"], /--json and --csv are two forms; say one/],
    [["list", "--json", "-o", "ovs"], /--json and --output ovs are two forms; say one/],
    [["list", "-o", "extended", "--csv"], /--csv and --output extended are two forms/],
    [["events", "--json", "-o", "plain"], /--json and --output plain are two forms/],
    [["list", "--csv", "-o", "json"], /--csv and --output json are two forms/],
    [["events", "-p", "nosuch"], /--proto: tcp, udp, .* or a number expected, found 'nosuch'/],
    [["events", "-s", "10.0.0.1/8"], /--src: an address or a prefix expected, found '10/],
    [["list", "-g", "nonsense"], /--dst-nat: an IPv4 address, .* expected, found 'nonsense'/],
    [["events", "--dport", "x"], /--dport: a port or a range of ports expected, found 'x'/],
    [
      ["events", "-d", "1.1.1.1", "--class", "alarms"],
      /conditions on sessions: --class alarms has none/,
    ],
    [["delete", "-w", "a", "-w", "b"], /--zone stands twice: say it once/],
    [["list", "-o", "xml"], /--output: one of extended.* expected, found 'xml'/],
    [["list", "-x"], /^crosszone: list: -x: unknown option; see /],
    [["list", "--limit", "0"], /--limit: a number from 1 /],
    [["list", "--state", "OPEN"], /--state: one of new, /],
    [["delete"], /a condition is missing; crosszone flush ends everything/],
    [["flush"], /say --yes where nobody can be asked/],
    [["flush", "--host", "1.2.3.4", "--yes"], /--host goes with --zone/],
    [
      ["events", "--class", "all,nosuch,alarms", "-e", "UPDATE"],
      /--event-mask: NEW, DESTROY or ALL/,
    ],
    [["events", "--class", "nosuch"], /--class: one of sessions, .*, all expected, found 'nosuch'/],
    [["stats", "--times", "3"], /--times goes with --interval/],
    [["hosts", "--limit", "501"], /--limit: a number from 1 to 500/],
    [["top", "--once", "--interval", "0"], /--interval: a number from 1 to 60/],
    [["trace", "-p", "udp"], /--device or --zone is missing/],
    [["trace", "-w", "a", "--ttl", "256"], /--ttl: a number from 0 to 255/],
    [["config", "diff", "x"], /A: a number from 1 /],
    [["config", "diff", "1", "2", "--file", "f"], /--file stands in the place of B/],
    [["config", "rollback", "-1"], /^crosszone: config rollback: -1: unknown option/],
    [["config", "apply", "f", "--confirm", "0"], /--confirm: a number from 1 to 86400/],
    [["config", "apply", "f"], /it changes what is in force: say --yes .*, or --confirm SECONDS/],
    [["config", "rollback", "3"], /it changes what is in force: say --yes /],
    [["config", "apply"], /CONFIG is missing/],
    [["flow", "add"], /FLOW is missing/],
    [["flow", "add", "f", "--index", "70000"], /--index: a number from 0 to 65535/],
    [["config", "nosuch"], /unknown command 'config nosuch'/],
  ];
  const rest = table.values();
  const tryRest = async () => {
    for (const [args, message] of rest) {
      const { status, stdout, stderr } = await run(...args);
      t.same([status, stdout], [2, ""], args.join(" "));
      t.match(stderr, message);
      const isVerb = /^(config|flow)$/.test(args[0] ?? "") && args[1] !== "nosuch";
      const words = args.slice(0, isVerb ? 2 : 1).join(" ");
      t.ok(stderr.startsWith(`crosszone: ${words}: `), stderr);
      t.ok(stderr.endsWith(`; see crosszone ${words} --help\n`), stderr);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, tryRest));
  t.same(router.asked, [], "not even hello");
});

t.test("what the router does not take is named as it was written", async (t) => {
  const problems = [
    { path: "filter.originalZone", expected: "the name of a zone", found: '"x"' },
    { path: "filter.sourcePort", expected: "a port", found: '"y"' },
  ];
  const { run } = await start(t, ({ method }) => {
    if (method === "hello") return undefined;
    return new RpcError(RpcCode.InvalidParams, "the parameters are wrong", { problems });
  });
  const { status, stderr } = await run("count", "--orig-zone", "x", "--sport", "y");
  t.equal(status, 2);
  t.equal(
    stderr,
    'crosszone: count: --orig-zone: expected the name of a zone, found "x"; ' +
      '--sport: expected a port, found "y"; see crosszone count --help\n',
  );
});

t.test("what is missing is named as an option, and nothing by the protocol's word", async (t) => {
  const missing = (path: string) => ({ path, expected: `the key ${path}`, found: "nothing" });
  const problems = [missing("sourcePort"), missing("destinationPort")];
  const refused = (refusal: string, path: string, text: string) =>
    new RpcError(RpcCode.Conflict, `${path}: ${text}`, { refusal, path });
  const answers: Readonly<Record<string, RpcError>> = {
    "trace.run": new RpcError(RpcCode.InvalidParams, "the parameters are wrong", { problems }),
    "config.get": refused("unknown-revision", "revision", "there is no revision 99"),
    "config.rollback": refused("nothing-pending", "to", "nothing waits"),
    "config.confirm": refused("unchanged", "to", "is the configuration of revision 3"),
    "flows.remove": new RpcError(RpcCode.NotFound, "flow: no written flow is 'x'"),
    "flows.add": new RpcError(RpcCode.InvalidParams, "note: expected less, found more", {
      refusal: "invalid",
      path: "note",
    }),
    "zones.list": new RpcError(RpcCode.Failed, "worker: gone"),
  };
  const { router, run } = await start(t, ({ method }) => answers[method]);
  const table: readonly (readonly [string, number, string])[] = [
    [
      "trace -w a -p udp -s 1.1.1.1 -d 2.2.2.2",
      2,
      "trace: --sport is missing; --dport is missing; see crosszone trace --help",
    ],
    ["config rollback 99 --yes", 1, "config rollback: there is no revision 99"],
    ["config rollback", 1, "config rollback: nothing waits"],
    ["config confirm 3", 1, "config confirm: it is the configuration of revision 3"],
    ["flow del x", 1, "flow del: FLOW: no written flow is 'x'"],
    [
      "flow add x --note n",
      2,
      "flow add: --note: expected less, found more; see crosszone flow add --help",
    ],
    ["zones", 1, "zones: worker: gone"],
  ];
  for (const [line, exit, text] of table) {
    const { status, stderr } = await run(...line.split(" "));
    t.same([status, stderr], [exit, `crosszone: ${text}\n`], line);
  }
  const names = router.asked.filter(({ method }) => method === "hello");
  t.match(names[1]?.params, { client: "crosszone config rollback" }, "also in the history");
});

t.test("problems of a configuration: one on a line, behind the name of the file", async (t) => {
  const file = join(folderOf(t), "edge.json");
  writeFileSync(file, "{}");
  const problems = [
    { path: "zones", expected: "an array", found: "nothing" },
    { path: "devices[0].mtu", expected: "a number", found: '"\u001b[2J"' },
  ];
  const { router, run } = await start(t, ({ method }) => {
    return method === "config.check"
      ? { isGood: false, problems, base: 1, isUnchanged: false }
      : undefined;
  });
  const { status, stderr } = await run("config", "apply", file, "--yes");
  t.equal(status, 2);
  const [first, second] = stderr.split("\n");
  t.equal(first, `${file}: zones: expected an array, found nothing`);
  t.notMatch(second, "\u001b", "and nothing that a terminal would obey");
  t.same(router.calls, ["config.check"]);
});
