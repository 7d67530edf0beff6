import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { EventClass, EventKind } from "../../assembly/abi.js";
import { Control } from "../control/control.js";
import { Logbook } from "../control/logbook.js";
import { Router, type Source } from "../control/router.js";
import { Snapshots } from "../control/snapshots.js";
import { prepareFor } from "../control/socketfolder.js";
import { messageOf } from "../errortext.js";
import type { Forwarder } from "../forwarder.js";
import type { Now } from "../state/deadline.js";
import { StateDirectory } from "../state/files.js";
import { Store } from "../state/revisions.js";
import { Tokens } from "../state/tokens.js";
import { volatileDisk } from "../state/volatile.js";
import type { Counters } from "../telemetry/counters.js";
import { classOf, describeEvent, type EventView } from "../telemetry/event.js";
import { packageVersion } from "../version.js";
import { Exit, log, print, UsageError } from "./command.js";
import { readSource } from "./configfile.js";
import type { Given } from "./definition.js";
import { becomeUser } from "./privileges.js";
import type { RUN_OPTIONS } from "./runverb.js";
import { type ControlValues, serveOptions } from "./serveoptions.js";

const STATS_MS = 1000;
const SNAPSHOT_SECONDS = "30";

/** What `crosszone run` does; see runverb.ts for what it takes. */
export async function forward({ values, args }: Given<typeof RUN_OPTIONS>): Promise<Exit> {
  const [path] = args;
  if (path === undefined && values.state === undefined) {
    throw new UsageError("CONFIG is missing, and so is --state DIR");
  }
  if (values.snapshot !== undefined && values.state === undefined) {
    throw new UsageError("--snapshot: --state DIR is missing, in which conns are kept");
  }
  if (values.user !== undefined) {
    const { user, state, socket } = values;
    await becomeUser(user, state === undefined ? [] : [state], async (them) => {
      if (socket === undefined) await prepareFor(them);
    });
  }
  // A signal that nobody listens to ends the process: the handlers stand before there is anything to ask.
  let running: Promise<Running>;
  onSignals(path, () => running);
  const logbook = new Logbook(log, () => Date.now());
  logbook.level = values.log;
  const stop = stopSignal();
  running = start(path, values, logbook);
  const { router, control, state } = await running;
  const stats = values.stats ? printStats(router.forwarder) : undefined;
  const failure = await Promise.race([router.failed, stop]);
  clearInterval(stats);
  await control.stop();
  await router.stop();
  state.release();
  log(failure === undefined ? "stopped" : failure.message);
  return failure === undefined ? Exit.Ok : Exit.Failure;
}

interface Running {
  readonly router: Router;
  readonly control: Control;
  readonly logbook: Logbook;
  readonly state: { release(): void };
}

interface Values extends ControlValues {
  readonly state?: string | undefined;
  readonly user?: string | undefined;
  readonly snapshot?: string | undefined;
  readonly replace: boolean;
  readonly "trust-loopback": boolean;
}

function clock(): Now {
  return { wallMs: Date.now(), monotonicMs: performance.now() };
}

async function start(path: string | undefined, values: Values, logbook: Logbook): Promise<Running> {
  const tokens = values.state === undefined ? undefined : Tokens.open(values.state);
  const directory =
    values.state === undefined
      ? StateDirectory.hold("/", volatileDisk())
      : StateDirectory.hold(values.state);
  const state = {
    release() {
      tokens?.close();
      directory.release();
    },
  };
  try {
    const serve = await serveOptions(values, tokens);
    const store = Store.open(directory, clock());
    for (const notice of store.notices) logbook.notice(notice);
    const first = firstSource(path, values.replace, store, logbook);
    const seed = randomBytes(16);
    const snapshots = snapshotsIn(directory, values, logbook);
    const router = await Router.start({ store, first, seed, logbook, clock, snapshots });
    router.on("event", (event) => printEvent(event, router));
    try {
      const control = await Control.start({
        router,
        logbook,
        tokens,
        version: packageVersion(),
        startedAt: performance.timeOrigin,
        files: { config: absolute(path), state: absolute(values.state) },
        trustsLoopback: values["trust-loopback"],
        clock,
        serve,
      });
      logbook.info("running");
      const { listening } = control;
      if (listening.length > 0) logbook.info(`control: listening on ${listening.join(", ")}`);
      return { router, control, logbook, state };
    } catch (error) {
      await router.stop();
      throw error;
    }
  } catch (error) {
    state.release();
    throw error;
  }
}

/** Whoever asks may be in another folder. */
function absolute(path: string | undefined): string | undefined {
  return path === undefined || path === "-" ? path : resolve(path);
}

/** What is kept in the state directory, where there is one, of conns. */
function snapshotsIn(
  { folder }: StateDirectory,
  { state, snapshot = SNAPSHOT_SECONDS }: Values,
  logbook: Logbook,
): Snapshots | undefined {
  if (!/^\d{1,6}$/.test(snapshot)) {
    throw new UsageError(`--snapshot: a number of seconds expected, found '${snapshot}'`);
  }
  if (state === undefined) return undefined;
  return new Snapshots(folder, Number(snapshot), (line) => logbook.notice(line));
}

/** What runs where the store is empty, or its configuration is to be replaced. */
function firstSource(
  path: string | undefined,
  isReplacing: boolean,
  store: Store,
  logbook: Logbook,
): Source | undefined {
  const { current } = store;
  if (isReplacing && path === undefined) throw new UsageError("--replace: CONFIG is missing");
  if (current === undefined || isReplacing)
    return path === undefined ? undefined : readSource(path);
  const file = path === undefined ? "" : `; ${path} is read at SIGHUP and with --replace only`;
  logbook.notice(`revision ${current.number} is in force${file}`);
  return undefined;
}

/** Alarms always; blocks where no log takes them. An interface's have been printed in its own words. */
function printEvent(event: EventView, { running: { telemetry } }: Router): void {
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

/** @param running  settles when the forwarder has started, or cannot: then there is nobody to ask */
function onSignals(path: string | undefined, running: () => Promise<Running>): void {
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

async function reload({ router, logbook }: Running, path: string | undefined): Promise<void> {
  try {
    const source = path === undefined ? router.revision : readSource(path);
    const { number } = await router.reload(
      { text: source.text, name: path ?? "the same again" },
      "SIGHUP",
    );
    logbook.info(`configuration reloaded: revision ${number}`);
  } catch (error) {
    logbook.error(`configuration refused, the one in force stays:\n${messageOf(error)}`);
  }
}

async function printConns({ router }: Running): Promise<void> {
  try {
    print(JSON.stringify({ conns: await router.forwarder.conns() }));
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
  const total = (counters: Counters, key: "rxPackets" | "txPackets" | "dropped") =>
    Object.values(counters.devices).reduce((sum, device) => sum + device[key], 0);
  const rate = (key: "rxPackets" | "txPackets" | "dropped") =>
    Math.max(0, total(now, key) - total(before, key));
  const conns = Object.values(now.zones).reduce((sum, zone) => sum + zone.conns, 0);
  return (
    `${new Date().toISOString()} received ${rate("rxPackets")}/s sent ${rate("txPackets")}/s ` +
    `dropped ${rate("dropped")}/s conns ${conns}` +
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
