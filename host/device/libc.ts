/**
 * The system calls that Node has no function for, through koffi: no addon to compile.
 *
 * A call costs about 0.3 µs on top of the kernel's own time, so it is made once per batch, never once per
 * frame. The library is loaded by the first call of `libc()`: a system without koffi or without Linux can
 * import this file and fails only where a device is really opened, or a state directory held. Works in worker
 * threads.
 *
 * Constants are those of asm-generic, shared by every Linux that Node runs on (x86-64, arm64, riscv64).
 */
import { createRequire } from "node:module";
import { getSystemErrorMap } from "node:util";

/** Pointers are numbers (an address) or the array they point into; a negative result is a failure. */
export interface Libc {
  socket(family: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, name: number, value: Pointer, bytes: number): number;
  getsockopt(fd: number, level: number, name: number, value: Pointer, bytes: Pointer): number;
  bind(fd: number, address: Pointer, bytes: number): number;
  listen(fd: number, backlog: number): number;
  connect(fd: number, address: Pointer, bytes: number): number;
  getsockname(fd: number, address: Pointer, bytes: Pointer): number;
  sendto(
    fd: number,
    buffer: Pointer | null,
    bytes: number,
    flags: number,
    address: Pointer | null,
    addressBytes: number,
  ): number;
  recv(fd: number, buffer: Pointer, bytes: number, flags: number): number;
  ioctl(fd: number, request: number, argument: Pointer): number;
  /** The address, or -1. */
  mmap(
    at: number,
    bytes: number,
    protection: number,
    flags: number,
    fd: number,
    from: number,
  ): number;
  poll(fds: Pointer, count: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  read(fd: number, buffer: Pointer, bytes: number): number;
  write(fd: number, buffer: Pointer, bytes: number): number;
  close(fd: number): number;
  flock(fd: number, operation: number): number;
  /** bpf(2), which the C library has no function for. */
  bpf(command: number, attribute: Pointer, bytes: number): number;
}

export type Pointer = number | NodeJS.ArrayBufferView;

/** asm-generic/mman-common.h */
export enum Protection {
  Read = 1,
  Write = 2,
}

/** asm-generic/mman-common.h, linux/mman.h */
export enum MapFlag {
  Shared = 0x01,
  Private = 0x02,
  Fixed = 0x10,
  Anonymous = 0x20,
}

/** asm-generic/errno-base.h, asm-generic/errno.h */
export enum Errno {
  Perm = 1,
  Intr = 4,
  Again = 11,
  Busy = 16,
  Nodev = 19,
  AddressInUse = 98,
  Netdown = 100,
  Nobufs = 105,
}

/** A system call that failed. The message names who, which call and why. */
export class SystemError extends Error {
  constructor(
    who: string,
    call: string,
    readonly errno: number,
  ) {
    super(`${who}: ${explain(call, errno)}`);
    this.name = "SystemError";
  }
}

function explain(call: string, errno: number): string {
  if (errno === Errno.Nodev) return `no such interface (${call})`;
  if (errno === Errno.Perm) {
    const needed = call.startsWith("bpf(") ? "CAP_BPF and CAP_NET_ADMIN" : "CAP_NET_RAW";
    return `${call} needs ${needed} (run as root)`;
  }
  if (errno === Errno.Nobufs && call.includes("XDP_UMEM_REG")) {
    return `${call} needs CAP_IPC_LOCK, or a higher limit of locked memory (ulimit -l)`;
  }
  const known = getSystemErrorMap().get(-errno);
  return known === undefined ? `${call}: errno ${errno}` : `${call}: ${known[1]} (${known[0]})`;
}

/** asm/unistd_64.h of x86-64; asm-generic/unistd.h of the others. */
const SYS_BPF = process.arch === "x64" ? 321 : 280;

type Syscall = (number: number, command: number, attribute: Pointer, bytes: number) => number;

function bpfOf(syscall: Syscall): Libc["bpf"] {
  return (command, attribute, bytes) => syscall(SYS_BPF, command, attribute, bytes);
}

interface Library {
  readonly calls: Libc;
  errno(): number;
  address(view: NodeJS.ArrayBufferView): number;
}

let library: Library | undefined;

function load(): Library {
  if (library !== undefined) return library;
  if (process.platform !== "linux") {
    throw new Error(`this needs Linux, not ${process.platform}`);
  }
  const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
  const c = koffi.load(null);
  library = {
    errno: () => koffi.errno(),
    address: (view) => Number(koffi.address(view)),
    calls: {
      socket: c.func("int socket(int family, int type, int protocol)"),
      setsockopt: c.func(
        "int setsockopt(int fd, int level, int name, void *value, uint32_t bytes)",
      ),
      getsockopt: c.func("int getsockopt(int fd, int level, int name, void *value, void *bytes)"),
      bind: c.func("int bind(int fd, void *address, uint32_t bytes)"),
      listen: c.func("int listen(int fd, int backlog)"),
      connect: c.func("int connect(int fd, void *address, uint32_t bytes)"),
      getsockname: c.func("int getsockname(int fd, void *address, void *bytes)"),
      sendto: c.func(
        "intptr_t sendto(int fd, void *buffer, size_t bytes, int flags, void *address, uint32_t size)",
      ),
      recv: c.func("intptr_t recv(int fd, void *buffer, size_t bytes, int flags)"),
      ioctl: c.func("int ioctl(int fd, unsigned long request, void *argument)"),
      mmap: c.func(
        "intptr_t mmap(intptr_t at, size_t bytes, int protection, int flags, int fd, long from)",
      ),
      poll: c.func("int poll(void *fds, unsigned long count, int timeoutMs)"),
      eventfd: c.func("int eventfd(unsigned int initial, int flags)"),
      read: c.func("intptr_t read(int fd, void *buffer, size_t bytes)"),
      write: c.func("intptr_t write(int fd, void *buffer, size_t bytes)"),
      close: c.func("int close(int fd)"),
      flock: c.func("int flock(int fd, int operation)"),
      bpf: bpfOf(c.func("long syscall(long number, int command, void *attribute, uint32_t bytes)")),
    },
  };
  return library;
}

export function libc(): Libc {
  return load().calls;
}

/** The error number of the call before. */
export function errno(): number {
  return load().errno();
}

/**
 * Passes the result of a system call on.
 * @throws SystemError when it is negative
 */
export function check(result: number, who: string, call: string): number {
  if (result < 0) throw new SystemError(who, call, errno());
  return result;
}

/** Where byte 0 of a linear memory stands in the process. Stays true because the memory is of a fixed size. */
export function addressOf(memory: WebAssembly.Memory): number {
  return load().address(new Uint8Array(memory.buffer));
}

/** The address of an array, valid as long as the caller keeps the array. */
export function addressOfView(view: NodeJS.ArrayBufferView): number {
  return load().address(view);
}

/** struct pollfd: int fd, short events, short revents; asm-generic/poll.h. */
const POLLFD_BYTES = 8;
const POLLIN = 1;

let pollfds = new DataView(new ArrayBuffer(64 * POLLFD_BYTES));

/**
 * Waits until one of the file descriptors can be read, has failed, or the time is over; a signal ends it
 * early. Returns how many are ready, 0 for none.
 */
export function poll(fds: readonly number[], timeoutMs: number): number {
  if (fds.length * POLLFD_BYTES > pollfds.byteLength) {
    pollfds = new DataView(new ArrayBuffer(fds.length * 2 * POLLFD_BYTES));
  }
  for (let i = 0; i < fds.length; i++) {
    pollfds.setInt32(i * POLLFD_BYTES, fds[i] ?? -1, true);
    pollfds.setInt32(i * POLLFD_BYTES + 4, POLLIN, true);
  }
  const ready = libc().poll(pollfds, fds.length, timeoutMs);
  if (ready < 0 && errno() !== Errno.Intr) throw new SystemError("loop", "poll", errno());
  return Math.max(0, ready);
}

/** Whether the last poll found something for the file descriptor at this place of its list. */
export function ready(place: number): boolean {
  return pollfds.getInt16(place * POLLFD_BYTES + 6, true) !== 0;
}

/** asm-generic/fcntl.h, linux/eventfd.h: EFD_NONBLOCK and EFD_CLOEXEC. */
const EVENTFD_FLAGS = 0o4000 | 0o2000000;

/** A file descriptor by which one thread ends another's poll. Both have one of these, with the same `fd`. */
export class WakeUp {
  private readonly word = new BigUint64Array(1);
  private isClosed = false;

  constructor(readonly fd: number) {}

  /** A new one. Who makes it closes it, when nobody polls any more. */
  static make(): WakeUp {
    return new WakeUp(check(libc().eventfd(0, EVENTFD_FLAGS), "loop", "eventfd"));
  }

  /** Makes it readable. Behind its end nothing: the number may be another file's by then. */
  signal(): void {
    if (this.isClosed) return;
    check(libc().write(this.fd, new BigUint64Array([1n]), 8), "loop", "write to the eventfd");
  }

  /** Makes it unreadable again. */
  drain(): void {
    libc().read(this.fd, this.word, 8);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    libc().close(this.fd);
  }
}
