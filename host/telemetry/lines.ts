/** A format whose messages are lines, one for each event: of JSON, or of syslog. */

import { EventKind } from "../../assembly/abi.js";
import { type EventView, hostEvent } from "./event.js";
import type { Format, Message } from "./format.js";

export interface LinesOptions {
  /** The event as it is written, framing included. */
  line(event: EventView): string;
  /** Whether a message has one line only. */
  readonly single: boolean;
}

export class Lines implements Format {
  readonly lingerMs = 0;
  /** Events that were lost: in all, told in the stream, and told by the message that is under way. */
  private missing = 0;
  private told = 0;
  private telling = 0;
  private at = 0;

  constructor(private readonly options: LinesOptions) {}

  takes(): boolean {
    return true;
  }

  begin(): void {}

  repeat(): void {}

  pack(events: readonly EventView[], bytes: number): Message | undefined {
    const { line, single } = this.options;
    const parts: Buffer[] = [];
    let size = 0;
    let count = 0;
    this.telling = this.missing;
    if (this.missing > this.told) {
      const value = this.missing - this.told;
      parts.push(Buffer.from(line(hostEvent(EventKind.EventsLost, this.at, { value }))));
      size += parts[0]?.length ?? 0;
      if (single) return { bytes: parts[0] as Buffer, events: 0 };
    }
    for (const event of events) {
      const next = Buffer.from(line(event));
      if (parts.length > 0 && (single || size + next.length > bytes)) break;
      parts.push(next);
      size += next.length;
      count++;
    }
    if (parts.length === 0) return undefined;
    return {
      bytes: parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts),
      events: count,
    };
  }

  sent(): void {
    this.told = this.telling;
  }

  lost(count: number, now: number): void {
    this.missing += count;
    this.at = now;
  }
}
