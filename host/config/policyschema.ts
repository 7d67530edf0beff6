/** The shape of what holds for all conns, or for those of a zone: timeouts, TCP, ICMP, gateways. */

import * as v from "valibot";
import { Limit } from "../../assembly/abi.js";
import { array, flag, oneOf, portOrRange, whole } from "./shapes.js";

/** Twelve days, far from the wrap of the datapath's clock. */
const TIMEOUT_SECONDS_MAX = 1_000_000;
/** RFC 5382 REQ-4: "at least 6 seconds". */
const UNSOLICITED_SYN_SECONDS_MIN = 6;

function seconds(description: string, min = 1) {
  return whole("a number of seconds", min, TIMEOUT_SECONDS_MAX, description);
}

/** What a conn may be idle, by kind; the same words for everybody and for a zone. */
const IDLE = {
  udp: "Idle seconds. UDP.",
  tcpEstablished: "Idle seconds. TCP, once both sides have been heard.",
  tcpTransitory: "Idle seconds. TCP that opens or closes: tcpOpening and tcpClosing in one.",
  tcpOpening: "Idle seconds. TCP that opens. Default: tcpTransitory.",
  tcpClosing: "Idle seconds. TCP that closes. Default: tcpTransitory.",
  icmp: "Idle seconds. ICMP echo.",
  other: "Idle seconds. Protocols without ports.",
};

/** What a zone has instead of everybody's. */
export const ZoneTimeoutsSchema = v.strictObject(
  {
    udp: v.optional(seconds(IDLE.udp)),
    tcpEstablished: v.optional(seconds(IDLE.tcpEstablished)),
    tcpTransitory: v.optional(seconds(IDLE.tcpTransitory)),
    tcpOpening: v.optional(seconds(IDLE.tcpOpening)),
    tcpClosing: v.optional(seconds(IDLE.tcpClosing)),
    icmp: v.optional(seconds(IDLE.icmp)),
    other: v.optional(seconds(IDLE.other)),
  },
  "an object of timeouts",
);

export const PortTimeoutSchema = v.strictObject(
  {
    protocol: oneOf(["tcp", "udp"], "Protocol."),
    port: portOrRange('Destination port of the conn\'s first packet, or a range as "8000-8010".'),
    seconds: seconds("Idle seconds: instead of tcpEstablished, or of udp."),
  },
  "an object with protocol, port and seconds",
);

/** The defaults are those of RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 5508 REQ-2 and RFC 6888 REQ-8. */
export const TimeoutsSchema = v.strictObject(
  {
    udp: v.optional(seconds(IDLE.udp), 300),
    tcpEstablished: v.optional(seconds(IDLE.tcpEstablished), 7440),
    tcpTransitory: v.optional(seconds(IDLE.tcpTransitory), 240),
    tcpOpening: v.optional(seconds(IDLE.tcpOpening)),
    tcpClosing: v.optional(seconds(IDLE.tcpClosing)),
    icmp: v.optional(seconds(IDLE.icmp), 60),
    other: v.optional(seconds(IDLE.other), 600),
    holdDown: v.optional(seconds("Seconds that a freed external port rests.", 0), 120),
    fragment: v.optional(seconds("Seconds that fragments of a datagram may be apart."), 30),
    unsolicitedSyn: v.optional(
      seconds("Seconds that an unsolicited SYN waits for its answer.", UNSOLICITED_SYN_SECONDS_MIN),
      UNSOLICITED_SYN_SECONDS_MIN,
    ),
    ports: v.optional(
      v.pipe(
        array(PortTimeoutSchema, "timeouts by port", "Conns to well-known ports."),
        v.maxLength(Limit.PortTimeouts, `at most ${Limit.PortTimeouts} timeouts by port`),
      ),
      [],
    ),
  },
  "an object of timeouts",
);

export const TcpSchema = v.strictObject(
  {
    window: v.optional(
      oneOf(
        ["strict", "liberal"],
        "Whether segments outside of the window are dropped (RFC 5961; RFC 7857 section 2.2).",
      ),
      "strict",
    ),
  },
  "an object with window",
);

export const IcmpSchema = v.strictObject(
  {
    exhaustion: flag(
      true,
      "ICMP 3/13 where a limit, a pool or a table is reached (RFC 5508 REQ-8).",
    ),
    unsolicitedSyn: flag(true, "ICMP 3/3 for an unsolicited SYN (RFC 5382 REQ-4)."),
  },
  "an object with exhaustion and unsolicitedSyn",
);

export const GatewaysSchema = v.strictObject(
  {
    ftp: flag(false, "Follow FTP's data conns (RFC 4787 REQ-10)."),
    tftp: flag(false, "Follow TFTP's transfers (RFC 4787 REQ-10)."),
  },
  "an object with ftp and tftp",
);
