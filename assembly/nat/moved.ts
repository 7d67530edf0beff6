/**
 * External ports that a restart with other workers, or other shares, has left with the worker of their host instead of the one
 * whose they would be (nat/external.ts): that one never gives them to anybody, the other has them for as long as the
 * process lives. All workers know the same ones, from before the first frame on.
 */

import { Exchange, Limit, MovedPortAt } from "../abi";
import { pairKey } from "../config/configuration";
import { arena, movedIndex, movedPorts } from "../memory";
import { NONE } from "../table/none";

/** In place of a worker: the port is whose it would be. */
const NOT_MOVED: u32 = 0xff;

/** A record of abi's MovedPortAt. */
@final
@unmanaged
export class MovedPort {
  address: u32;
  /** Number of the zone. */
  zone: u16;
  port: u16;
  private workers: u32;

  static at(i: u32): MovedPort {
    return changetype<MovedPort>(movedPorts + <usize>i * MovedPortAt.Bytes);
  }

  /** The worker of the bitmap's protocol, NONE where it is whose it would be. */
  worker(which: u32): u32 {
    return workerIn(this.workers, which);
  }
  get key(): u64 {
    return keyOf(this.zone, this.address, this.port);
  }
  /** False when it is known already, or too many are. */
  note(): bool {
    return movedIndex.put(this.key, this.workers);
  }
}

function workerIn(workers: u32, which: u32): u32 {
  const worker = (workers >> (which << 3)) & 0xff;
  return worker == NOT_MOVED ? NONE : worker;
}

function keyOf(zone: u32, address: u32, port: u32): u64 {
  return pairKey(address, (zone << 16) | port);
}

/** The worker that an external port has been left with, in the zone with this number; NONE where it is whose it would be. */
export function movedTo(zone: u32, address: u32, which: u32, port: u32): u32 {
  if (arena.movedPorts == 0) return NONE;
  const workers = movedIndex.get(keyOf(zone, address, port));
  return workers == NONE ? NONE : workerIn(workers, which);
}

/** Takes note of the `n`-th record at Exchange.Rows; its index, or NONE. */
export function notePort(n: u32): u32 {
  if (arena.workers == 1 || arena.movedPorts == Limit.MovedPorts) return NONE;
  const index = arena.movedPorts;
  const from = <usize>Exchange.Rows + <usize>n * MovedPortAt.Bytes;
  memory.copy(changetype<usize>(MovedPort.at(index)), from, MovedPortAt.Bytes);
  if (!MovedPort.at(index).note()) return NONE;
  arena.movedPorts++;
  return index;
}
