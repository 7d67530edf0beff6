/** Waiting for time to pass, for a signal that says stop, and for the end of a connection, whichever comes first. */

import type { Client } from "../control/client.js";

/** SIGINT and SIGTERM, from when this is made. */
export class Signals {
  readonly stop: Promise<void>;

  constructor() {
    this.stop = new Promise((resolve) => {
      for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => resolve());
    });
  }
}

/** Whether a signal came first. @throws ConnectionError when the router ends the connection meanwhile */
export async function pause(ms: number, signals: Signals, client: Client): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const time = new Promise<"time">((resolve) => {
    timer = setTimeout(() => resolve("time"), ms);
  });
  const stop = signals.stop.then(() => "stop" as const);
  const first = await Promise.race([time, stop, client.ended]);
  clearTimeout(timer);
  if (first instanceof Error) throw first;
  return first === "stop";
}

/** Resolves with the first signal. @throws ConnectionError when the router ends the connection first */
export async function interrupted(signals: Signals, client: Client): Promise<void> {
  const first = await Promise.race([signals.stop, client.ended]);
  if (first instanceof Error) throw first;
}
