/**
 * Ways to whoever collects events: a file, datagrams by UDP or to a local socket, a TCP connection. Each has one message
 * on its way at a time and never waits; what becomes of it is told by a call back.
 */

import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { close, constants, fstat, open, write } from "node:fs";
import { connect, isIPv6, type Socket as TcpSocket } from "node:net";
import { errno, libc, SystemError } from "../device/libc.js";
import { Socket } from "../device/packet.js";

/** @param wasBefore  the error is about the message before, which was taken for sent: it is lost */
export type Done = (error?: Error, wasBefore?: boolean) => void;

export interface Link {
  readonly name: string;
  /** Of the longest message that it takes. */
  readonly bytes: number;
  /** Milliseconds between two attempts, at most. */
  readonly retryMaxMs: number;
  readonly isOpen: boolean;
  open(done: Done): void;
  /** To be called when the message before is done. An error: it did not go, as far as that can be known. */
  send(message: Uint8Array, done: Done): void;
  close(): void;
  /** Set by whoever uses it: it broke, and what was sent last is known to be lost, or may have arrived. */
  onBreak: (error: Error, isLost: boolean) => void;
}

/** The message is too long for the way: the same one will never go. */
export function isTooLong(error: Error): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EMSGSIZE" || (error instanceof SystemError && error.errno === EMSGSIZE);
}

/** asm-generic/errno.h */
const EMSGSIZE = 90;

/** IP and UDP headers. */
const UDP_HEADERS = { v4: 28, v6: 48 } as const;

/** What a message that follows a failure waits for the next one. */
const PROBE_MS = 100;

export class UdpLink implements Link {
  readonly name: string;
  readonly bytes: number;
  readonly retryMaxMs = 5000;
  onBreak: Link["onBreak"] = () => {};
  private socket: UdpSocket | undefined;
  private isReady = false;
  /** The last attempt failed: success is believed when no error has come for a while. */
  private isUnsure = false;
  private waiting: Done | undefined;
  /** The kernel has taken the one that waits. */
  private isSent = false;

  constructor(
    private readonly server: string,
    private readonly port: number,
    mtu: number,
  ) {
    this.name = `${formatServer(server, port)}/udp`;
    this.bytes = mtu - (isIPv6(server) ? UDP_HEADERS.v6 : UDP_HEADERS.v4);
  }

  get isOpen(): boolean {
    return this.isReady;
  }

  /** Connected, so that the kernel tells of collectors that are not there. */
  open(done: Done): void {
    const socket = createSocket(isIPv6(this.server) ? "udp6" : "udp4");
    this.socket = socket;
    let begun: Done | undefined = done;
    socket.on("error", (error) => {
      if (begun !== undefined) {
        begun = undefined;
        this.close();
        done(error);
      } else this.hear(error);
    });
    socket.on("connect", () => {
      if (begun === undefined) return;
      begun = undefined;
      this.isReady = true;
      done();
    });
    socket.connect(this.port, this.server);
  }

  /** An error behind the message that is on its way, or behind the one before. */
  private hear(error: Error): void {
    this.isUnsure = true;
    if (this.waiting === undefined) this.onBreak(error, true);
    else this.finish(error, !this.isSent);
  }

  private finish(error?: Error, wasBefore = false): void {
    const done = this.waiting;
    this.waiting = undefined;
    this.isUnsure = error !== undefined;
    done?.(error, wasBefore);
  }

  send(message: Uint8Array, done: Done): void {
    this.waiting = done;
    this.isSent = false;
    this.socket?.send(message, (error) => {
      if (this.waiting !== done) return;
      this.isSent = true;
      // The kernel tells of an answer to the message before in place of sending this one (udp(7)).
      if (error) this.finish(error, !isTooLong(error));
      else if (!this.isUnsure) this.finish();
      else {
        setTimeout(() => {
          if (this.waiting === done) this.finish();
        }, PROBE_MS);
      }
    });
  }

  close(): void {
    this.isReady = false;
    this.waiting = undefined;
    this.socket?.removeAllListeners();
    this.socket?.on("error", () => {});
    this.socket?.close();
    this.socket = undefined;
  }
}

/** Bytes of one message: what a connection takes at once. */
const STREAM_BYTES = 16384;
const CONNECT_MS = 5000;
/** A collector that takes nothing for so long is given up. */
const STALL_MS = 30_000;

export class TcpLink implements Link {
  readonly name: string;
  readonly bytes = STREAM_BYTES;
  readonly retryMaxMs = 30_000;
  onBreak: Link["onBreak"] = () => {};
  private socket: TcpSocket | undefined;
  private isReady = false;
  private waiting: Done | undefined;

  constructor(
    private readonly server: string,
    private readonly port: number,
  ) {
    this.name = `${formatServer(server, port)}/tcp`;
  }

  get isOpen(): boolean {
    return this.isReady;
  }

  open(done: Done): void {
    const socket = connect({ host: this.server, port: this.port, noDelay: true, keepAlive: true });
    this.socket = socket;
    const timer = setTimeout(() => socket.destroy(new Error("connect: timed out")), CONNECT_MS);
    let reason: Error | undefined;
    // Whatever it says is of no interest, but has to be read.
    socket.resume();
    socket.on("connect", () => {
      clearTimeout(timer);
      this.isReady = true;
      done();
    });
    socket.on("error", (error) => {
      reason = error;
    });
    socket.on("close", () => {
      clearTimeout(timer);
      if (this.socket !== socket) return;
      const error = reason ?? new Error("the collector closed the connection");
      const wasReady = this.isReady;
      const { waiting } = this;
      this.close();
      if (!wasReady) done(error);
      else if (waiting === undefined) this.onBreak(error, false);
      else waiting(error);
    });
  }

  send(message: Uint8Array, done: Done): void {
    const { socket } = this;
    this.waiting = done;
    const timer = setTimeout(() => socket?.destroy(new Error("the collector stalls")), STALL_MS);
    socket?.write(message, (error) => {
      clearTimeout(timer);
      // A connection that breaks tells by its end.
      if (error || this.waiting !== done) return;
      this.waiting = undefined;
      done();
    });
  }

  close(): void {
    const { socket } = this;
    this.socket = undefined;
    this.isReady = false;
    this.waiting = undefined;
    // What was written is still sent.
    if (socket?.destroyed === false) socket.end();
  }
}

/** linux/socket.h */
const FAMILY_UNIX = 1;
/** RFC 5424 section 6.1: what receivers should take; the kernel's buffers hold far more. */
const LOCAL_BYTES = 8192;
const AGAIN_MS = 10;

/** Datagrams to a socket of the file system, which Node has no means for. */
export class LocalLink implements Link {
  readonly name: string;
  readonly bytes = LOCAL_BYTES;
  readonly retryMaxMs = 5000;
  onBreak: Link["onBreak"] = () => {};
  private fd = -1;
  private readonly address: Uint8Array;

  constructor(private readonly path: string) {
    this.name = path;
    // struct sockaddr_un: family in host order, path, a zero.
    this.address = Uint8Array.from([FAMILY_UNIX, 0, ...Buffer.from(path), 0]);
  }

  get isOpen(): boolean {
    return this.fd >= 0;
  }

  open(done: Done): void {
    const type = Socket.Datagram | Socket.NonBlock | Socket.CloseOnExec;
    try {
      this.fd = libc().socket(FAMILY_UNIX, type, 0);
    } catch (error) {
      done(error as Error);
      return;
    }
    if (this.fd < 0) done(new SystemError(this.path, "socket", errno()));
    else done();
  }

  send(message: Uint8Array, done: Done): void {
    if (this.fd < 0) return;
    const { address } = this;
    const sent = libc().sendto(this.fd, message, message.length, 0, address, address.length);
    if (sent >= 0) setImmediate(done);
    else if (errno() === AGAIN) setTimeout(() => this.send(message, done), AGAIN_MS);
    else {
      const error = new SystemError(this.path, "sendto", errno());
      setImmediate(() => done(error));
    }
  }

  close(): void {
    if (this.fd >= 0) libc().close(this.fd);
    this.fd = -1;
  }
}

/** asm-generic/errno-base.h */
const AGAIN = 11;

const FILE_BYTES = 65536;
/** Its owner writes, its group reads: who talked to whom is nobody else's business. */
const FILE_MODE = 0o640;

/** What would make opening wait (a pipe) must not: Node has four threads for all files. */
const { O_APPEND, O_CREAT, O_NOCTTY, O_NONBLOCK, O_WRONLY } = constants;
const FILE_FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK;

export class FileLink implements Link {
  readonly bytes = FILE_BYTES;
  readonly retryMaxMs = 5000;
  onBreak: Link["onBreak"] = () => {};
  private fd = -1;
  /** A line was begun and could not be finished. */
  private isTorn = false;

  constructor(readonly name: string) {}

  get isOpen(): boolean {
    return this.fd >= 0;
  }

  open(done: Done): void {
    open(this.name, FILE_FLAGS, FILE_MODE, (error, fd) => {
      if (error !== null) {
        // A pipe that nobody reads says so in its own way.
        done(error.code === "ENXIO" ? noFile(this.name) : error);
        return;
      }
      fstat(fd, (error, found) => {
        if (error === null && found.isFile()) {
          this.fd = fd;
          done();
          return;
        }
        close(fd, () => {});
        done(error ?? noFile(this.name));
      });
    });
  }

  send(message: Uint8Array, done: Done): void {
    const bytes = this.isTorn ? Buffer.concat([Buffer.from("\n"), message]) : message;
    this.isTorn = false;
    this.write(bytes, 0, done);
  }

  private write(bytes: Uint8Array, from: number, done: Done): void {
    write(this.fd, bytes, from, bytes.length - from, null, (error, written) => {
      if (error !== null) {
        this.isTorn = from > 0;
        done(error);
      } else if (from + written < bytes.length) this.write(bytes, from + written, done);
      else done();
    });
  }

  close(): void {
    if (this.fd >= 0) close(this.fd, () => {});
    this.fd = -1;
  }
}

function noFile(name: string): Error {
  return new Error(`${name} is no regular file`);
}

function formatServer(server: string, port: number): string {
  return isIPv6(server) ? `[${server}]:${port}` : `${server}:${port}`;
}
