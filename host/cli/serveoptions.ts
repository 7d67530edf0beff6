/** The options of `crosszone run` that say where the control plane listens, and whom it lets in. */

import { DEFAULT_LISTEN, type Listen, type ServeOptions } from "../control/server.js";
import { refuseAnswered, socketPath } from "../control/socketfolder.js";
import { checkTls } from "../control/tls.js";
import type { Tokens } from "../state/tokens.js";
import { UsageError } from "./command.js";
import type { Values as ValuesOf } from "./definition.js";
import type { CONTROL_OPTIONS } from "./runverb.js";

export type ControlValues = ValuesOf<typeof CONTROL_OPTIONS>;

interface Values extends ControlValues {
  readonly user?: string | undefined;
}

/** @throws where the default socket's folder is not to be trusted */
export async function serveOptions(
  values: Values,
  tokens: Tokens | undefined,
): Promise<Omit<ServeOptions, "onNotice">> {
  const { listen, socket, host, origin } = values;
  const tls = tlsOf(values);
  // Before anything is opened and conns are restored, which takes its time.
  if (tls !== undefined) checkTls(tls);
  const hasAccessControl =
    tls?.clientCa !== undefined || (tokens !== undefined && tokens.list().length > 0);
  const sockets = socket === "none" ? [] : [{ path: socket ?? (await socketPath()) }];
  for (const { path } of sockets) await refuseAnswered(path);
  // As another user it can neither make it later nor be told anything without.
  const isSocketWanted = socket !== undefined || values.user !== undefined;
  const wanted = [
    ...listen.filter((each) => each !== "none").map(listenOf),
    ...(isSocketWanted ? sockets : []),
  ];
  const optional = [
    ...(listen.length === 0 ? [DEFAULT_LISTEN] : []),
    ...(isSocketWanted ? [] : sockets),
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
