/** `crosszone top`: what the router does now, again and again in the same place. */

import type { Client } from "../../control/client.js";
import { Exit, print, UsageError } from "../command.js";
import { askingVerb } from "../connection.js";
import { command, wholeNumber } from "../definition.js";
import { paintFor } from "../output.js";
import { interrupted, Signals } from "../waiting.js";
import { zoneNames } from "./listing.js";
import { draw, type Sample, type Scene } from "./picture.js";
import { Screen } from "./screen.js";

/** Hosts that are asked for; as many are shown as find a place. */
const HOSTS = 50;
/** Of a picture that no terminal shows. */
const COLUMNS = 100;
const ROWS = 48;

export const top = command(
  "Look",
  askingVerb({
    name: "top",
    summary: "show what the router does now, live",
    text:
      "Shows frames and bits per second, what was dropped and why, conns, how busy workers are, zones, and the inside hosts " +
      "whose conns have carried the most. q ends it.",
    options: {
      interval: {
        type: "string",
        value: "SECONDS",
        default: "1",
        help: "between two pictures, from 1 to 60",
      },
      once: {
        type: "boolean",
        help: "print one picture of so many seconds and end: for a file, or a pipe",
      },
    },
    examples: ["top", "top --once --interval 10"],

    check({ values }) {
      wholeNumber("--interval", values.interval, 1, 60);
      if (!values.once && !process.stdout.isTTY) {
        throw new UsageError("no terminal to draw on; --once prints one picture");
      }
    },

    async ask({ client, values }) {
      const intervalMs = Number(values.interval) * 1000;
      return values.once ? await once(client, intervalMs) : await live(client, intervalMs);
    },
  }),
);

async function once(client: Client, intervalMs: number): Promise<Exit> {
  const { columns = COLUMNS } = process.stdout;
  const scene = new Promise<Scene>((resolve, reject) => {
    watch(client, (each) => {
      if (each.before !== undefined) resolve(each);
    }).catch(reject);
  });
  await client.call("metrics.subscribe", { intervalMs });
  const first = await Promise.race([scene, client.ended]);
  if (first === undefined || first instanceof Error) throw first ?? new Error("interrupted");
  print(draw(first, { columns, rows: ROWS }, paintFor(process.stdout)).join("\n"));
  return Exit.Ok;
}

async function live(client: Client, intervalMs: number): Promise<Exit> {
  const signals = new Signals();
  const paint = paintFor(process.stdout);
  let scene: Scene | undefined;
  let quit = () => {};
  const wanted = new Promise<void>((resolve) => {
    quit = resolve;
  });
  const show = () => {
    if (scene !== undefined) screen.show(draw(scene, screen.size, paint));
  };
  const screen = new Screen({ quit: () => quit(), resize: show });
  try {
    const watching = watch(client, (each) => {
      scene = each;
      show();
    });
    await client.call("metrics.subscribe", { intervalMs });
    await Promise.race([wanted, interrupted(signals, client), watching.then(() => wanted)]);
  } finally {
    screen.close();
  }
  return Exit.Ok;
}

/** Makes a scene of each sample, but of those that come while names or hosts are still asked for. */
async function watch(client: Client, tell: (scene: Scene) => void): Promise<void> {
  const naming = zoneNames(client);
  let before: Sample | undefined;
  let isAsking = false;
  client.on("metrics.sample", (now) => {
    if (isAsking) return;
    isAsking = true;
    Promise.all([client.call("hosts.top", { sort: "bytes", limit: HOSTS }), naming])
      .then(([{ hosts }, zoneName]) => tell({ now, before, hosts, zoneName }))
      // Too much is asked of the router at once, or it stops: the next sample may have more luck.
      .catch(() => {})
      .finally(() => {
        before = now;
        isAsking = false;
      });
  });
  await naming;
}
