/**
 * The network of the live benchmark, the same for every candidate:
 *
 *     generator, tenant            candidate              sink, server
 *     192.168.0.2  eth0 ──── lan  192.168.0.1
 *                                 203.0.113.2  wan ──── eth0  203.0.113.1
 *                                 public 203.0.113.7          198.51.100.10
 *
 * The tenant is a router for 10.0.0.0/8, where its hosts are. All neighbors are static: ARP is not measured.
 */

/** The generator, and the receive work of the kernel that it causes. */
export const GENERATOR_CORE = 0;
/** The candidate. */
export const CANDIDATE_CORE = 1;

export const TENANT = "192.168.0.2";
export const GATEWAY = "192.168.0.1";
export const HOSTS = "10.0.0.0";
export const HOSTS_PREFIX = `${HOSTS}/8`;
export const UPLINK = "203.0.113.2";
export const PROVIDER = "203.0.113.1";
export const EXTERNAL = "203.0.113.7";
export const SERVER = "198.51.100.10";

/** Zones, where a candidate has zones. */
export const TENANT_ZONE = 10;
export const PUBLIC_ZONE = 20;

export const GENERATOR_MAC = "02:00:00:00:0a:02";
export const LAN_MAC = "02:00:5e:00:00:01";
export const WAN_MAC = "02:00:5e:00:00:02";
export const SINK_MAC = "02:00:00:00:14:01";

/** echo (RFC 862) and discard (RFC 863). */
export const ECHO_PORT = 7;
export const DISCARD_PORT = 9;
/** The port of conn 0; every conn has one of its own, so that each candidate may keep it. */
export const FIRST_PORT = 1024;
/** Conns behind one address of the tenant, as a power of two. */
export const CONNS_PER_HOST_BITS = 4;

/**
 * Before other processes of the machine, as the kernel's softirqs are anyway: else a candidate that is a process
 * would be held up by what the kernel's candidates are not.
 */
export const NICENESS = "-15";

/** Where sessions share the processor (autogroup, sched(7)), niceness counts only inside of one: the session's, too. */
const PREFERRED = `
echo ${NICENESS} 2> /dev/null > /proc/self/autogroup
exec nice -n ${NICENESS} taskset -c "$0" "$@"`;

/** A command, for `spawn`, on one core. */
export function onCore(core: number, ...command: string[]): [string, string[]] {
  return ["sh", ["-c", PREFERRED, String(core), ...command]];
}

/** Numbers of helpers: linux/bpf.h. */
export enum Helper {
  MapLookup = 1,
  Ktime = 5,
  SkbStoreBytes = 9,
  Redirect = 23,
  SkbLoadBytes = 26,
  XdpAdjustTail = 65,
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

export function addressNumber(address: string): number {
  return address.split(".").reduce((number, byte) => number * 256 + Number(byte), 0);
}
