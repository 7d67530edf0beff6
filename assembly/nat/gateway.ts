/**
 * Application gateways (RFC 4787 REQ-10, RFC 5382 REQ-6): FTP and TFTP, each off unless the configuration says
 * otherwise. Whether a conn is a gateway's is decided when it begins; all others cost one comparison.
 *
 * Conn.gateway is None.Short, Tftp, or for FTP the index of a Shift, and before it has one Ftp and two bits.
 */

import { Limit, None, Policy } from "../abi";
import { active } from "../config/configuration";
import { shiftSlab } from "../memory";
import { Packet } from "../packet";
import { IpProtocol } from "../wire/ipv4";
import { Conn, ConnFlag } from "./conn";
import { endExpectationsOf } from "./expectation";
import { BOTH_LINES, FTP_PORT, followFtp, noteFtp } from "./ftp";
import { hasShift, Shift, shiftSequence, unshiftAcknowledgment } from "./shift";
import { followTftp, TFTP_PORT } from "./tftp";

export enum Gateway {
  /** And which directions are at the beginning of a line (nat/ftp.ts). */
  Ftp = 0xfff0,
  Tftp = 0xfffe,
}
if (Limit.ShiftedConns > Gateway.Ftp) ERROR("an index of a Shift is no Gateway");

/** What a conn that is about to begin has as its gateway. */
export function gatewayFor(conn: Conn): u16 {
  const policy = active.policy & (Policy.FtpGateway | Policy.TftpGateway);
  if (policy == 0 || conn.has(ConnFlag.Inward)) return <u16>None.Short;
  if (!conn.has(ConnFlag.Snat) && !conn.has(ConnFlag.Dnat)) return <u16>None.Short;
  const protocol = conn.original.protocol;
  const port = conn.original.destinationPort;
  if (protocol == IpProtocol.Tcp && (policy & Policy.FtpGateway) != 0) {
    const isControl = port == FTP_PORT || conn.reply.sourcePort == FTP_PORT;
    return isControl ? <u16>(<u32>Gateway.Ftp | BOTH_LINES) : <u16>None.Short;
  }
  const isTftp = protocol == IpProtocol.Udp && port == TFTP_PORT;
  return isTftp && (policy & Policy.TftpGateway) != 0 ? <u16>Gateway.Tftp : <u16>None.Short;
}

/** Before a packet is judged: numbers that its sender knows shifted become those that its peer has sent. */
export function prepareGateway(conn: Conn, packet: Packet): void {
  if (conn.gateway == Gateway.Tftp) return;
  if (hasShift(conn)) unshiftAcknowledgment(Shift.at(conn.gateway), packet);
  noteFtp(packet);
}

/** Before a packet that has been judged is translated: what it announces, and the numbers that it is to have. */
export function serveGateway(conn: Conn, packet: Packet, mtu: u32): void {
  if (conn.gateway == Gateway.Tftp) {
    if ((active.policy & Policy.TftpGateway) != 0) followTftp(conn, packet);
    return;
  }
  followFtp(conn, packet, mtu);
  if (hasShift(conn)) shiftSequence(Shift.at(conn.gateway), packet);
}

/** Gives back what a conn that ends has of its gateway. */
export function leaveGateway(index: u32, conn: Conn): void {
  endExpectationsOf(index);
  if (hasShift(conn)) shiftSlab.give(conn.gateway);
  conn.gateway = <u16>None.Short;
}
