/** All commands, in the order in which they are listed. */

import { check } from "./check.js";
import { completion } from "./completion.js";
import { config } from "./configuration/config.js";
import { flow } from "./configuration/flow.js";
import { count, del, flush } from "./conns/end.js";
import { events } from "./conns/events.js";
import { list } from "./conns/list.js";
import { type Command, command } from "./definition.js";
import { demo } from "./demo.js";
import { devices, neighbors, zones } from "./look/inventory.js";
import { hosts, mappings, pools } from "./look/pools.js";
import { stats } from "./look/stats.js";
import { top } from "./look/top.js";
import { trace } from "./look/trace.js";
import { manual } from "./man.js";
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
  list,
  count,
  events,
  stats,
  top,
  trace,
  zones,
  pools,
  hosts,
  mappings,
  devices,
  neighbors,
  del,
  flush,
  config,
  flow,
  command("Tools", replay),
  pool,
  token,
  completion(() => COMMANDS),
  manual(() => COMMANDS),
  version,
];
