/** The grammar of `conntrack -L -o extended`: what reads both its lines and ours. */

export interface TrackedLine {
  readonly protocol: string;
  readonly number: number;
  readonly seconds: number;
  /** TCP's and SCTP's. */
  readonly state: string | undefined;
  /** `src=`, `dst=`, `sport=` and so on of the two directions. */
  readonly original: Readonly<Record<string, string>>;
  readonly reply: Readonly<Record<string, string>>;
  readonly flags: readonly string[];
  /** `mark=`, `use=`, `id=`. */
  readonly rest: Readonly<Record<string, string>>;
}

const TUPLE = "src=\\S+ dst=\\S+(?: (?:sport|dport|type|code|id|srckey|dstkey)=\\S+)*";
const LINE = new RegExp(
  "^ipv4 {5}2 (\\w+) +(\\d+) (\\d+) (?:([A-Z_0-9]+) )?" +
    `(${TUPLE}(?: zone-orig=\\d+)? packets=\\d+ bytes=\\d+) (?:(\\[UNREPLIED\\]) )?` +
    `(${TUPLE}(?: zone-reply=\\d+)? packets=\\d+ bytes=\\d+)` +
    "(?: (\\[ASSURED\\]))?((?: (?:mark|use|id)=\\S+)*)$",
);

/** Undefined where a line is none of conntrack's. */
export function readTracked(line: string): TrackedLine | undefined {
  const found = LINE.exec(line);
  if (found === null) return undefined;
  const [, protocol = "", number, seconds, state, original, unreplied, reply, assured, rest] =
    found;
  return {
    protocol,
    number: Number(number),
    seconds: Number(seconds),
    state,
    original: fieldsOf(original),
    reply: fieldsOf(reply),
    flags: [unreplied, assured].filter((flag) => flag !== undefined),
    rest: fieldsOf(rest),
  };
}

function fieldsOf(text = ""): Record<string, string> {
  const words = text.split(" ").filter((word) => word !== "");
  return Object.fromEntries(words.map((word) => word.split("=") as [string, string]));
}
