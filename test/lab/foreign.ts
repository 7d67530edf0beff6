/** Looks through what a tenant's interface saw for frames that were meant for another tenant. */
import { dissect, frames } from "./capture.js";
import { SERVER_ADDRESS, TENANT_ADDRESS } from "./topology.js";

const TCP = 6;
const SYN = 2;
const ACK = 16;

/** What every payload of the tenant is made of: no other tenant has it, in 16 bytes it stands whole. */
export function mark(number: number): string {
  return `t${String(number).padStart(3, "0")}:`;
}

const ANY_MARK = /t\d{3}:/g;
const MARKED_BYTES = 32;

/** Sequence numbers compare modulo 2^32 (RFC 9293 section 3.4). */
function within(value: number, from: number, bytes: number): boolean {
  return (value - from) >>> 0 <= bytes;
}

/**
 * What does not belong, in words. A frame with a payload must hold the tenant's own marks and no other;
 * a TCP segment, with or without, must fit the sequence numbers of the tenant's own connection, of
 * which `bytes` went each way.
 */
export function foreign(file: Buffer, number: number, bytes: number): string[] {
  const found: string[] = [];
  let own: number | undefined;
  let server: number | undefined;
  let seen = 0;
  for (const frame of frames(file)) {
    seen++;
    const packet = dissect(frame);
    if (packet === undefined) continue;
    const { protocol, source, destination, header, payload } = packet;
    const where = `tenant ${number}, frame ${seen}`;
    const ends = [source, destination].sort().join();
    if (ends !== [TENANT_ADDRESS, SERVER_ADDRESS].sort().join()) {
      found.push(`${where}: ${source} → ${destination}`);
    }
    const marks = payload.toString("latin1").match(ANY_MARK) ?? [];
    if (marks.some((each) => each !== mark(number))) found.push(`${where}: bytes of ${marks[0]}`);
    if (marks.length === 0 && payload.length >= MARKED_BYTES) found.push(`${where}: no mark`);
    if (protocol !== TCP) continue;
    const sequence = header.readUInt32BE(4);
    const acknowledged = header.readUInt32BE(8);
    const flags = header[13] ?? 0;
    const syn = (flags & SYN) !== 0;
    const outward = source === TENANT_ADDRESS;
    if (syn && outward) own = sequence;
    if (syn && !outward) server = sequence;
    const [mine, other] = outward ? [own, server] : [server, own];
    // SYN, FIN and the line in front of the answer take numbers, too.
    const slack = bytes + 64;
    if (mine === undefined || !within(sequence, mine, slack))
      found.push(`${where}: foreign sequence`);
    // A SYN, and a RST to something unexpected, acknowledge nothing.
    if ((flags & ACK) === 0) continue;
    if (other === undefined || !within(acknowledged, other, slack)) {
      found.push(`${where}: foreign acknowledgement`);
    }
  }
  if (seen === 0) found.push(`tenant ${number}: an empty capture`);
  return found;
}
