/** The files of TLS, checked before anything is listened on. */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { ListenError } from "./listenerror.js";

/** Paths of PEM files. */
export interface TlsFiles {
  /** The server's certificate, and behind it those between it and its CA. */
  readonly cert: string;
  /** Its private key, without a passphrase. */
  readonly key: string;
  /** Who signs clients' certificates. With it, a client without one gets no connection. */
  readonly clientCa?: string | undefined;
}

export interface TlsTexts {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
}

function reasons(): Readonly<Record<string, string>> {
  const who = process.geteuid?.() ?? "of the router";
  return { ENOENT: "the file does not exist", EACCES: `user ${who} cannot read it (EACCES)` };
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === undefined ? message : (reasons()[code] ?? message);
    throw new ListenError(path, `TLS: ${why}`, code);
  }
}

export function readTls({ cert, key, clientCa }: TlsFiles): TlsTexts {
  return {
    cert: read(cert),
    key: read(key),
    ca: clientCa === undefined ? undefined : read(clientCa),
  };
}

/** Throws a ListenError that names the file: missing, no PEM, or a key of another certificate. */
export function checkTls(files: TlsFiles): void {
  const { cert, key, ca } = readTls(files);
  const check = (path: string, what: string, options: object) => {
    try {
      createSecureContext(options);
    } catch {
      throw new ListenError(path, `TLS: ${what}`);
    }
  };
  check(files.cert, "expected a certificate in PEM", { cert });
  check(files.key, "expected a private key in PEM, without a passphrase", { key });
  check(files.key, `not the private key of ${files.cert}`, { cert, key });
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) {
    throw new ListenError(String(files.clientCa), "TLS: expected certificates in PEM");
  }
}
