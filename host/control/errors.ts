/** From what was thrown to the error of an answer: a code, words, and the paths of what was wrong. */

import { ConfigError } from "../config/error.js";
import { TraceMissing } from "../datapath.js";
import { messageOf } from "../errortext.js";
import { Refusal, type RefusalCode } from "../state/refusal.js";
import { Busy } from "../tables.js";
import { QueryError } from "../telemetry/filter.js";
import { CursorError } from "../telemetry/page.js";
import { NoAnswer } from "../workers/handle.js";
import { type Fault, RpcCode, RpcError } from "./protocol/rpc.js";
import { SwitchError } from "./router.js";

const REFUSALS: Readonly<Record<RefusalCode, RpcCode>> = {
  "stale-base": RpcCode.Conflict,
  "pending-open": RpcCode.Conflict,
  "nothing-pending": RpcCode.Conflict,
  unchanged: RpcCode.Conflict,
  "same-connection": RpcCode.Conflict,
  "too-late": RpcCode.Conflict,
  busy: RpcCode.Conflict,
  "nothing-to-return-to": RpcCode.Conflict,
  "unknown-revision": RpcCode.NotFound,
  "unusable-revision": RpcCode.NotFound,
  invalid: RpcCode.InvalidParams,
  storage: RpcCode.Failed,
};

/** Undefined for what nobody has foreseen. */
export function errorOf(thrown: unknown): RpcError | undefined {
  if (thrown instanceof RpcError) return thrown;
  if (thrown instanceof QueryError) return invalid(thrown.problems);
  if (thrown instanceof ConfigError) {
    return new RpcError(RpcCode.Refused, "the configuration is wrong", {
      problems: thrown.problems.map(faultOf),
    });
  }
  if (thrown instanceof Refusal) {
    const { code, path, message } = thrown;
    return new RpcError(REFUSALS[code], `${path}: ${message}`, { refusal: code, path });
  }
  if (thrown instanceof SwitchError) {
    return new RpcError(RpcCode.Refused, `the router cannot run it: ${thrown.message}`);
  }
  if (thrown instanceof CursorError) {
    return invalid([{ path: "cursor", expected: thrown.message, found: "this one" }]);
  }
  if (thrown instanceof Busy) return new RpcError(RpcCode.Busy, thrown.message);
  if (thrown instanceof TraceMissing) return new RpcError(RpcCode.Failed, thrown.message);
  if (thrown instanceof NoAnswer) return new RpcError(RpcCode.Failed, thrown.message);
  return undefined;
}

export function invalid(problems: readonly Fault[]): RpcError {
  const [first] = problems;
  const more = problems.length > 1 ? `, and ${problems.length - 1} more` : "";
  const text = first === undefined ? "" : `: ${lineOf(first)}${more}`;
  return new RpcError(RpcCode.InvalidParams, `the parameters are wrong${text}`, {
    problems: problems.map(faultOf),
  });
}

/** The line that a problem is on standard error. */
export function lineOf({ path, expected, found }: Fault): string {
  return `${path}: expected ${expected}, found ${found}`;
}

export function faultOf({ path, expected, found }: Fault): Fault {
  return { path, expected, found };
}

/** What the log says of a failure that nobody has foreseen. */
export function traceOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : messageOf(thrown);
}
