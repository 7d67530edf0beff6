/** Whether a value is what a schema of the protocol says: no key too few, and none that it does not name. */

import * as v from "valibot";
import { Problems } from "../../host/config/error.js";
import { reportShape } from "../../host/config/shape.js";
import { isMethod, METHODS, NOTIFICATIONS } from "../../host/control/protocol/methods.js";

/** What is wrong, a line each. */
export function misfits(schema: v.GenericSchema, value: unknown): string[] {
  const issues = (v.safeParse(schema, value).issues ?? []).map(
    (issue) => `${v.getDotPath(issue)}: ${issue.message}`,
  );
  const problems = new Problems();
  reportShape(schema, value, problems);
  return [...issues, ...problems.list.map(String)];
}

export function misfitsOfResult(method: string, result: unknown): string[] {
  if (!isMethod(method)) return [`no method: ${method}`];
  return misfits(METHODS[method].result, result);
}

export function misfitsOfNotification(name: string, params: unknown): string[] {
  if (!Object.hasOwn(NOTIFICATIONS, name)) return [`no notification: ${name}`];
  return misfits(NOTIFICATIONS[name as keyof typeof NOTIFICATIONS].params, params);
}
