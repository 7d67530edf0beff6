/** All commands, in the order in which they are listed. */

import { check } from "./check.js";
import { type Command, command } from "./definition.js";
import { demo } from "./demo.js";
import { pool } from "./pool.js";
import { replay } from "./replay.js";
import { run } from "./runverb.js";
import { schema } from "./schema.js";
import { token } from "./token.js";
import { version } from "./version.js";

export const COMMANDS: readonly Command[] = [
  run,
  check,
  schema,
  demo,
  command("Tools", replay),
  pool,
  token,
  version,
];
