/** A port or a range of ports as a document has it. */

import { type PortRange, parsePorts } from "./address.js";
import { describe, type Problems } from "./error.js";
import { PORT_OR_RANGE } from "./shapes.js";

/** Undefined, with a problem, where the text is no range. */
export function readPorts(
  path: string,
  port: number | string,
  problems: Problems,
): PortRange | undefined {
  const ports = parsePorts(String(port));
  if (ports === undefined) problems.add(path, PORT_OR_RANGE, describe(port));
  return ports;
}
