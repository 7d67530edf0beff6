/**
 * Random requests to a router that runs, over a real WebSocket. Whatever is sent: each request is answered once, as the
 * schemas say or by a known error; nothing in the router throws; and what it says of its configuration is what it runs.
 */

import { RpcCode } from "../../host/control/protocol/rpc.js";
import { misfitsOfResult } from "../harness/exactly.js";
import { type Any, type Client, Plane } from "../harness/plane.js";
import type { Tally } from "./isolation.js";
import { Random } from "./random.js";
import { Requests } from "./requests.js";

/** Frames of a round: fewer than a channel may send at once. */
const FRAMES = 60;
const ANSWER_MS = 30_000;

const CODES = new Set<unknown>(Object.values(RpcCode));

export interface ProtocolOutcome {
  readonly tally: Tally;
  /** Each with the seed of its round. */
  readonly failures: readonly string[];
}

export async function protocolRounds(
  t: { teardown(end: () => unknown): unknown },
  seed: number,
  rounds: number,
): Promise<ProtocolOutcome> {
  const plane = await Plane.start(t);
  const tally: Tally = { frames: 0, results: 0, errors: 0 };
  const failures: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const faults = await oneRound(plane, seed + round, tally);
    failures.push(...faults.map((fault) => `seed ${seed + round}: ${fault}`));
  }
  return { tally, failures };
}

async function oneRound(plane: Plane, seed: number, tally: Tally): Promise<string[]> {
  const faults: string[] = [];
  const client = await plane.connect();
  const requests = new Requests(new Random(seed), () => plane.router.revision.number);
  const methodOf = new Map<string | number, string>();
  const saidBefore = plane.said.length;
  for (let frame = 0; frame < FRAMES; frame++) {
    const { text, ids } = requests.next();
    note(text, methodOf);
    const before = client.came.length;
    client.send(text);
    count(tally, "frames");
    // Behind it something that is always answered: what is not there by then does not come.
    const answered = () => new Set(client.came.slice(before).map(({ id }) => id));
    await client.call("hello");
    const deadline = Date.now() + ANSWER_MS;
    while (!ids.every((id) => answered().has(id)) && Date.now() < deadline) await pause();
    for (const id of ids) {
      const replies = client.came.slice(before).filter((reply) => reply.id === id);
      if (replies.length !== 1) faults.push(`${replies.length} answers to ${text.slice(0, 300)}`);
    }
    faults.push(...judge(client.came.slice(before), methodOf, tally, text));
  }
  faults.push(...(await whole(plane, client)));
  for (const line of plane.said.slice(saidBefore)) {
    if (/^ {4}at |TypeError|RangeError|internal error/m.test(line)) faults.push(line);
  }
  client.end();
  return faults;
}

/** Which method an id is of, where that can be seen. */
function note(text: string, methodOf: Map<string | number, string>): void {
  try {
    for (const each of [JSON.parse(text)].flat()) methodOf.set(each.id, each.method);
  } catch {
    // No JSON: then nothing has an id.
  }
}

function judge(
  replies: readonly Any[],
  methodOf: ReadonlyMap<string | number, string>,
  tally: Tally,
  text: string,
): string[] {
  return replies.flatMap((reply) => {
    if (reply.method !== undefined) return [];
    if (reply.jsonrpc !== "2.0") return [`no answer: ${JSON.stringify(reply)}`];
    if (reply.error === undefined) {
      count(tally, "results");
      const method = methodOf.get(reply.id);
      // Those to `hello` between the frames have numbers of the client's own.
      const misfits = method === undefined ? [] : misfitsOfResult(method, reply.result);
      return misfits.map((each) => `${method}: ${each}: ${text.slice(0, 300)}`);
    }
    count(tally, "errors");
    const { code, message } = reply.error;
    const isKnown = CODES.has(code) && code !== RpcCode.InternalError;
    return isKnown && typeof message === "string"
      ? []
      : [`${code} ${message}: ${text.slice(0, 300)}`];
  });
}

/** What the router says of its configuration is what it runs. */
async function whole(plane: Plane, client: Client): Promise<string[]> {
  const { config } = await client.call("config.get");
  const { zones } = await client.call("zones.list");
  const named = config.zones.map(({ id, name }: Any) => `${id} ${name}`);
  const found = zones.map(({ id, name }: Any) => `${id} ${name}`);
  const { channels } = (await client.call("status.get")).control;
  const faults = JSON.stringify(named) === JSON.stringify(found) ? [] : [`${named} but ${found}`];
  // A pending one is taken back within the second that it was given, or two; the next round begins from there.
  if (plane.router.revision.state === "pending") await client.ask("config.rollback", {});
  return channels <= 2 ? faults : [...faults, `${channels} channels are open`];
}

function count(tally: Tally, name: string): void {
  tally[name] = (tally[name] ?? 0) + 1;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2));
}
