/**
 * A packet socket from nothing to its first frame: the calls of packet(7) in the order in which they must
 * come. The interface is bound last, so that nothing arrives before filter and rings are there.
 */
import { Limit } from "../../assembly/abi.js";
import type { Member } from "./fanout.js";
import { buildFilter, DROP_ALL } from "./filter.js";
import { addressOfView, check, Errno, errno, libc, SystemError } from "./libc.js";
import {
  ETHERTYPE_ALL,
  LinkAddressAt,
  Membership,
  MembershipAt,
  PacketOption,
  Socket,
  StatisticsAt,
  TPACKET_V2,
} from "./packet.js";
import { type Layout, ringRequest } from "./ring.js";

/** Frames that no slot holds wait in the receive queue: a whole TCP window of them must not overflow it. */
const RECEIVE_BUFFER_BYTES = 64 << 20;

/** What the kernel copies of a frame is charged to the socket until the card has sent it. */
export const SEND_BUFFER_BYTES = 16 << 20;

export interface SocketOptions {
  readonly macs: readonly Uint8Array[];
  /** Its place among the sockets of other workers, where what comes in is shared with them. */
  readonly member?: Member | undefined;
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
    attachFilter(fd, who, options.member ? DROP_ALL : buildFilter(options.macs));
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
  const { member, macs } = options;
  if (member === undefined) return;
  member.join(fd, who);
  attachFilter(fd, who, buildFilter(macs));
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
  const { AddMembership } = PacketOption;
  const unicast = macs.every(
    (mac) => member(fd, AddMembership, index, Membership.Unicast, mac) === 0,
  );
  if (!unicast) {
    const everything = member(fd, AddMembership, index, Membership.Promiscuous, new Uint8Array(6));
    check(everything, who, "PACKET_MR_PROMISC");
  }
  return unicast;
}

/** The socket no longer asks for these; one that it did not ask for is passed over. */
export function leaveMacs(fd: number, index: number, macs: readonly Uint8Array[]): void {
  for (const mac of macs) {
    member(fd, PacketOption.DropMembership, index, Membership.Unicast, mac);
  }
}

function member(
  fd: number,
  option: PacketOption,
  index: number,
  type: Membership,
  mac: Uint8Array,
): number {
  const request = new DataView(new ArrayBuffer(MembershipAt.Bytes));
  request.setInt32(MembershipAt.Index, index, true);
  request.setUint16(MembershipAt.Type, type, true);
  request.setUint16(MembershipAt.AddressBytes, mac.length, true);
  new Uint8Array(request.buffer).set(mac, MembershipAt.Address);
  const level = Socket.LevelPacket;
  return libc().setsockopt(fd, level, option, request, MembershipAt.Bytes);
}

/** Index of the interface that the socket is bound to; -1 when that is gone, be there one of its name and number again. */
export function boundTo(fd: number): number {
  const address = new DataView(new ArrayBuffer(LinkAddressAt.Bytes));
  const bytes = new Uint32Array([LinkAddressAt.Bytes]);
  if (libc().getsockname(fd, address, bytes) < 0) return -1;
  return address.getInt32(LinkAddressAt.Index, true);
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
export function setProgram(
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
