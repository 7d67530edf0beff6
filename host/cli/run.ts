import { randomBytes } from "node:crypto";
import { EventClass, EventKind } from "../../assembly/abi.js";
import type { Config } from "../config/model.js";
import { Forwarder } from "../forwarder.js";
import { StateDirectory } from "../state/files.js";
import type { Counters } from "../telemetry/counters.js";
import { classOf, describeEvent, type EventView } from "../telemetry/event.js";
import { EventLog } from "../telemetry/eventlog.js";
import { type Command, Exit, log, messageOf, print, readArgs, UsageError } from "./command.js";
import { loadConfig } from "./configfile.js";
import { Snapshots } from "./snapshots.js";

const STATS_MS = 1000;

export const run: Command = {
  name: "run",
  summary: "forward packets",
  help: `crosszone run CONFIG [--stats] [--state DIR [--snapshot SECONDS]]

Opens the interfaces of the configuration and forwards until it is stopped. Needs CAP_NET_RAW; for
driver afxdp CAP_BPF, CAP_NET_ADMIN and CAP_IPC_LOCK, too. CONFIG is a JSON file, or - for standard input.

  --stats              print a line of counters every second
  --state DIR          keep conns and mappings in DIR when it stops, and go on with them at the next start
  --snapshot SECONDS   keep them every so often, too, for the case that it does not stop by itself; 0 for never, 30
                       if not given

Signals:
  SIGHUP           read CONFIG again and switch to it; conns that it still allows go on; opens log files anew
  SIGUSR2          print the conn table as one line of JSON
  SIGINT, SIGTERM  stop

One that comes while it is still starting is answered when it has started.

Example:
  sudo crosszone run edge.json --stats`,

  keepsOn: true,

  async run(args) {
    const options = {
      stats: { type: "boolean", default: false },
      state: { type: "string" },
      snapshot: { type: "string", default: "30" },
    } as const;
    const { values, positionals } = readArgs(args, options, ["CONFIG"]);
    const path = positionals[0] ?? "";
    // A signal that nobody listens to ends the process: the handlers stand before there is anything to ask.
    let running: Promise<Running>;
    onSignals(path, () => running);
    const config = loadConfig(path);
    const stop = stopSignal();
    const state = openState(values.state, values.snapshot);
    running = start(config, state?.snapshots);
    const { forwarder, events } = await running;
    const stats = values.stats ? printStats(forwarder) : undefined;
    const failure = await untilTheEnd(forwarder, stop);
    clearInterval(stats);
    if (failure !== undefined) {
      log(failure.message);
      await events.stop();
      return Exit.Failure;
    }
    await state?.snapshots.end(forwarder);
    await forwarder.stop();
    await events.stop();
    state?.directory.release();
    log("stopped");
    return Exit.Ok;
  },
};

interface Running {
  readonly forwarder: Forwarder;
  readonly events: EventLog;
  /** The configuration in force. */
  config: Config;
}

/** The state directory, where there is one, and what is kept in it from one process to the next. */
function openState(path: string | undefined, snapshot: string) {
  const seconds = /^\d{1,6}$/.test(snapshot) ? Number(snapshot) : undefined;
  if (seconds === undefined) {
    throw new UsageError(`--snapshot: a number of seconds expected, found '${snapshot}'`);
  }
  if (path === undefined) return undefined;
  const directory = StateDirectory.hold(path);
  return { directory, snapshots: new Snapshots(directory.folder, seconds, log) };
}

async function start(config: Config, snapshots: Snapshots | undefined): Promise<Running> {
  const restore = snapshots?.find();
  const restored = () => snapshots?.restored();
  const forwarder = await Forwarder.start(config, randomBytes(16), { restore, restored });
  snapshots?.begin(forwarder);
  const events = new EventLog(config, {
    wall: () => Date.now(),
    monotonic: () => performance.now(),
    notice: log,
    heard: (event) => printEvent(event, running.config),
  });
  const running: Running = { forwarder, events, config };
  forwarder.on("notice", (text) => log(text));
  forwarder.on("event", (event) => events.tell(event));
  forwarder.on("link", (name, event) => {
    log(`interface ${name}: ${event}`);
    events.tellLink(name, event);
  });
  log("running");
  return running;
}

/** Alarms always; blocks where no log takes them. An interface's have been printed in its own words. */
function printEvent(event: EventView, { telemetry }: Config): void {
  const { kind } = event;
  if (kind === EventKind.InterfaceLost || kind === EventKind.InterfaceBack) return;
  const wanted = EventClass.Alarms | (telemetry.logs.length === 0 ? EventClass.Blocks : 0);
  if ((classOf(kind) & wanted) === 0) return;
  log(`${new Date(event.time).toISOString()} ${describeEvent(event)}`);
}

/** Resolves with the first signal that says stop; a second one finds it stopping already. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => resolve());
  });
}

/** Resolves with what went wrong, or with nothing when a signal says stop. */
function untilTheEnd(forwarder: Forwarder, stop: Promise<void>): Promise<Error | undefined> {
  return new Promise((resolve) => {
    forwarder.once("failure", resolve);
    stop.then(() => resolve(undefined));
  });
}

/** @param running  settles when the forwarder has started, or cannot: then there is nobody to ask */
function onSignals(path: string, running: () => Promise<Running>): void {
  const ask = (answer: (running: Running) => Promise<void>) => () =>
    void running().then(answer, () => {});
  process.on(
    "SIGHUP",
    ask((running) => reload(running, path)),
  );
  process.on("SIGUSR2", ask(printConns));
  // Node would open its debugger to every local user.
  process.on("SIGUSR1", () => log("SIGUSR1 does nothing; SIGUSR2 prints the conn table"));
}

async function reload(running: Running, path: string): Promise<void> {
  try {
    const config = loadConfig(path);
    await running.forwarder.reconfigure(config);
    running.config = config;
    running.events.reconfigure(config);
    log("configuration reloaded");
  } catch (error) {
    log(`configuration refused, the one in force stays:\n${messageOf(error)}`);
  }
}

async function printConns({ forwarder }: Running): Promise<void> {
  try {
    print(JSON.stringify({ conns: await forwarder.conns() }));
  } catch (error) {
    log(messageOf(error));
  }
}

function printStats(forwarder: Forwarder): NodeJS.Timeout {
  let before: Counters | undefined;
  return setInterval(async () => {
    try {
      const counters = await forwarder.counters();
      if (before !== undefined) print(statsLine(before, counters));
      before = counters;
    } catch (error) {
      log(messageOf(error));
    }
  }, STATS_MS);
}

function statsLine(before: Counters, now: Counters): string {
  const total = (counters: Counters, key: "rxPackets" | "txPackets" | "rxDropped") =>
    Object.values(counters.devices).reduce((sum, device) => sum + device[key], 0);
  const rate = (key: "rxPackets" | "txPackets" | "rxDropped") =>
    Math.max(0, total(now, key) - total(before, key));
  const conns = Object.values(now.zones).reduce((sum, zone) => sum + zone.conns, 0);
  return (
    `${new Date().toISOString()} received ${rate("rxPackets")}/s sent ${rate("txPackets")}/s ` +
    `dropped ${rate("rxDropped")}/s conns ${conns}` +
    reasonsLine(before, now) +
    linksLine(before, now)
  );
}

/** What interfaces lost since the last line. */
function linksLine(before: Counters, now: Counters): string {
  return Object.entries(now.links)
    .flatMap(([name, counters]) =>
      Object.entries(counters).map(([what, count]) => {
        const earlier = before.links[name]?.[what as keyof typeof counters] ?? 0;
        return { text: ` ${name}.${what}`, more: count - earlier };
      }),
    )
    .filter(({ more }) => more > 0)
    .map(({ text, more }) => `${text} ${more}`)
    .join("");
}

/** How many frames ended with each Reason since the last line; Forwarded is in the line already. */
function reasonsLine(before: Counters, now: Counters): string {
  return Object.entries(now.reasons)
    .map(([reason, count]) => ({ reason, more: count - (before.reasons[reason] ?? 0) }))
    .filter(({ reason, more }) => more > 0 && reason !== "Forwarded")
    .map(({ reason, more }) => ` ${reason} ${more}`)
    .join("");
}
