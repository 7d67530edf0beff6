/**
 * The phases of our conns and the words that conntrack and Open vSwitch have for them. Theirs are finer: several of their
 * words are one phase here.
 */

import { UsageError } from "../command.js";

export const PHASES = [
  "new",
  "established",
  "fin-original",
  "fin-reply",
  "closing",
  "reset",
] as const;
export type Phase = (typeof PHASES)[number];

interface Meaning {
  readonly phases: readonly Phase[];
  /** A word of TCP alone. */
  readonly isTcp: boolean;
}

const tcp = (...phases: Phase[]): Meaning => ({ phases, isTcp: true });
const any = (...phases: Phase[]): Meaning => ({ phases, isTcp: false });

/** In capitals; what is given is compared without regard to case. */
const WORDS: ReadonlyMap<string, Meaning> = new Map([
  // ours
  ...PHASES.map((phase) => [phase.toUpperCase(), any(phase)] as const),
  // conntrack
  ["SYN_SENT", tcp("new")],
  ["SYN_SENT2", tcp("new")],
  ["SYN_RECV", tcp("new")],
  ["FIN_WAIT", tcp("fin-original", "fin-reply")],
  ["CLOSE_WAIT", tcp("fin-original", "fin-reply")],
  ["LAST_ACK", tcp("closing")],
  ["TIME_WAIT", tcp("closing")],
  ["CLOSE", tcp("reset")],
  // Open vSwitch, where its words are others
  ["EST", any("established")],
  ["FIN_WAIT_1", tcp("fin-original", "fin-reply")],
  ["FIN_WAIT_2", tcp("fin-original", "fin-reply")],
  ["CLOSED", tcp("reset")],
]);

/** For the help and for completion. */
export const STATE_WORDS: readonly string[] = [
  ...PHASES,
  ...[...WORDS.keys()].filter((word) => !PHASES.some((phase) => phase.toUpperCase() === word)),
];

/** What any of some words means. @throws UsageError */
export function readStates(words: readonly string[]): Meaning {
  const phases = new Set<Phase>();
  let isTcp = true;
  for (const word of words.flatMap((each) => each.split(","))) {
    const meaning = WORDS.get(word.toUpperCase());
    if (meaning === undefined) {
      const known = STATE_WORDS.join(", ");
      throw new UsageError(`--state: one of ${known} expected, found '${word}'`);
    }
    for (const phase of meaning.phases) phases.add(phase);
    isTcp = isTcp && meaning.isTcp;
  }
  return { phases: [...phases], isTcp };
}

/** The state of a TCP conn as `conntrack -L` prints it. */
export function conntrackState(phase: string, hasReplied: boolean): string {
  switch (phase) {
    case "new":
      return hasReplied ? "SYN_RECV" : "SYN_SENT";
    case "established":
      return "ESTABLISHED";
    case "fin-original":
    case "fin-reply":
      return "FIN_WAIT";
    case "closing":
      return "TIME_WAIT";
    default:
      return "CLOSE";
  }
}

/** The same as `dpctl/dump-conntrack` prints it (lib/ct-dpif.h of Open vSwitch, ct_dpif_tcp_state). */
export function ovsState(phase: string, hasReplied: boolean): string {
  switch (phase) {
    case "new":
      return hasReplied ? "SYN_RECV" : "SYN_SENT";
    case "established":
      return "ESTABLISHED";
    case "fin-original":
    case "fin-reply":
      return "FIN_WAIT_1";
    default:
      return "TIME_WAIT";
  }
}
