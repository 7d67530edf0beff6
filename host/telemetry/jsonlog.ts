/** Events as JSON lines: one object each, docs/telemetry.md has the fields. */

import { type EventView, kindName } from "./event.js";
import { fieldsOf } from "./fields.js";
import { Lines } from "./lines.js";

/** `{"time":"2026-01-31T12:00:00.000Z","event":"session-created","protocol":"udp",…}` */
export function jsonLine(event: EventView): string {
  const time = new Date(event.time).toISOString();
  const fields = Object.fromEntries(fieldsOf(event));
  return `${JSON.stringify({ time, event: kindName(event.kind), ...fields })}\n`;
}

export function jsonLines(): Lines {
  return new Lines({ line: jsonLine, single: false });
}
