/** Why nothing can be listened on, with the address in front. */

export class ListenError extends Error {
  constructor(
    readonly address: string,
    why: string,
    /** The system's own word for it, as EADDRINUSE. */
    readonly code?: string,
  ) {
    super(`${address}: ${why}`);
    this.name = "ListenError";
  }
}

const WORDS: Readonly<Record<string, string>> = {
  EADDRINUSE: "somebody listens there already",
  EADDRNOTAVAIL: "no address of this machine",
  EACCES: "not permitted",
  EPERM: "not permitted",
  ENOENT: "the folder does not exist",
  ENOTDIR: "the folder does not exist",
  EROFS: "the file system is read-only",
};

/** What the system said, in our words. */
export function listenFailure(address: string, error: unknown): ListenError {
  if (error instanceof ListenError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const words = code === undefined ? undefined : WORDS[code];
  return new ListenError(address, words === undefined ? message : `${words} (${code})`, code);
}
