/** The options of `crosszone run` that say where the control plane listens, and whom it lets in. */

import { mkdirSync } from "node:fs";
import { DEFAULT_LISTEN, type Listen, type ServeOptions } from "../control/server.js";
import type { Tokens } from "../state/tokens.js";
import { UsageError } from "./command.js";

/** Where tools on the same machine find the router. */
export const SOCKET_FOLDER = "/run/crosszone";
export const DEFAULT_SOCKET = `${SOCKET_FOLDER}/control.sock`;

export const CONTROL_OPTIONS = {
  listen: { type: "string", multiple: true },
  socket: { type: "string" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  "tls-client-ca": { type: "string" },
  host: { type: "string", multiple: true },
  origin: { type: "string", multiple: true },
} as const;

export type ControlValues = {
  readonly [K in keyof typeof CONTROL_OPTIONS]?:
    | ((typeof CONTROL_OPTIONS)[K] extends { multiple: true } ? string[] : string)
    | undefined;
};

export const CONTROL_HELP = `The control plane (docs/protocol.md):
  --listen HOST:PORT   where it listens by TCP, more than once if wanted; "none" for nowhere. If not given
                       127.0.0.1:8090, and where that does not work it forwards without. Another address than
                       loopback needs a token (crosszone token add) or --tls-client-ca
  --socket PATH        the unix socket for tools on this machine; "none" for none. If not given
                       ${DEFAULT_SOCKET}, where that can be made
  --tls-cert FILE, --tls-key FILE
                       serve TLS by TCP, with a certificate and its key in PEM
  --tls-client-ca FILE who shows a certificate that it signed is an operator; nobody else gets in
  --host NAME          a name that the router goes by, besides its addresses: what a Host header may say
  --origin ORIGIN      whose pages may connect, besides its own: https://ops.example`;

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
    ...(listen ?? []).filter((each) => each !== "none").map(listenOf),
    ...(socket === undefined || socket === "none" ? [] : [{ path: socket }]),
  ];
  const optional = [
    ...(listen === undefined ? [DEFAULT_LISTEN] : []),
    ...(socket === undefined ? [{ path: DEFAULT_SOCKET }] : []),
  ];
  return {
    listen: wanted,
    optional,
    tls,
    hosts: host ?? [],
    origins: origin ?? [],
    hasAccessControl,
  };
}

/** Where it cannot be made, listening there fails with a word of it. */
function makeSocketFolder(): void {
  try {
    mkdirSync(SOCKET_FOLDER, { mode: 0o755 });
  } catch {}
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
