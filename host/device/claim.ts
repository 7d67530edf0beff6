/**
 * An interface is one router's: a second one on it would forward every frame once more. The claim is a unix socket in the
 * abstract namespace (unix(7)), named by the interface's index: the names of a network namespace are its own, as indexes
 * are, and one is gone with the process that has bound it, however it ends.
 *
 * It keeps routers from each other by mistake, not by malice: any process of the network namespace can bind the name.
 */

import { check, Errno, errno, libc, SystemError } from "./libc.js";
import { Socket } from "./packet.js";

/** struct sockaddr_un: u16 family, then the name, which a zero begins. */
const NAME_AT = 2;
/** struct ucred: pid, uid, gid. */
const CREDENTIALS_WORDS = 3;
/** Others that ask who has it wait here, and nobody accepts them. */
const BACKLOG = 16;

/** What devices of this thread have, by the interface's index: while one is replaced by another, both. */
const held = new Map<number, { readonly fd: number; devices: number }>();

export class Claim {
  private index: number | undefined;

  constructor(private readonly who: string) {}

  /** @throws when another process has it */
  take(index: number): void {
    if (this.index !== undefined) return;
    const own = held.get(index);
    if (own === undefined) held.set(index, { fd: bind(this.who, index), devices: 1 });
    else own.devices++;
    this.index = index;
  }

  give(): void {
    const own = this.index === undefined ? undefined : held.get(this.index);
    if (this.index === undefined || own === undefined) return;
    own.devices--;
    if (own.devices === 0) {
      libc().close(own.fd);
      held.delete(this.index);
    }
    this.index = undefined;
  }
}

function bind(who: string, index: number): number {
  const address = addressOf(index);
  const fd = openSocket(who);
  try {
    if (libc().bind(fd, address, address.length) >= 0) {
      check(libc().listen(fd, BACKLOG), who, "listen");
      return fd;
    }
    if (errno() !== Errno.AddressInUse) throw new SystemError(who, "bind", errno());
    const holder = holderOf(who, address);
    const whose = holder === undefined ? "" : ` (process ${holder})`;
    throw new Error(`${who}: another crosszone has this interface${whose}`);
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

function openSocket(who: string): number {
  const type = Socket.Stream | Socket.CloseOnExec | Socket.NonBlock;
  return check(libc().socket(Socket.FamilyUnix, type, 0), who, "socket(AF_UNIX)");
}

function addressOf(index: number): Uint8Array {
  const name = Buffer.from(`\0crosszone/${index}`);
  const address = Buffer.alloc(NAME_AT + name.length);
  address.writeUInt16LE(Socket.FamilyUnix, 0);
  name.copy(address, NAME_AT);
  return address;
}

/** The process that listens there; undefined where that cannot be told, as of another container's. */
function holderOf(who: string, address: Uint8Array): number | undefined {
  const fd = openSocket(who);
  try {
    if (libc().connect(fd, address, address.length) < 0) return undefined;
    const credentials = new Int32Array(CREDENTIALS_WORDS);
    const bytes = new Uint32Array([credentials.byteLength]);
    const { LevelSocket, PeerCredentials } = Socket;
    if (libc().getsockopt(fd, LevelSocket, PeerCredentials, credentials, bytes) < 0)
      return undefined;
    return credentials[0] || undefined;
  } finally {
    libc().close(fd);
  }
}
