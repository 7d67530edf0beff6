/** A disk that is gone when the process ends: for a router that was not told where to keep its state. */

import { basename, dirname } from "node:path";
import type { Disk } from "./disk.js";

const MODE = 0o600;

export function volatileDisk(): Disk {
  const files = new Map<string, Uint8Array>();
  let writes = 0;
  const stamps = new Map<string, number>();
  const put = (path: string, bytes: Uint8Array) => {
    files.set(path, bytes);
    stamps.set(path, ++writes);
  };
  return {
    makeDirectory() {},
    lock: () => ({ release() {} }),
    list: (directory) =>
      [...files.keys()].filter((path) => dirname(path) === directory).map((path) => basename(path)),
    read(path, bytesMax) {
      const bytes = files.get(path);
      return bytes && { bytes: bytes.slice(0, bytesMax + 1), mode: MODE };
    },
    open(path) {
      const bytes = files.get(path);
      const read = (at: number, length: number) =>
        bytes?.slice(at, at + length) ?? new Uint8Array();
      return bytes && { bytes: bytes.length, read, close() {} };
    },
    stamp: (path) => stamps.get(path)?.toString(),
    create(path) {
      put(path, new Uint8Array());
      return {
        write: (bytes) => put(path, Buffer.concat([files.get(path) ?? new Uint8Array(), bytes])),
        rewrite(bytes) {
          put(path, Buffer.concat([bytes, (files.get(path) ?? bytes).subarray(bytes.length)]));
        },
        sync() {},
        close() {},
      };
    },
    rename(from, to) {
      const bytes = files.get(from);
      if (bytes === undefined) throw new Error(`${from}: no such file`);
      files.delete(from);
      stamps.delete(from);
      put(to, bytes);
    },
    syncDirectory() {},
    remove(path) {
      files.delete(path);
      stamps.delete(path);
    },
  };
}
