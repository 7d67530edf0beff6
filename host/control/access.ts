/**
 * Who may do what: from a connection, and a token where one is needed, to a name and a role.
 *
 *     unix socket                operator; the file's mode (0600) has let it in
 *     client certificate         operator, by the name in it; the CA has let it in
 *     a token                    the token's role, by its name
 *     loopback, without tokens   viewer: anybody on this machine may come, root or not; operator with --trust-loopback
 *
 * As soon as there is a token, or the router was started with access control, nothing else lets in by TCP.
 */

import type { Now } from "../state/deadline.js";
import type { Tokens } from "../state/tokens.js";
import type { Role } from "./protocol/status.js";
import type { Peer } from "./server.js";

export interface Identity {
  readonly who: string;
  readonly role: Role;
  /** Which token it was. It may be removed while it is used. */
  readonly token?: string;
}

export type Admission =
  | { readonly identity: Identity }
  | { readonly identity?: undefined; readonly why: string; readonly isBusy: boolean };

const WHY = {
  unknown: "the token is not known",
  expired: "the token has expired",
  busy: "too many tokens are being checked; try again",
  unavailable: "the router cannot read its tokens, and lets nobody in",
} as const;

export class Access {
  /**
   * @param isRequired  whether tokens were asked for from the start, be it that none is left
   * @param loopback  what who comes by TCP from this machine may do while there is no token
   */
  constructor(
    private readonly tokens: Tokens | undefined,
    private readonly isRequired: boolean,
    private readonly loopback: Role = "viewer",
  ) {}

  /** Whether a peer has to show a token. */
  needsToken({ isLocalSocket, tlsClientName }: Peer): boolean {
    if (isLocalSocket || tlsClientName !== undefined) return false;
    return this.isRequired || this.hasTokens();
  }

  /** Who somebody is without a token; undefined where one is needed. */
  identify(peer: Peer): Identity | undefined {
    if (this.needsToken(peer)) return undefined;
    if (peer.isLocalSocket) return { who: "local", role: "operator" };
    const { tlsClientName, address } = peer;
    if (tlsClientName === undefined) return { who: address, role: this.loopback };
    return { who: `certificate ${tlsClientName}`, role: "operator" };
  }

  async admit(token: string, now: Now): Promise<Admission> {
    const verdict = await this.tokens?.verify(token, now);
    if (verdict === undefined) return { why: WHY.unknown, isBusy: false };
    if (!verdict.isGood) return { why: WHY[verdict.why], isBusy: verdict.why === "busy" };
    const { id, name, role } = verdict.token;
    return { identity: { who: name === "" ? id : `${name} (${id})`, role, token } };
  }

  private hasTokens(): boolean {
    if (this.tokens === undefined) return false;
    try {
      return this.tokens.list().length > 0;
    } catch {
      // Unreadable: who could say that there are none?
      return true;
    }
  }
}

/** `Authorization: Bearer TOKEN` (RFC 6750 section 2.1); undefined where there is none. */
export function bearerOf(headers: ReadonlyMap<string, string>): string | undefined {
  return /^Bearer +([\w~+/.-]+=*) *$/i.exec(headers.get("authorization") ?? "")?.[1];
}
