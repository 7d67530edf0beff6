/**
 * The phases of our conns and the words that conntrack and Open vSwitch have for them. Theirs are finer: several of their
 * words are one phase here.
 */

import { ConnPhase } from "../../../assembly/abi.js";
import { word } from "../../telemetry/words.js";
import { UsageError } from "../command.js";

const PHASES = Object.values(ConnPhase).filter((each) => typeof each !== "string");
const PHASE_WORDS = PHASES.map((phase) => word(ConnPhase[phase]));

interface Meaning {
  readonly phases: readonly ConnPhase[];
  /** A word of TCP alone. */
  readonly isTcp: boolean;
}

const tcp = (...phases: ConnPhase[]): Meaning => ({ phases, isTcp: true });
const any = (...phases: ConnPhase[]): Meaning => ({ phases, isTcp: false });

/** In capitals; what is given is compared without regard to case. */
const WORDS: ReadonlyMap<string, Meaning> = new Map([
  // ours
  ...PHASES.map((phase) => [word(ConnPhase[phase]).toUpperCase(), any(phase)] as const),
  // conntrack
  ["SYN_SENT", tcp(ConnPhase.New)],
  ["SYN_SENT2", tcp(ConnPhase.New)],
  ["SYN_RECV", tcp(ConnPhase.New)],
  ["FIN_WAIT", tcp(ConnPhase.FinOriginal, ConnPhase.FinReply)],
  ["CLOSE_WAIT", tcp(ConnPhase.FinOriginal, ConnPhase.FinReply)],
  ["LAST_ACK", tcp(ConnPhase.Closing)],
  ["TIME_WAIT", tcp(ConnPhase.Closing)],
  ["CLOSE", tcp(ConnPhase.Reset)],
  // Open vSwitch, where its words are others
  ["EST", any(ConnPhase.Established)],
  ["FIN_WAIT_1", tcp(ConnPhase.FinOriginal, ConnPhase.FinReply)],
  ["FIN_WAIT_2", tcp(ConnPhase.FinOriginal, ConnPhase.FinReply)],
  ["CLOSED", tcp(ConnPhase.Reset)],
]);

/** For the help and for completion. */
export const STATE_WORDS: readonly string[] = [
  ...PHASE_WORDS,
  ...[...WORDS.keys()].filter((word) => !PHASE_WORDS.includes(word.toLowerCase())),
];

/** What any of some words means. @throws UsageError */
export function readStates(words: readonly string[]): { phases: string[]; isTcp: boolean } {
  const phases = new Set<ConnPhase>();
  let isTcp = true;
  for (const given of words.flatMap((each) => each.split(","))) {
    const meaning = WORDS.get(given.toUpperCase());
    if (meaning === undefined) {
      const known = STATE_WORDS.join(", ");
      throw new UsageError(`--state: one of ${known} expected, found '${given}'`);
    }
    for (const phase of meaning.phases) phases.add(phase);
    isTcp = isTcp && meaning.isTcp;
  }
  return { phases: [...phases].map((phase) => word(ConnPhase[phase])), isTcp };
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
