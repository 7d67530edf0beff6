/**
 * JSON-RPC 2.0 (jsonrpc.org/specification) as text frames carry it: from a frame to requests, from results and errors
 * to frames. What a method does is the business of methods/; who may call it, of session.ts.
 *
 * Limits: Depth levels of nesting, Batch requests in one frame. Ids are strings of up to IdChars, or numbers.
 */

import { messageOf } from "../../errortext.js";

/** Codes below -32000 are the specification's, positive ones ours. */
export enum RpcCode {
  ParseError = -32700,
  InvalidRequest = -32600,
  MethodNotFound = -32601,
  InvalidParams = -32602,
  InternalError = -32603,
  /** Nobody has said who they are, or a token that is not known. */
  Unauthenticated = 1,
  /** The role does not allow it. */
  Forbidden = 2,
  /** What was to be changed has changed meanwhile, or another change is under way. */
  Conflict = 3,
  /** The configuration is wrong, or cannot be switched to. `data.problems` says where. */
  Refused = 4,
  NotFound = 5,
  /** Too many requests, subscriptions or searches at once. */
  Busy = 6,
  /** It was begun and did not work: the disk is full, a worker does not answer. */
  Failed = 7,
}

export enum RpcLimit {
  Depth = 64,
  Batch = 32,
  IdChars = 128,
}

/** One thing that is wrong with what was sent: `params.filter.zone`. */
export interface Fault {
  readonly path: string;
  readonly expected: string;
  readonly found: string;
}

/** Becomes the error of an answer. */
export class RpcError extends Error {
  override readonly name = "RpcError";

  constructor(
    readonly code: RpcCode,
    message: string,
    readonly data?: { readonly problems: readonly Fault[] } | Readonly<Record<string, unknown>>,
  ) {
    super(message);
  }
}

export type Id = string | number | null;

export interface Request {
  /** Undefined for a notification: nobody wants an answer. */
  readonly id: Id | undefined;
  readonly method: string;
  readonly params: unknown;
}

/** A request, or what is wrong with it and whom to tell. */
export type Asked = Request | { readonly id: Id; readonly error: RpcError };

export interface Frame {
  readonly asked: readonly Asked[];
  /** Answers to a batch are a batch. */
  readonly isBatch: boolean;
}

/** Reads one frame. What is wrong with it stands in the place of the request. */
export function readFrame(text: string): Frame {
  const wrong = (code: RpcCode, message: string): Frame => ({
    asked: [{ id: null, error: new RpcError(code, message) }],
    isBatch: false,
  });
  if (isDeeper(text, RpcLimit.Depth)) {
    return wrong(RpcCode.InvalidRequest, `nested deeper than ${RpcLimit.Depth} levels`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return wrong(RpcCode.ParseError, messageOf(error));
  }
  if (!Array.isArray(value)) return { asked: [readRequest(value)], isBatch: false };
  if (value.length === 0) return wrong(RpcCode.InvalidRequest, "an empty batch");
  if (value.length > RpcLimit.Batch) {
    return wrong(RpcCode.InvalidRequest, `more than ${RpcLimit.Batch} requests in a batch`);
  }
  return { asked: value.map(readRequest), isBatch: true };
}

/** Whether brackets outside of strings are nested deeper; what is no JSON at all is found out later. */
function isDeeper(text: string, levels: number): boolean {
  let depth = 0;
  let isInside = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (isInside) {
      if (char === "\\") at++;
      else if (char === '"') isInside = false;
    } else if (char === '"') isInside = true;
    else if (char === "[" || char === "{") {
      if (++depth > levels) return true;
    } else if (char === "]" || char === "}") depth--;
  }
  return false;
}

function readRequest(value: unknown): Asked {
  const wrong = (message: string, id: Id = null): Asked => ({
    id,
    error: new RpcError(RpcCode.InvalidRequest, message),
  });
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return wrong("a request is an object");
  }
  const { jsonrpc, id, method, params } = value as Record<string, unknown>;
  if (id !== undefined && !isId(id)) {
    return wrong(`id: expected a string of up to ${RpcLimit.IdChars} characters, a number or null`);
  }
  if (jsonrpc !== "2.0") return wrong('jsonrpc: expected "2.0"', id);
  if (typeof method !== "string") return wrong("method: expected a string", id);
  if (params !== undefined && (typeof params !== "object" || params === null)) {
    return wrong("params: expected an object", id);
  }
  return { id, method, params: params ?? {} };
}

function isId(value: unknown): value is Id {
  if (typeof value === "string") return value.length <= RpcLimit.IdChars;
  return value === null || (typeof value === "number" && Number.isFinite(value));
}

export type Answer = { readonly id: Id } & (
  | { readonly result: unknown }
  | { readonly error: RpcError }
);

/** As JSON; those to a batch stand in an array. */
export function writeAnswer(answer: Answer): string {
  const { id } = answer;
  if (!("error" in answer)) {
    return JSON.stringify({ jsonrpc: "2.0", id, result: answer.result ?? null });
  }
  const { code, message, data } = answer.error;
  const error = data === undefined ? { code, message } : { code, message, data };
  return JSON.stringify({ jsonrpc: "2.0", id, error });
}

/** What the router says without being asked. */
export function writeNotification(method: string, params: unknown): string {
  return JSON.stringify({ jsonrpc: "2.0", method, params });
}
