/** PCP messages for tests (RFC 6887), written apart from the datapath. */

import { formatAddress } from "../../host/config/address.js";
import { numberOf, udp } from "./frame.js";
import type { Host } from "./host.js";

export const PCP_PORT = 5351;

export const Opcode = { Announce: 0, Map: 1, Peer: 2 } as const;
export const Option = { ThirdParty: 1, PreferFailure: 2, Filter: 3 } as const;
export const Result = {
  Success: 0,
  UnsupportedVersion: 1,
  NotAuthorized: 2,
  MalformedRequest: 3,
  UnsupportedOpcode: 4,
  UnsupportedOption: 5,
  MalformedOption: 6,
  NoResources: 8,
  UnsupportedProtocol: 9,
  UserExceedsQuota: 10,
  CannotProvideExternal: 11,
  AddressMismatch: 12,
} as const;

/** ::ffff:a.b.c.d */
export function mapped(address: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(0xffff, 10);
  bytes.writeUInt32BE(numberOf(address), 12);
  return bytes;
}

export function option(code: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(4);
  head[0] = code;
  head.writeUInt16BE(data.length, 2);
  return Buffer.concat([head, data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
}

export interface HeaderFields {
  readonly client: string;
  readonly opcode?: number;
  readonly version?: number;
  readonly lifetime?: number;
}

export function pcpHeader(fields: HeaderFields): Buffer {
  const header = Buffer.alloc(8);
  header[0] = fields.version ?? 2;
  header[1] = fields.opcode ?? Opcode.Map;
  header.writeUInt32BE(fields.lifetime ?? 3600, 4);
  return Buffer.concat([header, mapped(fields.client)]);
}

export interface MapFields {
  readonly protocol?: number;
  readonly port?: number;
  readonly externalPort?: number;
  readonly external?: string;
  readonly nonce?: string;
  readonly lifetime?: number;
  readonly version?: number;
  readonly client?: string;
  readonly options?: readonly Buffer[];
}

export function mapRequest(client: string, fields: MapFields = {}): Buffer {
  const body = Buffer.alloc(20);
  body.write((fields.nonce ?? "nonce of mine").padEnd(12).slice(0, 12), 0, "latin1");
  body[12] = fields.protocol ?? 17;
  body.writeUInt16BE(fields.port ?? 4000, 16);
  body.writeUInt16BE(fields.externalPort ?? 0, 18);
  return Buffer.concat([
    pcpHeader({ client, ...fields }),
    body,
    mapped(fields.external ?? "0.0.0.0"),
    ...(fields.options ?? []),
  ]);
}

/** An answer as it was read. */
export interface Answer {
  readonly version: number;
  readonly opcode: number;
  readonly result: number;
  readonly lifetime: number;
  readonly epoch: number;
  readonly internalPort: number;
  readonly port: number;
  readonly external: string;
  readonly bytes: Buffer;
}

/** Sends a message to the router's PCP server; its answer, undefined where there is none. */
export function askPcp(host: Host, message: Uint8Array, server: string): Answer | undefined {
  const sourcePort = 50_000;
  const request = udp({ sourcePort, destinationPort: PCP_PORT, data: message });
  const [sent] = host.send(server, request);
  if (sent?.ip === undefined) return undefined;
  const { ip } = sent;
  const isBack =
    sent.to === host.mac &&
    ip.source === server &&
    ip.destination === host.address &&
    ip.sourcePort === PCP_PORT &&
    ip.destinationPort === sourcePort &&
    ip.sound;
  if (!isBack) throw new Error(`not an answer: ${JSON.stringify(sent)}`);
  return readPcp(ip.data);
}

function readPcp(bytes: Buffer): Answer {
  const isMap = bytes.length >= 60;
  const isWhole = bytes.length >= 24;
  return {
    version: bytes.readUInt8(0),
    opcode: bytes.readUInt8(1),
    result: isWhole ? bytes.readUInt8(3) : bytes.readUInt16BE(2),
    lifetime: isWhole ? bytes.readUInt32BE(4) : 0,
    epoch: isWhole ? bytes.readUInt32BE(8) : bytes.readUInt32BE(4),
    internalPort: isMap ? bytes.readUInt16BE(40) : 0,
    port: isMap ? bytes.readUInt16BE(42) : 0,
    external: isMap ? formatAddress(bytes.readUInt32BE(56)) : "",
    bytes,
  };
}
