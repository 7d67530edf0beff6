/** The options of `crosszone run` that say where the control plane listens, and whom it lets in. */

import { mkdirSync } from "node:fs";
import { DEFAULT_SOCKET, SOCKET_FOLDER } from "../control/protocol/names.js";
import { DEFAULT_LISTEN, type Listen, type ServeOptions } from "../control/server.js";
import type { Tokens } from "../state/tokens.js";
import { UsageError } from "./command.js";
import type { Values } from "./definition.js";
import type { CONTROL_OPTIONS } from "./runverb.js";

export type ControlValues = Values<typeof CONTROL_OPTIONS>;

export function serveOptions(
  values: ControlValues,
  tokens: Tokens | undefined,
): Omit<ServeOptions, "onNotice"> {
  const { listen, socket, host, origin } = values;
  const tls = tlsOf(values);
  const hasAccessControl =
    tls?.clientCa !== undefined || (tokens !== undefined && tokens.list().length > 0);
  if (socket === undefined) makeSocketFolder();
  const wanted = [
    ...listen.filter((each) => each !== "none").map(listenOf),
    ...(socket === undefined || socket === "none" ? [] : [{ path: socket }]),
  ];
  const optional = [
    ...(listen.length === 0 ? [DEFAULT_LISTEN] : []),
    ...(socket === undefined ? [{ path: DEFAULT_SOCKET }] : []),
  ];
  return {
    listen: wanted,
    optional,
    tls,
    hosts: host,
    origins: origin,
    hasAccessControl,
  };
}

function makeSocketFolder(): void {
  try {
    mkdirSync(SOCKET_FOLDER, { mode: 0o755 });
  } catch {
    // It is there, or listening in it fails and says why.
  }
}

function tlsOf(values: ControlValues): ServeOptions["tls"] {
  const { "tls-cert": cert, "tls-key": key, "tls-client-ca": clientCa } = values;
  if (cert === undefined && key === undefined && clientCa === undefined) return undefined;
  if (cert === undefined) throw new UsageError("--tls-cert is missing");
  if (key === undefined) throw new UsageError("--tls-key is missing");
  return { cert, key, clientCa };
}

/** `127.0.0.1:8090`, `[::1]:8090`, `localhost:0` */
function listenOf(text: string): Listen {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:\s]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) {
    throw new UsageError(`--listen: an address and a port expected, found '${text}'`);
  }
  return { host, port: Number(port) };
}
