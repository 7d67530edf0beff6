/** Why a lab test cannot run here: what the lab itself needs, or a command that it calls. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { labSupport } from "../../host/demo/lab.js";

/** In the form of tap's `skip` option: the reason in one line, or false. */
export function skipReason(...commands: string[]): string | false {
  const reason = labSupport();
  if (reason !== undefined) return reason;
  const folders = `${process.env.PATH ?? ""}${delimiter}/usr/sbin${delimiter}/sbin`.split(
    delimiter,
  );
  const missing = commands.filter((command) => !folders.some((f) => existsSync(join(f, command))));
  return missing.length === 0 ? false : `not installed: ${missing.join(", ")}`;
}
