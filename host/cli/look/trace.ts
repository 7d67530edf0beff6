/** `crosszone trace`: what would become of a frame, and nothing is changed. */

import type { GivenParams, Result } from "../../control/protocol/methods.js";
import { Exit, print, UsageError } from "../command.js";
import { askingVerb } from "../connection.js";
import { PROTOCOL_WORDS, protocolOf } from "../conns/protocol.js";
import { command, type Values, wholeNumber } from "../definition.js";
import { type Paint, paintFor } from "../output.js";
import { plain } from "../plain.js";
import { tableText } from "../table.js";
import { explanation } from "./explanation.js";

type Traced = Result<"trace.run">;
type Step = Traced["steps"][number];

const OPTIONS = {
  device: { type: "string", value: "DEVICE", help: "by which it comes in" },
  zone: {
    type: "string",
    short: "w",
    value: "ZONE",
    help: "in which it comes in, where no device is named",
  },
  proto: {
    type: "string",
    short: "p",
    value: "PROTOCOL",
    words: PROTOCOL_WORDS,
    help: "tcp, udp, icmp, sctp or a number",
  },
  src: { type: "string", short: "s", value: "ADDRESS", help: "its source" },
  dst: { type: "string", short: "d", value: "ADDRESS", help: "its destination" },
  sport: { type: "string", value: "PORT", help: "its source port" },
  dport: { type: "string", value: "PORT", help: "its destination port" },
  flags: {
    type: "string",
    value: "FLAGS",
    help: "TCP's, with commas: fin, syn, rst, psh, ack, urg, ece, cwr; syn if nothing is said",
  },
  seq: { type: "string", value: "N", help: "TCP's sequence number" },
  ack: { type: "string", value: "N", help: "TCP's acknowledgement number" },
  type: { type: "string", value: "N", help: "ICMP's type; 8, echo, if nothing is said" },
  code: { type: "string", value: "N", help: "ICMP's code" },
  id: { type: "string", value: "N", help: "the identifier of an ICMP query" },
  ttl: { type: "string", value: "N", help: "its time to live; 64 if nothing is said" },
  df: { type: "boolean", help: "it may not be fragmented" },
  payload: { type: "string", value: "BYTES", help: "so many zeros behind the transport header" },
  mac: { type: "string", value: "MAC", help: "its sender's MAC" },
  frame: {
    type: "string",
    value: "HEX",
    help: "in place of all but --device: the frame as it stands on the wire, link header and tags included",
  },
  explain: { type: "boolean", help: "say what the verdict means and what to do: docs/counters.md" },
  json: { type: "boolean", help: "what trace.run answers, docs/protocol.md" },
} as const;

type TraceValues = Values<typeof OPTIONS>;
type TraceParams = GivenParams<"trace.run">;

/** Options that are handed on as they are. */
const WORDS = {
  device: "device",
  zone: "zone",
  src: "source",
  dst: "destination",
  mac: "mac",
  frame: "frame",
} as const satisfies Partial<Record<keyof TraceValues, keyof TraceParams>>;

/** And those that are numbers, with the most that each may be. */
const NUMBERS = {
  sport: ["sourcePort", 65535],
  dport: ["destinationPort", 65535],
  seq: ["sequence", 2 ** 32 - 1],
  ack: ["acknowledgement", 2 ** 32 - 1],
  type: ["icmpType", 255],
  code: ["icmpCode", 255],
  id: ["identifier", 65535],
  ttl: ["ttl", 255],
  payload: ["payloadBytes", 65535],
} as const satisfies Partial<Record<keyof TraceValues, readonly [keyof TraceParams, number]>>;

export const trace = command(
  "Look",
  askingVerb({
    name: "trace",
    summary: "say what would become of a frame, step by step",
    text:
      "Has the router say every step that a frame would take, how it would end, and what would leave. Nothing is changed, " +
      "sent or counted. The frame is made of fields, or given as it stands on the wire.",
    options: OPTIONS,
    usage: [
      "(-w ZONE|--device DEVICE) -p PROTOCOL -s ADDRESS -d ADDRESS [--sport PORT] [...]",
      "--device DEVICE --frame HEX",
    ],
    parameters: parameterNames(),
    examples: [
      "trace -w a -p udp -s 192.168.0.10 -d 8.8.8.8 --sport 4562 --dport 53",
      "trace --device wan -p tcp -s 198.51.100.1 -d 203.0.113.7 --sport 99 --dport 8080 --explain",
    ],

    check({ values }) {
      paramsOf(values);
    },

    async ask({ client, values }) {
      const traced = await client.call("trace.run", paramsOf(values));
      const paint = paintFor(process.stdout);
      print(values.json ? JSON.stringify(traced) : traceText(traced, values.explain, paint));
      return Exit.Ok;
    },
  }),
);

function parameterNames(): Record<string, string> {
  const words = Object.entries(WORDS).map(([option, key]) => [key, `--${option}`]);
  const numbers = Object.entries(NUMBERS).map(([option, [key]]) => [key, `--${option}`]);
  return {
    ...Object.fromEntries([...words, ...numbers]),
    protocol: "--proto",
    tcpFlags: "--flags",
  };
}

function paramsOf(values: TraceValues): TraceParams {
  const params: Record<string, unknown> = {};
  for (const [option, key] of Object.entries(WORDS)) {
    const value = values[option as keyof typeof WORDS];
    if (value !== undefined) params[key] = value;
  }
  if (values.proto !== undefined) params.protocol = protocolOf(values.proto);
  for (const [option, [key, most]] of Object.entries(NUMBERS)) {
    const value = values[option as keyof typeof NUMBERS];
    if (value !== undefined) params[key] = wholeNumber(`--${option}`, value, 0, most);
  }
  if (values.df) params.dontFragment = true;
  const flags =
    values.flags ?? (params.protocol === "tcp" || params.protocol === "6" ? "syn" : undefined);
  if (flags !== undefined) params.tcpFlags = flags.split(",").filter((flag) => flag !== "");
  if (values.device === undefined && values.zone === undefined) {
    throw new UsageError("--device or --zone is missing: where does it come in?");
  }
  return params as TraceParams;
}

export function traceText(traced: Traced, explains: boolean, paint: Paint): string {
  const { verdict, steps, frames, moreSteps, moreFrames } = traced;
  const workers = new Set([...steps, ...frames].map(({ worker }) => worker));
  const rows = steps.map((step) => [nameOf(step, workers.size > 1), step.verdict, step.text]);
  const left = frames.map(({ device, hex }) => `leaves by ${plain(device ?? "?")}: ${hex}`);
  return [
    tableText(["STEP", "VERDICT", "WHAT"], rows),
    ...(moreSteps > 0 ? [`… and ${moreSteps} more steps`] : []),
    ...(left.length > 0 ? left : ["nothing leaves"]),
    ...(moreFrames > 0 ? [`… and ${moreFrames} more frames`] : []),
    paint("bold", `verdict: ${verdict}`),
    ...(explains ? explanation(verdict) : []),
  ].join("\n");
}

function nameOf({ step, worker, aside }: Step, showsWorker: boolean): string {
  return `${aside ? "(" : ""}${step}${aside ? ")" : ""}${showsWorker ? ` @${worker}` : ""}`;
}
