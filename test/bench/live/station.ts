/**
 * Processes inside the namespaces that take orders: a line of JSON in, a line of JSON out. Each ends when its
 * standard input does, and what it has attached ends with it.
 */

import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Child } from "../../../host/demo/child.js";
import type { Namespace } from "../../../host/demo/lab.js";
import { onCore } from "./plan.js";

interface Question {
  readonly id: number;
  readonly order: unknown;
}

interface Reply {
  readonly answer?: unknown;
  readonly error?: string;
}

/** The asking side. */
export class Station {
  private asked = 0;

  private constructor(private readonly child: Child) {}

  /** @param program  name of a file beside this one, without its ending */
  static async start(
    at: Namespace,
    core: number,
    program: string,
    ...args: string[]
  ): Promise<Station> {
    const path = fileURLToPath(new URL(`./${program}.js`, import.meta.url));
    const child = at.spawn(...onCore(core, process.execPath, path, ...args));
    await child.line("stdout", /^ready$/);
    return new Station(child);
  }

  /**
   * Waits for the answer.
   * @throws with the station's words when it refuses the order, or ends
   */
  async ask<Answer>(order: unknown, timeoutMs = 60_000): Promise<Answer> {
    const id = ++this.asked;
    this.child.write(`${JSON.stringify({ id, order } satisfies Question)}\n`);
    const line = await this.child.line("stdout", new RegExp(`^\\{"id":${id}[,}]`), timeoutMs);
    const { answer, error } = JSON.parse(line) as Reply;
    if (error !== undefined) throw new Error(error);
    return answer as Answer;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.signal(signal);
  }
}

/** The answering side: one order after another. */
export function answerOrders<Order>(answer: (order: Order) => unknown): void {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const { id, order } = JSON.parse(line) as Question & { order: Order };
    console.log(JSON.stringify({ id, ...attempt(() => answer(order)) }));
  });
  lines.on("close", () => process.exit(0));
  console.log("ready");
}

function attempt(answer: () => unknown): Reply {
  try {
    return { answer: answer() };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
