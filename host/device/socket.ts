/**
 * A packet socket from nothing to its first frame: the calls of packet(7) in the order in which they must
 * come. The interface is bound last, so that nothing arrives before filter and rings are there.
 */
import { Limit } from "../../assembly/abi.js";
import { buildFilter, DROP_ALL } from "./filter.js";
import { addressOfView, check, Errno, errno, libc, SystemError } from "./libc.js";
import {
  ETHERTYPE_ALL,
  Fanout,
  LinkAddressAt,
  Membership,
  MembershipAt,
  PacketOption,
  Socket,
  StatisticsAt,
  TPACKET_V2,
} from "./packet.js";
import { type Layout, ringRequest } from "./ring.js";
import { buildSteering, type Steering } from "./steering.js";

/** Frames that no slot holds wait in the receive queue: a whole TCP window of them must not overflow it. */
const RECEIVE_BUFFER_BYTES = 64 << 20;

/** What the kernel copies of a frame is charged to the socket until the card has sent it. */
export const SEND_BUFFER_BYTES = 16 << 20;

export interface SocketOptions {
  readonly macs: readonly Uint8Array[];
  /** The sockets of other workers that what comes in is shared with. */
  readonly steering?: Steering | undefined;
}

/**
 * Opens the socket with its rings, not yet mapped and not yet bound.
 * @throws SystemError without the permission
 */
export function openSocket(who: string, layout: Layout, options: SocketOptions): number {
  // Protocol 0: receives nothing until it is bound.
  const type = Socket.Raw | Socket.CloseOnExec | Socket.NonBlock;
  const fd = check(libc().socket(Socket.FamilyPacket, type, 0), who, "socket(AF_PACKET)");
  try {
    const { slotBytes, receiveSlots, transmitSlots } = layout;
    const set = (option: PacketOption, value: number | Uint32Array, call: string): void =>
      setOption(fd, who, Socket.LevelPacket, option, value, `setsockopt(${call})`);

    set(PacketOption.Version, TPACKET_V2, "PACKET_VERSION");
    set(PacketOption.Reserve, Limit.Headroom, "PACKET_RESERVE");
    set(PacketOption.VnetHeader, 1, "PACKET_VNET_HDR");
    set(PacketOption.CopyThreshold, 1, "PACKET_COPY_THRESH");
    set(PacketOption.Loss, 1, "PACKET_LOSS");
    set(PacketOption.IgnoreOutgoing, 1, "PACKET_IGNORE_OUTGOING");
    raiseBuffer(fd, who, Socket.ReceiveBufferForce, RECEIVE_BUFFER_BYTES, "SO_RCVBUFFORCE");
    raiseBuffer(fd, who, Socket.SendBufferForce, SEND_BUFFER_BYTES, "SO_SNDBUFFORCE");
    // A member of a group receives nothing before it has joined: it would come to two of them.
    attachFilter(fd, who, options.steering ? DROP_ALL : buildFilter(options.macs));
    set(PacketOption.ReceiveRing, ringRequest(slotBytes, receiveSlots), "PACKET_RX_RING");
    set(PacketOption.TransmitRing, ringRequest(slotBytes, transmitSlots), "PACKET_TX_RING");
    return fd;
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

/** Binds to the interface; frames arrive from here on. */
export function startReceiving(
  fd: number,
  who: string,
  index: number,
  options: SocketOptions,
): void {
  const address = new DataView(new ArrayBuffer(LinkAddressAt.Bytes));
  address.setUint16(LinkAddressAt.Family, Socket.FamilyPacket, true);
  address.setUint16(LinkAddressAt.Protocol, ETHERTYPE_ALL, true);
  address.setInt32(LinkAddressAt.Index, index, true);
  check(libc().bind(fd, address, LinkAddressAt.Bytes), who, "bind");
  const { steering, macs } = options;
  if (steering === undefined) return;
  const kind = Fanout.ClassicBpf | Fanout.IgnoreOutgoing;
  const argument = steering.group | (kind << 16);
  const level = Socket.LevelPacket;
  setOption(fd, who, level, PacketOption.Fanout, argument >>> 0, "setsockopt(PACKET_FANOUT)");
  steer(fd, who, steering);
  attachFilter(fd, who, buildFilter(macs));
}

/** Says which member of its group gets what. */
export function steer(fd: number, who: string, steering: Steering): void {
  const level = Socket.LevelPacket;
  setProgram(
    fd,
    who,
    level,
    PacketOption.FanoutData,
    buildSteering(steering),
    "PACKET_FANOUT_DATA",
  );
}

/**
 * Makes the interface receive for these MACs beside its own, until the socket is closed.
 * False when it cannot, and was made promiscuous instead.
 */
export function joinMacs(
  fd: number,
  who: string,
  index: number,
  macs: readonly Uint8Array[],
): boolean {
  const unicast = macs.every((mac) => join(fd, index, Membership.Unicast, mac) === 0);
  if (!unicast) {
    check(join(fd, index, Membership.Promiscuous, new Uint8Array(6)), who, "PACKET_MR_PROMISC");
  }
  return unicast;
}

function join(fd: number, index: number, type: Membership, mac: Uint8Array): number {
  const request = new DataView(new ArrayBuffer(MembershipAt.Bytes));
  request.setInt32(MembershipAt.Index, index, true);
  request.setUint16(MembershipAt.Type, type, true);
  request.setUint16(MembershipAt.AddressBytes, mac.length, true);
  new Uint8Array(request.buffer).set(mac, MembershipAt.Address);
  const level = Socket.LevelPacket;
  return libc().setsockopt(fd, level, PacketOption.AddMembership, request, MembershipAt.Bytes);
}

/** Frames that did not find a free slot since the last call. */
export function readDrops(fd: number, who: string): number {
  const statistics = new Uint32Array(StatisticsAt.Bytes / 4);
  const bytes = new Uint32Array([StatisticsAt.Bytes]);
  const level = Socket.LevelPacket;
  check(
    libc().getsockopt(fd, level, PacketOption.Statistics, statistics, bytes),
    who,
    "getsockopt(PACKET_STATISTICS)",
  );
  return statistics[StatisticsAt.Drops / 4] ?? 0;
}

const socketError = new Int32Array(1);
const socketErrorBytes = new Uint32Array([4]);

/** Takes the error that the kernel keeps for the socket (the interface went down); it ends every poll. */
export function consumeError(fd: number): void {
  libc().getsockopt(fd, Socket.LevelSocket, Socket.Error, socketError, socketErrorBytes);
}

function setOption(
  fd: number,
  who: string,
  level: number,
  option: number,
  value: number | Uint8Array | Uint32Array,
  call: string,
): void {
  const array = typeof value === "number" ? new Uint32Array([value]) : value;
  check(libc().setsockopt(fd, level, option, array, array.byteLength), who, call);
}

/** Beyond the system's limit, which needs CAP_NET_ADMIN: without it the usual size must do. */
export function raiseBuffer(
  fd: number,
  who: string,
  option: Socket,
  bytes: number,
  call: string,
): void {
  const array = new Uint32Array([bytes]);
  if (libc().setsockopt(fd, Socket.LevelSocket, option, array, 4) >= 0) return;
  if (errno() !== Errno.Perm) throw new SystemError(who, `setsockopt(${call})`, errno());
}

export function attachFilter(fd: number, who: string, program: Uint8Array): void {
  const level = Socket.LevelSocket;
  setProgram(fd, who, level, Socket.AttachFilter, program, "SO_ATTACH_FILTER");
}

/** struct sock_fprog: u16 length, padding, pointer to the program. */
function setProgram(
  fd: number,
  who: string,
  level: number,
  option: number,
  program: Uint8Array,
  name: string,
): void {
  const handle = new DataView(new ArrayBuffer(16));
  handle.setUint16(0, program.length / 8, true);
  handle.setBigUint64(8, BigInt(addressOfView(program)), true);
  setOption(fd, who, level, option, new Uint8Array(handle.buffer), `setsockopt(${name})`);
}
