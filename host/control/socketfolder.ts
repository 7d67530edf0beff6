/**
 * The folder of the default socket. Whoever can write to it decides who answers there, so it is root's (or the router's
 * own, as systemd's RuntimeDirectory makes it for a User), and nobody else may write to it.
 *
 * A router that becomes another user cannot bind in root's folder. Before it does, root makes a folder of that user's in
 * there, by its number, and a symbolic link from the default path to the socket that will be in it. Root alone can lead the
 * path elsewhere, and the next start does.
 */

import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { DEFAULT_SOCKET, SOCKET_FOLDER } from "./protocol/names.js";
import { isAnswered } from "./socketfile.js";

const MODE = 0o755;
const OWN_MODE = 0o700;
const WRITABLE_BY_OTHERS = 0o022;

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** As root, before it becomes that user. */
export async function prepareFor({ uid, gid }: User): Promise<void> {
  await takeFolder();
  const own = join(SOCKET_FOLDER, String(uid));
  const found = stat(own);
  if (found === undefined) mkdirSync(own, { mode: OWN_MODE });
  else if (!found.isDirectory()) throw new Error(`${own}: something is there that is no folder`);
  // Whoever made it: first root's, then nobody else's.
  chownSync(own, 0, 0);
  chmodSync(own, OWN_MODE);
  chownSync(own, uid, gid);
  rmSync(DEFAULT_SOCKET, { force: true });
  symlinkSync(linkOf(uid), DEFAULT_SOCKET);
}

/**
 * Where this process binds what its clients find at the default path. Makes the folder where that is missing and may be made.
 * @throws when somebody else could put another socket there, or answers there already
 */
export async function socketPath(): Promise<string> {
  const uid = process.geteuid?.() ?? 0;
  if (uid === 0) {
    await takeFolder();
    // It leads to where a router was that had become another user.
    if (stat(DEFAULT_SOCKET)?.isSymbolicLink() === true) rmSync(DEFAULT_SOCKET);
    return DEFAULT_SOCKET;
  }
  const folder = stat(SOCKET_FOLDER);
  if (folder === undefined) {
    try {
      mkdirSync(SOCKET_FOLDER, { mode: MODE });
    } catch {
      // Listening in it fails and says why.
    }
    return DEFAULT_SOCKET;
  }
  const why = distrust(folder, uid);
  if (why !== undefined) throw new Error(`${why}; chown root ${SOCKET_FOLDER}, or say --socket`);
  return leadsTo(uid) ? join(SOCKET_FOLDER, linkOf(uid)) : DEFAULT_SOCKET;
}

/** Why whoever answers at the default path need not be the router, undefined where only root or the caller decide. */
export function distrustOfFolder(): string | undefined {
  const folder = stat(SOCKET_FOLDER);
  return folder && distrust(folder, process.geteuid?.() ?? 0);
}

function distrust(folder: Stats, uid: number): string | undefined {
  if (!folder.isDirectory()) return `${SOCKET_FOLDER} is no folder`;
  if (folder.uid !== 0 && folder.uid !== uid) {
    return `${SOCKET_FOLDER} belongs to user ${folder.uid}, who could answer there in the router's place`;
  }
  if ((folder.mode & WRITABLE_BY_OTHERS) === 0) return undefined;
  return `others than its owner may write to ${SOCKET_FOLDER}, and answer there in the router's place`;
}

/** Makes it root's, whosesoever it was. */
async function takeFolder(): Promise<void> {
  await refuseAnswered(DEFAULT_SOCKET);
  const found = stat(SOCKET_FOLDER);
  if (found === undefined) mkdirSync(SOCKET_FOLDER);
  else if (!found.isDirectory()) throw new Error(`${SOCKET_FOLDER} is no folder`);
  else if (distrust(found, 0) === undefined) return;
  chownSync(SOCKET_FOLDER, 0, 0);
  // Whatever the umask took away.
  chmodSync(SOCKET_FOLDER, MODE);
}

/** @throws when another router is there: its clients would be taken for this one's */
export async function refuseAnswered(path: string): Promise<void> {
  if (!(await isAnswered(path))) return;
  throw new Error(`another router answers at ${path}; give this one its own with --socket`);
}

function leadsTo(uid: number): boolean {
  return (
    stat(DEFAULT_SOCKET)?.isSymbolicLink() === true && readlinkSync(DEFAULT_SOCKET) === linkOf(uid)
  );
}

/** From the folder. */
function linkOf(uid: number): string {
  return `${uid}/control.sock`;
}

function stat(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}
