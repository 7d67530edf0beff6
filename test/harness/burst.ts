/** Datagrams from many hosts, out of a namespace's `eth0` to the MAC 02:00:00:00:00:01. */

import type { Child } from "../../host/demo/child.js";
import type { Namespace } from "../../host/demo/lab.js";

const program = (numbers: string, hosts: number, pause: string) => `
import itertools, socket, struct, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
begin = time.time()
for n in ${numbers}:
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, struct.pack("!I", 0x0A000100 + n % ${hosts}), bytes([8, 8, 8, 8]))
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xFFFF) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + ip[12:]
    wire.send(bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0]) + ip + struct.pack("!HHHH", 1000, 53, 8, 0))
    ${pause}
`;

/** One of each of so many hosts, 10.0.1.0 and those that follow, all within a moment. */
export async function burst(from: Namespace, hosts: number): Promise<void> {
  await from.must("python3", [
    "-c",
    program(`range(${hosts})`, hosts, "if n % 64 == 0: time.sleep(0.001)"),
  ]);
}

/** One of each, so many a second. */
export async function stream(from: Namespace, hosts: number, rate: number): Promise<void> {
  const pause = `while time.time() - begin < n / ${rate}: time.sleep(0.0003)`;
  await from.must("python3", ["-c", program(`range(${hosts})`, hosts, pause)]);
}

/** One of each, so many a second, and again, until it is killed or the namespace is gone. */
export function flood(from: Namespace, hosts: number, rate: number): Child {
  return from.spawn("python3", [
    "-c",
    program("itertools.count()", hosts, `time.sleep(1 / ${rate})`),
  ]);
}
