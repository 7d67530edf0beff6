/**
 * The lines of FTP that name an endpoint: found, read and written. Text of the conversation is anybody's, so
 * nothing is read behind `end`, and numbers have no more digits than they may.
 */

import { NONE } from "../table/none";

/** How an endpoint is written. */
export enum Form {
  /** PORT: RFC 959 section 4.1.2. */
  Active,
  /** EPRT: RFC 2428 section 2. */
  ActiveExtended,
  /** 227: RFC 959, read as RFC 1123 section 4.1.2.6 says: from the first digit on. */
  Passive,
  /** 229: RFC 2428 section 3. A port alone. */
  PassiveExtended,
}

/** The field that `findField` has found: where it begins and ends, how it is written, what it says. */
export let field: usize = 0;
export let fieldEnd: usize = 0;
export let fieldForm: Form = Form.Active;
export let fieldAddress: u32 = 0;
export let fieldPort: u32 = 0;
/** What separates the parts of an extended form. */
let delimiter: u8 = 0;

/** First words of a line, four letters in the order of the memory: of the commands in lower case. */
const PORT: u32 = 0x74726f70;
const EPRT: u32 = 0x74727065;
const ENTERING_PASSIVE: u32 = 0x20373232;
const ENTERING_EXTENDED: u32 = 0x20393232;
const LOWER_CASE: u32 = 0x20202020;

const LINE_FEED: u8 = 0x0a;
const SPACE: u8 = 0x20;
const COMMA: u8 = 0x2c;
const DOT: u8 = 0x2e;
const ZERO: u8 = 0x30;
const OPEN: u8 = 0x28;

/**
 * Finds the first whole line between `text` and `end` that names an endpoint, as a client or a server says it.
 * `isLine`: a line begins at `text`.
 */
export function findField(text: usize, end: usize, isClient: bool, isLine: bool): bool {
  let line = isLine ? text : behindLine(text, end);
  while (line < end) {
    const next = behindLine(line, end);
    if (next - line >= 8 && load<u8>(next - 1) == LINE_FEED) {
      const found = isClient ? readCommand(line, next - 1) : readAnswer(line, next - 1);
      if (found) return true;
    }
    line = next;
  }
  return false;
}

/** Where the next line begins; `end` where none does. */
function behindLine(from: usize, end: usize): usize {
  let at = from;
  while (at < end && load<u8>(at) != LINE_FEED) at++;
  return min(at + 1, end);
}

function readCommand(line: usize, end: usize): bool {
  if (load<u8>(line, 4) != SPACE) return false;
  const verb = load<u32>(line) | LOWER_CASE;
  let at = line + 5;
  while (at < end && load<u8>(at) == SPACE) at++;
  if (verb == PORT) return readNumbers(at, end, Form.Active);
  return verb == EPRT && readExtended(at, end, Form.ActiveExtended);
}

function readAnswer(line: usize, end: usize): bool {
  const code = load<u32>(line);
  let at = line + 4;
  if (code == ENTERING_PASSIVE) {
    while (at < end && !isDigit(load<u8>(at))) at++;
    return readNumbers(at, end, Form.Passive);
  }
  if (code != ENTERING_EXTENDED) return false;
  while (at < end && load<u8>(at) != OPEN) at++;
  return at < end && readExtended(at + 1, end, Form.PassiveExtended);
}

function isDigit(byte: u8): bool {
  return byte >= ZERO && byte < ZERO + 10;
}

/** Where the number that `readNumber` has read ends. */
let behind: usize = 0;

/** A decimal number of at most five digits and up to `most`; NONE for anything else. */
function readNumber(from: usize, end: usize, most: u32): u32 {
  let value: u32 = 0;
  let at = from;
  while (at < end && at - from < 5 && isDigit(load<u8>(at)))
    value = value * 10 + load<u8>(at++) - ZERO;
  behind = at;
  const isWhole = at > from && (at == end || !isDigit(load<u8>(at)));
  return isWhole && value <= most ? value : NONE;
}

/** Six numbers with commas between them. */
function readNumbers(from: usize, end: usize, form: Form): bool {
  let at = from;
  let numbers: u64 = 0;
  for (let n = 0; n < 6; n++) {
    if (n > 0) {
      if (at >= end || load<u8>(at) != COMMA) return false;
      at++;
    }
    const number = readNumber(at, end, 255);
    if (number == NONE) return false;
    numbers = (numbers << 8) | number;
    at = behind;
  }
  keep(from, at, form, <u32>(numbers >> 16), <u32>numbers & 0xffff);
  return true;
}

/** Protocol, address and port between delimiters; in an answer the first two are empty. */
function readExtended(from: usize, end: usize, form: Form): bool {
  if (end - from < 5) return false;
  delimiter = load<u8>(from);
  if (delimiter < 33 || delimiter > 126 || isDigit(delimiter)) return false;
  let at = from + 1;
  let begins = at;
  let address: u32 = 0;
  if (form == Form.ActiveExtended) {
    // RFC 2428 section 2: protocol 1 is IPv4.
    if (load<u8>(at) != ZERO + 1 || load<u8>(at, 1) != delimiter) return false;
    at += 2;
    begins = at;
    for (let n = 0; n < 4; n++) {
      const number = readNumber(at, end, 255);
      const separator = n < 3 ? DOT : delimiter;
      if (number == NONE || behind >= end || load<u8>(behind) != separator) return false;
      address = (address << 8) | number;
      at = behind + 1;
    }
  } else {
    if (load<u8>(at) != delimiter || load<u8>(at, 1) != delimiter) return false;
    at += 2;
    begins = at;
  }
  const port = readNumber(at, end, 65535);
  if (port == NONE || behind >= end || load<u8>(behind) != delimiter) return false;
  keep(begins, behind, form, address, port);
  return true;
}

function keep(from: usize, to: usize, form: Form, address: u32, port: u32): void {
  field = from;
  fieldEnd = to;
  fieldForm = form;
  fieldAddress = address;
  fieldPort = port;
}

/** Writes an endpoint in the form of the field that was found last; returns how many bytes, at most 23. */
export function writeField(at: usize, address: u32, port: u32): u32 {
  let next = at;
  if (fieldForm == Form.PassiveExtended) return <u32>(writeNumber(next, port) - at);
  const isExtended = fieldForm == Form.ActiveExtended;
  for (let shift: i32 = 24; shift >= 0; shift -= 8) {
    next = writeNumber(next, (address >> shift) & 0xff);
    store<u8>(next++, shift > 0 ? (isExtended ? DOT : COMMA) : isExtended ? delimiter : COMMA);
  }
  if (isExtended) return <u32>(writeNumber(next, port) - at);
  next = writeNumber(next, port >> 8);
  store<u8>(next, COMMA);
  return <u32>(writeNumber(next + 1, port & 0xff) - at);
}

function writeNumber(at: usize, number: u32): usize {
  let next = at;
  for (let unit: u32 = 10000; unit > 1; unit /= 10) {
    if (number >= unit) store<u8>(next++, <u8>(ZERO + ((number / unit) % 10)));
  }
  store<u8>(next, <u8>(ZERO + (number % 10)));
  return next + 1;
}
