/** Names of protocols: the router's, and those of conntrack for protocols that the router calls by their number. */

import { PROTOCOLS } from "../../telemetry/filtershape.js";

/** libnetfilter_conntrack, l4proto2str. */
const NAMES: Readonly<Record<number, string>> = { 33: "dccp", 47: "gre", 136: "udplite" };

/** For completion. */
export const PROTOCOL_WORDS: readonly string[] = [...PROTOCOLS.keys(), "gre"];

/** `udp      17`, as conns and events have it. */
export function protocolColumn(protocol: string): string {
  const number = numberOf(protocol);
  const name = PROTOCOLS.has(protocol) ? protocol : (NAMES[number] ?? "unknown");
  return `${name.padEnd(8)} ${number}`;
}

/** NaN for what is no protocol. */
export function numberOf(protocol: string): number {
  return PROTOCOLS.get(protocol) ?? (/^[0-9]{1,3}$/.test(protocol) ? Number(protocol) : Number.NaN);
}

/** As the router takes it: `TCP`, `gre` → `tcp`, `47`. What is no protocol stays as it is, for the router to refuse. */
export function protocolOf(text: string): string {
  const name = text.toLowerCase();
  const number = Object.keys(NAMES).find((each) => NAMES[Number(each)] === name);
  return number ?? (PROTOCOLS.has(name) ? name : text);
}
