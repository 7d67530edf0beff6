/**
 * Switches an offload of interfaces, inside their namespace, and ends: linux/ethtool.h, linux/sockios.h
 *
 *     node offload.js gro INTERFACE…        generic receive offload on; a veth interface has it off, and NAPI with it
 *     node offload.js checksum INTERFACE…   senders complete their checksums themselves
 */

import { addressOfView, check, libc } from "../../../host/device/libc.js";
import { Socket } from "../../../host/device/packet.js";

const SIOCETHTOOL = 0x8946;

/** struct ethtool_value: u32 command, u32 data. ETHTOOL_SGRO and ETHTOOL_STXCSUM. */
const VALUES: Record<string, readonly [number, number]> = {
  gro: [0x2c, 1],
  checksum: [0x17, 0],
};

/** struct ifreq: char name[16], then a pointer to struct ethtool_value. */
const IFREQ_BYTES = 40;
const IFREQ_DATA_AT = 16;

function change(fd: number, name: string, what: readonly [number, number]): void {
  const value = new Uint32Array(what);
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write(name, 0);
  request.writeBigUInt64LE(BigInt(addressOfView(value)), IFREQ_DATA_AT);
  check(libc().ioctl(fd, SIOCETHTOOL, request), name, "ioctl(SIOCETHTOOL)");
}

const [, , offload = "", ...names] = process.argv;
const value = VALUES[offload];
if (value === undefined) throw new Error(`no offload is called ${offload}`);
const fd = check(libc().socket(Socket.FamilyInet, Socket.Datagram, 0), "offload", "socket");
for (const name of names) change(fd, name, value);
