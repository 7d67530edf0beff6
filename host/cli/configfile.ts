/** Reads a command's CONFIG argument. */

import { readFileSync } from "node:fs";
import type { Config } from "../config/model.js";
import { parseConfig } from "../config/parse.js";
import { messageOf } from "./command.js";

/** A file that cannot be read: exit code 2, as for one that is wrong. */
export class ConfigFileError extends Error {
  override readonly name = "ConfigFileError";
}

/** `-` reads standard input. Throws ConfigFileError, or ConfigError with all that is wrong. */
export function loadConfig(path: string): Config {
  let text: string;
  try {
    text = readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (error) {
    throw new ConfigFileError(`${path}: ${messageOf(error)}`);
  }
  return parseConfig(text, path === "-" ? "standard input" : path);
}
