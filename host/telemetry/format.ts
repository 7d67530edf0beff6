/** What an exporter asks of a format: messages of a bounded size from the events that wait. */

import type { EventView } from "./event.js";

/** A message: its bytes, and how many of the events that were offered are in it. */
export interface Message {
  readonly bytes: Uint8Array;
  readonly events: number;
}

export interface Format {
  /** Milliseconds that an event may wait for others to fill a message with. */
  readonly lingerMs: number;
  /** Whether it has a form for such events; what it has none for is no loss. */
  takes(event: EventView): boolean;
  /** A connection, or the first datagram, is about to begin: nothing is known at the other end. */
  begin(): void;
  /** The other end was gone, and may have forgotten what it was told; the same session goes on. */
  repeat(): void;
  /**
   * The next message, of at most `bytes`: at least one of `events`, if there are any, or what the format has to say
   * of its own. Undefined when there is nothing. The same again until `sent` is called.
   */
  pack(events: readonly EventView[], bytes: number, now: number): Message | undefined;
  /** The message that was packed last has been handed on. */
  sent(): void;
  /** So many events are lost, in all; to be told in the stream. */
  lost(count: number, now: number): void;
}
