/**
 * Gives up root before anything is opened: the process becomes another user's, keeps the few capabilities that interfaces
 * need, can never get any back, and begins anew by execve(2), so that no thread of it ever had more.
 *
 * capabilities(7), prctl(2); linux/capability.h, linux/prctl.h.
 */

import { chownSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { UsageError } from "./command.js";

/** What an interface of any driver needs (docs/config.md). */
const KEPT = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_IPC_LOCK: 14, CAP_BPF: 39 } as const;

/** More than there are capabilities. */
const CAPS = 64;
const CAPABILITY_VERSION_3 = 0x20080522;

enum Prctl {
  SetKeepCaps = 8,
  BoundingRead = 23,
  BoundingDrop = 24,
  SetNoNewPrivs = 38,
  Ambient = 47,
}
const AMBIENT_RAISE = 2;

/** asm-generic/fcntl.h */
const F_SETFD = 2;

interface User {
  readonly uid: number;
  readonly gid: number;
}

interface Calls {
  prctl(option: number, a: number, b: number, c: number, d: number): number;
  capset(header: Uint8Array, data: Uint8Array): number;
  fcntl(fd: number, command: number, type: "int", argument: number): number;
  execve(path: string, args: (string | null)[], environment: (string | null)[]): number;
  errno(): number;
}

/**
 * Returns where the process is that user's already, and begins it anew where it is root's.
 * @param needed  folders that the user must be able to write to: made where they are not there
 * @param prepare  what root does for the user before
 * @throws UsageError for an unknown user, when it is neither, or when a needed folder is somebody else's
 */
export async function becomeUser(
  name: string,
  needed: readonly string[],
  prepare: (user: User) => Promise<void>,
): Promise<void> {
  const user = userOf(name);
  const now = process.geteuid?.();
  if (now === user.uid) return;
  if (now !== 0) throw new UsageError(`--user: to become ${name} it has to be started as root`);
  for (const folder of needed) {
    if (give(folder, user)) continue;
    throw new UsageError(
      `--user: ${folder} is not ${name}'s, or something in it; chown -R ${name} ${folder}`,
    );
  }
  await prepare(user);
  const calls = load();
  const must = (what: string, result: number) => {
    if (result < 0) throw new Error(`--user: ${what}: errno ${calls.errno()}`);
  };
  const kept = Object.values(KEPT);
  for (let cap = 0; cap < CAPS; cap++) {
    if (kept.some((each) => each === cap) || calls.prctl(Prctl.BoundingRead, cap, 0, 0, 0) < 1) {
      continue;
    }
    must("bounding set", calls.prctl(Prctl.BoundingDrop, cap, 0, 0, 0));
  }
  must("keep capabilities", calls.prctl(Prctl.SetKeepCaps, 1, 0, 0, 0));
  process.setgroups?.([user.gid]);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
  const { header, data } = capabilitySets(kept);
  must("capabilities", calls.capset(header, data));
  for (const cap of kept) {
    must("ambient set", calls.prctl(Prctl.Ambient, AMBIENT_RAISE, cap, 0, 0));
  }
  must("no new privileges", calls.prctl(Prctl.SetNoNewPrivs, 1, 0, 0, 0));
  // Node has marked them to be closed.
  for (const fd of [0, 1, 2]) calls.fcntl(fd, F_SETFD, "int", 0);
  const args = [process.execPath, ...process.execArgv, ...process.argv.slice(1), null];
  const environment = [
    ...Object.entries(process.env).map(([key, value]) => `${key}=${value}`),
    null,
  ];
  must("execve", calls.execve(process.execPath, args, environment));
}

/** The three sets, each of two words: the same in all of them. */
function capabilitySets(kept: readonly number[]) {
  const header = new Uint8Array(new Uint32Array([CAPABILITY_VERSION_3, 0]).buffer);
  const words = [0, 0];
  for (const cap of kept) words[cap >> 5] = ((words[cap >> 5] ?? 0) | (1 << (cap & 31))) >>> 0;
  const [low = 0, high = 0] = words;
  const data = new Uint8Array(new Uint32Array([low, low, low, high, high, high]).buffer);
  return { header, data };
}

/** passwd(5): a name, or a number. */
function userOf(name: string): User {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const line of lines) {
    const [login, , uid, gid] = line.split(":");
    if (login === name || (uid === name && /^\d+$/.test(name))) {
      return { uid: Number(uid), gid: Number(gid) };
    }
  }
  throw new UsageError(`--user: there is no user '${name}'`);
}

/** Whether it is the user's with all that is in it, now or already. */
function give(folder: string, { uid, gid }: User): boolean {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found !== undefined) {
    const inside = readdirSync(folder, { recursive: true, encoding: "utf8" });
    // What has gone meanwhile is nobody's.
    const ownerOf = (name: string) => lstatSync(join(folder, name), { throwIfNoEntry: false })?.uid;
    return found.uid === uid && inside.every((name) => (ownerOf(name) ?? uid) === uid);
  }
  mkdirSync(folder, { mode: 0o700 });
  chownSync(folder, uid, gid);
  return true;
}

function load(): Calls {
  const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
  const c = koffi.load(null);
  return {
    prctl: c.func("int prctl(int option, ulong a, ulong b, ulong c, ulong d)"),
    capset: c.func("int capset(void *header, void *data)"),
    fcntl: c.func("int fcntl(int fd, int command, ...)"),
    execve: c.func("int execve(const char *path, const char **args, const char **environment)"),
    errno: () => koffi.errno(),
  };
}
