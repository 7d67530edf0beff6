/**
 * What the kernel says about an interface by its name: netdevice(7), linux/if.h, linux/ethtool.h.
 */
import { addressOfView, check, Errno, errno, libc, SystemError } from "./libc.js";
import { Socket } from "./packet.js";

/** linux/sockios.h */
enum Request {
  Mac = 0x8927,
  Flags = 0x8913,
  Mtu = 0x8921,
  Index = 0x8933,
  Ethtool = 0x8946,
}

/** struct ifreq: char name[16], then a union. */
enum IfreqAt {
  Value = 16,
  Bytes = 40,
}

/** IFNAMSIZ, the closing zero included. */
const NAME_BYTES = 16;

/** IFF_UP, IFF_RUNNING */
enum LinkFlag {
  Up = 0x1,
  Running = 0x40,
}

/** Commands of SIOCETHTOOL. */
enum Ethtool {
  DriverInfo = 0x03,
  GetFlags = 0x25,
  GetChannels = 0x3c,
}

/** ETH_FLAG_LRO */
const MERGES_RECEIVED = 1 << 15;

/** struct ethtool_drvinfo: text, with a closing zero. */
enum DriverInfoAt {
  Driver = 4,
  Bytes = 196,
}
const INFO_TEXT_BYTES = 32;

/** struct ethtool_channels: u32 command, four maxima, then what is in use. */
enum ChannelsAt {
  Receive = 5,
  Combined = 8,
  Words = 9,
}

/** Asks about one interface; it need not exist. */
export class Link {
  private readonly fd: number;
  private readonly request = Buffer.alloc(IfreqAt.Bytes);
  private readonly who: string;

  constructor(driver: string, name: string) {
    this.who = `${driver} ${name}`;
    if (name.length === 0 || Buffer.byteLength(name) >= NAME_BYTES) {
      throw new Error(`${this.who}: an interface's name has 1 to ${NAME_BYTES - 1} bytes`);
    }
    this.request.write(name, 0);
    this.fd = check(
      libc().socket(Socket.FamilyInet, Socket.Datagram | Socket.CloseOnExec, 0),
      this.who,
      "socket",
    );
  }

  /** The interface's index, 0 when there is none of this name. */
  index(): number {
    return this.ask(Request.Index, "SIOCGIFINDEX") ? this.request.readInt32LE(IfreqAt.Value) : 0;
  }

  /** Bytes of the longest IP packet, 0 when there is no such interface. */
  mtu(): number {
    return this.ask(Request.Mtu, "SIOCGIFMTU") ? this.request.readInt32LE(IfreqAt.Value) : 0;
  }

  /** The kernel's MAC, undefined when there is no such interface. */
  mac(): Uint8Array | undefined {
    if (!this.ask(Request.Mac, "SIOCGIFHWADDR")) return undefined;
    // struct sockaddr: u16 family, then the address.
    return new Uint8Array(this.request.subarray(IfreqAt.Value + 2, IfreqAt.Value + 8));
  }

  /** Switched on, whether or not it has a carrier. */
  isUp(): boolean {
    return this.has(LinkFlag.Up);
  }

  /** Switched on and with a carrier. */
  operational(): boolean {
    return this.has(LinkFlag.Up | LinkFlag.Running);
  }

  private has(flags: number): boolean {
    if (!this.ask(Request.Flags, "SIOCGIFFLAGS")) return false;
    return (this.request.readUInt16LE(IfreqAt.Value) & flags) === flags;
  }

  /** Whether the card merges received TCP segments (LRO), which loses what a router must forward. */
  mergesReceived(): boolean {
    return (this.flags() & MERGES_RECEIVED) !== 0;
  }

  /** Queues that it receives by, 1 where it does not say. */
  receiveQueues(): number {
    const channels = new Uint32Array(ChannelsAt.Words);
    channels[0] = Ethtool.GetChannels;
    if (!this.ethtool(channels)) return 1;
    return Math.max(1, (channels[ChannelsAt.Receive] ?? 0) + (channels[ChannelsAt.Combined] ?? 0));
  }

  /** The name of its driver, "" where it does not say. */
  driver(): string {
    const info = Buffer.alloc(DriverInfoAt.Bytes);
    info.writeUInt32LE(Ethtool.DriverInfo, 0);
    if (!this.ethtool(info)) return "";
    const text = info.subarray(DriverInfoAt.Driver, DriverInfoAt.Driver + INFO_TEXT_BYTES);
    return text.toString("latin1", 0, text.indexOf(0));
  }

  private flags(): number {
    const value = new Uint32Array([Ethtool.GetFlags, 0]);
    return this.ethtool(value) ? (value[1] ?? 0) : 0;
  }

  private ethtool(argument: NodeJS.ArrayBufferView): boolean {
    this.request.fill(0, IfreqAt.Value);
    this.request.writeBigUInt64LE(BigInt(addressOfView(argument)), IfreqAt.Value);
    return libc().ioctl(this.fd, Request.Ethtool, this.request) >= 0;
  }

  close(): void {
    libc().close(this.fd);
  }

  /** Leaves the answer in `request`; false when there is no such interface. */
  private ask(request: Request, call: string): boolean {
    this.request.fill(0, IfreqAt.Value);
    if (libc().ioctl(this.fd, request, this.request) >= 0) return true;
    if (errno() === Errno.Nodev) return false;
    throw new SystemError(this.who, call, errno());
  }
}
