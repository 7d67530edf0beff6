/** What is to be traced, checked at the boundary: a frame as it stands on the wire, or fields to build one. */

import * as v from "valibot";
import { Limit } from "../../assembly/abi.js";
import {
  isUnicastMac,
  type Prefix,
  parseAddress,
  parseMac,
  prefixMask,
} from "../config/address.js";
import { type MacOf, virtualMac } from "../config/mac.js";
import type { Config, Device } from "../config/model.js";
import { address, flag, mac, oneOf, text, whole, zoneReference } from "../config/shapes.js";
import { type Reader, reading } from "../telemetry/filter.js";
import { protocol } from "../telemetry/filtershape.js";
import { buildFrame, type PacketFields } from "./frame.js";
import type { TraceInput } from "./tracer.js";

/** Bits of the flags by name (RFC 9293 section 3.1). */
const TCP_FLAGS = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;
type TcpFlag = keyof typeof TCP_FLAGS;

const ICMP = 1;
const TCP = 6;
const PORTED: readonly number[] = [TCP, 17, 132];
/** An echo request. */
const ECHO = 8;
const TTL = 64;
/** Whoever sends it: a MAC that nobody has. */
const SENDER = 0x020000000001;
const HEX = "hexadecimal digits, two for each byte, between which may be spaces or colons";
/** A frame has as many bytes beside what it carries: link header with two tags, headers of IPv4 and TCP. */
const OVERHEAD = 22 + 40;
const PAYLOAD_MAX = Limit.FrameBytes - OVERHEAD;

const port = (description: string) => v.optional(whole("a port", 0, 65535, description));
const number = (description: string) => v.optional(whole("32 bits", 0, 2 ** 32 - 1, description));

export const TraceSchema = v.strictObject(
  {
    device: v.optional(text("the name of a device", "By which it comes in.")),
    zone: v.optional(zoneReference("In which it comes in, where no device is named.")),
    frame: v.optional(text(HEX, "The frame, its link header and tags included.")),
    protocol: protocol(),
    source: v.optional(address("Its source.")),
    destination: v.optional(address("Its destination.")),
    sourcePort: port("Source port of TCP, UDP and SCTP."),
    destinationPort: port("Destination port of these."),
    tcpFlags: v.optional(
      v.array(
        oneOf(Object.keys(TCP_FLAGS) as TcpFlag[], "A flag of TCP."),
        "an array of flags of TCP",
      ),
    ),
    sequence: number("Sequence number of TCP."),
    acknowledgement: number("Acknowledgement number of TCP."),
    icmpType: v.optional(whole("a type of ICMP", 0, 255, "Type of ICMP; 8, echo, by default.")),
    icmpCode: v.optional(whole("a code of ICMP", 0, 255, "Code of ICMP.")),
    identifier: v.optional(whole("an identifier", 0, 65535, "Identifier of an ICMP query.")),
    ttl: v.optional(whole("a TTL", 0, 255, "Time to live; 64 by default.")),
    dontFragment: flag(false, "Whether it may not be fragmented."),
    payloadBytes: v.optional(
      whole("a number of bytes", 0, PAYLOAD_MAX, "Bytes behind the transport header, all zero."),
    ),
    mac: v.optional(mac("The sender's MAC.")),
  },
  "an object with device and frame, or with fields of a packet",
);

type TraceEntry = v.InferOutput<typeof TraceSchema>;

/** What is to be traced, of a checked query. */
export interface TraceRequest {
  /** By its name: the configuration may be another one when it is traced. */
  readonly device: string;
  readonly frame: Uint8Array | undefined;
  readonly packet: PacketFields | undefined;
}

/** @throws QueryError with everything that is wrong, and where */
export function parseTrace(value: unknown, config: Config): TraceRequest {
  return reading(
    TraceSchema,
    value,
    (entry, reader) =>
      entry.frame === undefined ? readFields(entry, reader) : readFrame(entry, reader),
    config,
  );
}

/** As it is handed to a datapath under this configuration; undefined where the device is gone. */
export function inputOf(
  request: TraceRequest,
  config: Config,
  macOf: MacOf,
): TraceInput | undefined {
  const device = config.devices.find(({ name }) => name === request.device);
  if (device === undefined) return undefined;
  const { frame, packet } = request;
  const to = device.mac ?? virtualMac(device.interface.name, macOf);
  const bytes = frame ?? (packet === undefined ? new Uint8Array() : buildFrame(packet, device, to));
  return { frame: bytes, interface: device.interface.index, place: 0, flags: 0 };
}

/** What belongs to a packet that is built. */
const FIELDS = [
  "zone",
  "protocol",
  "source",
  "destination",
  "sourcePort",
  "destinationPort",
  "tcpFlags",
  "sequence",
  "acknowledgement",
  "icmpType",
  "icmpCode",
  "identifier",
  "ttl",
  "payloadBytes",
  "mac",
] as const;

function readFrame(entry: TraceEntry, reader: Reader): TraceRequest {
  for (const key of FIELDS) {
    if (entry[key] !== undefined) reader.refuse([key], "nothing beside a frame", entry[key]);
  }
  const device = readDevice(entry.device, reader);
  return {
    device: device?.name ?? "",
    frame: readHex(entry.frame ?? "", reader),
    packet: undefined,
  };
}

function readHex(hex: string, reader: Reader): Uint8Array {
  const digits = hex.replace(/[\s:]/g, "");
  if (!/^([0-9a-fA-F]{2})+$/.test(digits)) reader.refuse(["frame"], HEX, hex);
  else if (digits.length > 2 * Limit.FrameBytes) {
    reader.refuse(["frame"], `at most ${Limit.FrameBytes} bytes`, `${digits.length / 2} bytes`);
  }
  return Buffer.from(digits, "hex");
}

function readDevice(name: string | undefined, reader: Reader): Device | undefined {
  const found = reader.config.devices.find((device) => device.name === name);
  if (found === undefined) reader.refuse(["device"], "the name of a device", name);
  return found;
}

function readFields(entry: TraceEntry, reader: Reader): TraceRequest {
  const protocol = reader.protocol(entry.protocol, ["protocol"]);
  if (entry.protocol === undefined) reader.refuse(["protocol"], "the key protocol", undefined);
  const source = readAddress(entry.source, "source", reader);
  const destination = readAddress(entry.destination, "destination", reader);
  const device = placeOf(entry, source, reader);
  if (protocol !== undefined) checkTransport(entry, protocol, reader);
  const { tcpFlags = [], icmpType = ECHO, icmpCode = 0, identifier = 0 } = entry;
  const { sequence = 0, acknowledgement = 0, ttl = TTL, payloadBytes = 0, dontFragment } = entry;
  const packet: PacketFields = {
    protocol: protocol ?? 0,
    source,
    destination,
    sourcePort: entry.sourcePort ?? 0,
    destinationPort: entry.destinationPort ?? 0,
    tcpFlags: tcpFlags.reduce((bits, name) => bits | TCP_FLAGS[name], 0),
    sequence,
    acknowledgement,
    icmpType,
    icmpCode,
    identifier,
    ttl,
    dontFragment,
    payloadBytes,
    mac: readMac(entry.mac, reader),
  };
  return { device: device?.name ?? "", frame: undefined, packet };
}

function readAddress(value: string | undefined, key: string, reader: Reader): number {
  const found = value === undefined ? undefined : parseAddress(value);
  if (found === undefined) reader.refuse([key], "an IPv4 address", value);
  return found ?? 0;
}

function readMac(value: string | undefined, reader: Reader): number {
  if (value === undefined) return SENDER;
  const found = parseMac(value);
  if (found !== undefined && isUnicastMac(found)) return found;
  reader.refuse(["mac"], "a unicast MAC", value);
  return SENDER;
}

/** The device that is named, else the zone's: its only one, or the one on whose network the source is. */
function placeOf(entry: TraceEntry, source: number, reader: Reader): Device | undefined {
  if (entry.device !== undefined) {
    if (entry.zone !== undefined) reader.refuse(["zone"], "nothing beside a device", entry.zone);
    return readDevice(entry.device, reader);
  }
  if (entry.zone === undefined) {
    reader.refuse([], "a device or a zone", undefined);
    return undefined;
  }
  const zone = reader.zone(entry.zone, ["zone"]);
  if (zone === undefined) return undefined;
  const devices = reader.config.devices.filter((device) => device.zone.id === zone);
  const near = devices.filter(({ addresses }) => addresses.some((own) => isOn(own, source)));
  const [device] = devices.length === 1 ? devices : near;
  if (device === undefined || (devices.length > 1 && near.length > 1)) {
    reader.refuse(["zone"], "a device to be named, of several that the zone has", entry.zone);
  }
  return device;
}

function isOn(own: Prefix, address: number): boolean {
  return ((own.address ^ address) & prefixMask(own.length)) === 0;
}

/** Fields belong to their protocol; conns of some have ports. */
function checkTransport(entry: TraceEntry, protocol: number, reader: Reader): void {
  const only = (keys: readonly (keyof TraceEntry)[], isOf: boolean, whose: string) => {
    for (const key of keys) {
      if (entry[key] !== undefined && !isOf)
        reader.refuse([key], `it with ${whose} alone`, entry[key]);
    }
  };
  const isPorted = PORTED.includes(protocol);
  only(["sourcePort", "destinationPort"], isPorted, "TCP, UDP or SCTP");
  only(["tcpFlags", "sequence", "acknowledgement"], protocol === TCP, "TCP");
  only(["icmpType", "icmpCode", "identifier"], protocol === ICMP, "ICMP");
  for (const key of ["sourcePort", "destinationPort"] as const) {
    if (isPorted && entry[key] === undefined) reader.refuse([key], `the key ${key}`, undefined);
  }
}
