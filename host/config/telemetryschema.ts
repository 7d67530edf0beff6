/** The section `telemetry`: where events go. What its parts make of each other is checked by telemetry.ts. */

import * as v from "valibot";
import { array, oneOf, port, text, whole } from "./shapes.js";

export const EVENT_CLASSES = ["sessions", "mappings", "blocks", "alarms"] as const;

/** RFC 6888 REQ-12: destinations, which sessions have, are not logged by default. */
export const EVENTS: ("blocks" | "alarms")[] = ["blocks", "alarms"];

export const QUEUE = 10_000;

const MTU = 1500;
/** RFC 7011 section 10.3.3: 512 bytes where nothing is known of the way. */
const MTU_MIN = 576;
const MTU_MAX = 9216;

export const IPFIX_PORT = 4739;
export const SYSLOG_PORT = 514;
export const LOCAL_SYSLOG = "/dev/log";

const WORD_MAX = 2 ** 32 - 1;

const FACILITY_WORDS = [
  ...["user", "daemon", "auth", "authpriv"],
  ...["local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"],
] as const;

export type SyslogFacility = (typeof FACILITY_WORDS)[number];

function events(description: string) {
  return v.pipe(
    array(oneOf(EVENT_CLASSES, "Events of this class."), "classes of events", description),
    v.minLength(1, "at least one class of events"),
  );
}

/** Fresh for each place, as valibot's export wants it. */
function common() {
  return {
    events: v.optional(events("What it takes. Default: telemetry.events.")),
    queue: v.optional(
      whole(
        "a number of events",
        16,
        1_000_000,
        "Events that may wait; more are lost, and counted.",
      ),
      QUEUE,
    ),
    rate: v.optional(
      whole("events a second", 1, 1_000_000, "It is sent no more. Default: as fast as it goes."),
    ),
  };
}

const server = () =>
  v.optional(text("an IPv4 or IPv6 address", "Of the collector: an address, no name."));

const mtu = () =>
  v.optional(
    whole("an MTU", MTU_MIN, MTU_MAX, "Longest IP packet to the collector, bytes; for UDP."),
    MTU,
  );

export const LogSchema = v.variant(
  "to",
  [
    v.strictObject(
      {
        to: v.pipe(v.literal("file"), v.description("A file of JSON lines.")),
        path: text("an absolute path", "Of the file; a reload opens it anew."),
        ...common(),
      },
      "an object that describes a log",
    ),
    v.strictObject(
      {
        to: v.pipe(v.literal("syslog"), v.description("A syslog daemon, RFC 5424.")),
        transport: v.optional(
          oneOf(
            ["local", "udp", "tcp"],
            "A socket of this machine, RFC 5426 or RFC 6587. Default: udp with a server, else local.",
          ),
        ),
        server: server(),
        port: v.optional(port("Its port. Default: 514.")),
        path: v.optional(text("an absolute path", "Of the local socket. Default: /dev/log.")),
        facility: v.optional(oneOf(FACILITY_WORDS, "Of the messages."), "local0"),
        hostname: v.optional(text("a host name", "Ours, in messages. Default: the machine's.")),
        mtu: mtu(),
        ...common(),
      },
      "an object that describes a log",
    ),
    v.strictObject(
      {
        to: v.pipe(v.literal("ipfix"), v.description("An IPFIX collector, RFC 7011 and RFC 8158.")),
        transport: v.optional(oneOf(["udp", "tcp"], "How it is reached."), "udp"),
        server: text("an IPv4 or IPv6 address", "Of the collector: an address, no name."),
        port: v.optional(port("Its port."), IPFIX_PORT),
        domain: v.optional(
          whole("a number", 0, WORD_MAX, "Observation domain ID, by which the collector knows us."),
          0,
        ),
        templateSeconds: v.optional(
          whole("seconds", 1, 86_400, "After which templates come again; for UDP."),
          60,
        ),
        mtu: mtu(),
        ...common(),
      },
      "an object that describes a log",
    ),
  ],
  'an object with "to": one of "file", "syslog", "ipfix"',
);

export const LOGS_MAX = 16;

export const TelemetrySchema = v.strictObject(
  {
    events: v.optional(events("What logs take that do not say."), EVENTS),
    log: v.optional(
      v.pipe(
        array(LogSchema, "logs", "Where events go."),
        v.maxLength(LOGS_MAX, `at most ${LOGS_MAX} logs`),
      ),
      [],
    ),
  },
  "an object with events and log",
);

export type TelemetryEntry = v.InferOutput<typeof TelemetrySchema>;
export type LogEntry = v.InferOutput<typeof LogSchema>;
