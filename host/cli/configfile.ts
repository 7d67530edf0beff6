/** Reads a command's CONFIG argument. */

import { readFileSync } from "node:fs";
import type { Config } from "../config/model.js";
import { parseConfig } from "../config/parse.js";
import { messageOf } from "../errortext.js";
import type { Argument } from "./definition.js";

export const CONFIG_ARGUMENT: Argument = {
  name: "CONFIG",
  help: "a JSON file, or - for standard input",
  names: "file",
};

/** A file that cannot be read: exit code 2, as for one that is wrong. */
export class ConfigFileError extends Error {
  override readonly name = "ConfigFileError";
}

/** `-` reads standard input. Throws ConfigFileError. */
export function readSource(path: string): { readonly text: string; readonly name: string } {
  try {
    const text = readFileSync(path === "-" ? 0 : path, "utf8");
    return { text, name: path === "-" ? "standard input" : path };
  } catch (error) {
    throw new ConfigFileError(`${path}: ${messageOf(error)}`);
  }
}

/** As readSource; throws ConfigError with all that is wrong, too. */
export function loadConfig(path: string): Config {
  const { text, name } = readSource(path);
  return parseConfig(text, name);
}
