/**
 * `crosszone demo`, the main job for a person to see: on real interfaces where that is possible, over
 * the in-memory device elsewhere. Leaves nothing behind, see lab.ts.
 */
import { readFileSync } from "node:fs";
import { Lab, labSupport } from "./lab.js";
import { runLive } from "./live.js";
import { runMemory } from "./memory.js";
import { connTable, results, table } from "./report.js";
import { type Outcome, problems } from "./scenario.js";

export interface DemoOptions {
  /** Ends after the results instead of staying up until Ctrl-C. */
  once: boolean;
}

/** Ends with the command's exit code: 1 when a result is not as it must be. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const reason = labSupport();
  const end = new Ending();
  try {
    if (reason === undefined) return await demonstrateLive(options, end);
    console.log(`Over the in-memory device, because ${reason}.\n`);
    const status = show(await runMemory());
    return options.once ? status : await stay(status, end);
  } finally {
    end.forget();
  }
}

async function demonstrateLive(options: DemoOptions, end: Ending): Promise<number> {
  const lab = await Lab.create();
  try {
    const live = runLive(lab);
    // When Ctrl-C comes first, the lab closes under it and what it says of that is no news.
    live.catch(() => {});
    const first = await Promise.race([live, end.came]);
    if (typeof first === "number") return first;
    const status = show(first.outcome);
    if (options.once) {
      console.log("\nWithout --once the lab stays up until Ctrl-C, and says how to enter it.");
      return status;
    }
    console.log(`\nTo look further, as root:\n\n${table(first.ways)}\n`);
    const lost = first.gateway.child.exited.then(() => undefined);
    const stayed = await Promise.race([stay(status, end), lost]);
    if (stayed !== undefined) return stayed;
    console.error(`crosszone: demo: the gateway ended\n${first.gateway.child.stderr}`);
    return 1;
  } finally {
    await lab.close();
  }
}

function show(outcome: Outcome): number {
  console.log(`${results(outcome)}\n\n${connTable(outcome.conns)}`);
  const wrong = problems(outcome);
  for (const each of wrong) console.error(`crosszone: demo: ${each}`);
  return wrong.length === 0 ? 0 : 1;
}

/** Ctrl-C is how this is meant to end, so it ends with the status of the results. */
async function stay(status: number, end: Ending): Promise<number> {
  console.log("Ctrl-C ends it.");
  const alive = setInterval(() => {}, 60_000);
  await end.came;
  clearInterval(alive);
  return status;
}

/** What ends the demo from outside. `came` gives the exit code of a command that was interrupted. */
class Ending {
  readonly came: Promise<number>;
  private readonly handlers: [NodeJS.Signals, () => void][] = [];
  private readonly watch: NodeJS.Timeout | undefined;

  constructor() {
    let resolve: (status: number) => void = () => {};
    this.came = new Promise((done) => {
      resolve = done;
    });
    for (const [signal, status] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
      ["SIGHUP", 129],
    ] as const) {
      const handler = () => resolve(status);
      process.on(signal, handler);
      this.handlers.push([signal, handler]);
    }
    if (process.env.npm_lifecycle_event !== undefined) {
      const before = ancestors();
      this.watch = setInterval(() => before !== ancestors() && resolve(143), 1000);
      this.watch.unref();
    }
  }

  forget(): void {
    for (const [signal, handler] of this.handlers) process.off(signal, handler);
    clearInterval(this.watch);
  }
}

/** npm runs a shell that runs us; when npm is killed, nobody tells us, but our grandparent changes. */
function ancestors(): string {
  try {
    const status = readFileSync(`/proc/${process.ppid}/status`, "utf8");
    return `${process.ppid} ${/^PPid:\t(\d+)/m.exec(status)?.[1]}`;
  } catch {
    return `${process.ppid}`;
  }
}
