/**
 * What a search asks of conns, mappings and hosts (abi: SearchAt). What the two tuples of a conn must be is asked at
 * once, as bits that must be equal; the rest one by one, where it is asked for at all.
 */

import { SearchAt, SearchMatch } from "../abi";
import { Conn, ConnFlag } from "./conn";
import { Host } from "./host";
import { Mapping, MappingFlag } from "./mapping";
import { Tuple } from "./tuple";

/** Beside the bits of SearchMatch: any of the four addresses; ports that are ranges. */
const ADDRESS: u32 = 1 << 16;
const RANGES: u32 = 1 << 17;

@final
@unmanaged
export class Match {
  /** Which bits of the original tuple matter, and what they must be; the same of the reply tuple. */
  private originalMask: v128;
  private originalValue: v128;
  private replyMask: v128;
  private replyValue: v128;
  /** What is not asked by bits. */
  private further: u32;
  private pad0: u32;
  private pad1: u64;

  static view(at: usize): Match {
    return changetype<Match>(at);
  }

  /** The SearchAt record that it was prepared from. */
  get record(): usize {
    return changetype<usize>(this) + offsetof<Match>();
  }
  word(field: SearchAt): u32 {
    return load<u32>(this.record + <usize>field);
  }
  half(field: SearchAt): u32 {
    return load<u16>(this.record + <usize>field);
  }
  private asks(match: SearchMatch): bool {
    return (this.half(SearchAt.Match) & <u32>match) != 0;
  }
  private tuple(offset: usize): Tuple {
    return Tuple.view(changetype<usize>(this) + offset);
  }

  /** Takes over the record at `from`. */
  prepare(from: usize): void {
    memory.fill(changetype<usize>(this), 0, offsetof<Match>());
    memory.copy(this.record, from, SearchAt.Bytes);
    const bitless: u32 = SearchMatch.Zone | SearchMatch.Phase | SearchMatch.Port;
    this.further = this.half(SearchAt.Match) & bitless;
    if (this.word(SearchAt.AddressMask) != 0) this.further |= ADDRESS;
    const mask = this.tuple(offsetof<Match>("originalMask"));
    const value = this.tuple(offsetof<Match>("originalValue"));
    this.askEnds(mask, value, SearchAt.Source, SearchAt.SourcePortLow);
    if (this.asks(SearchMatch.OriginalZone)) askZone(mask, value, this.half(SearchAt.OriginalZone));
    if (this.asks(SearchMatch.Protocol)) {
      mask.protocol = 0xff;
      value.protocol = load<u8>(this.record, SearchAt.Protocol);
    }
    const replyMask = this.tuple(offsetof<Match>("replyMask"));
    const replyValue = this.tuple(offsetof<Match>("replyValue"));
    this.askEnds(replyMask, replyValue, SearchAt.ReplySource, SearchAt.ReplySourcePortLow);
    if (this.asks(SearchMatch.ReplyZone))
      askZone(replyMask, replyValue, this.half(SearchAt.ReplyZone));
    this.askTranslation(replyMask, replyValue);
  }

  /** Two addresses with their masks, and two ranges of ports, stand behind each other. */
  private askEnds(mask: Tuple, value: Tuple, addresses: usize, ports: usize): void {
    const at = this.record + addresses;
    mask.source = load<u32>(at, 4);
    value.source = load<u32>(at) & mask.source;
    mask.destination = load<u32>(at, 12);
    value.destination = load<u32>(at, 8) & mask.destination;
    if (this.isPort(ports)) {
      mask.sourcePort = 0xffff;
      value.sourcePort = load<u16>(this.record + ports);
    }
    if (this.isPort(ports + 4)) {
      mask.destinationPort = 0xffff;
      value.destinationPort = load<u16>(this.record + ports, 4);
    }
  }

  /** Whether a range is one port. One that is neither that nor all of them is to be asked for itself. */
  private isPort(range: usize): bool {
    const low = load<u16>(this.record + range);
    const high = load<u16>(this.record + range, 2);
    if (low != high && (low != 0 || high != 0xffff)) this.further |= RANGES;
    return low == high;
  }

  /** The tag of the reply tuple has the conn's flags. */
  private askTranslation(mask: Tuple, value: Tuple): void {
    const both: u8 = <u8>ConnFlag.Snat | <u8>ConnFlag.Dnat;
    if (this.asks(SearchMatch.Untranslated)) mask.tag = both;
    if (this.asks(SearchMatch.Snat)) mask.tag |= <u8>ConnFlag.Snat;
    if (this.asks(SearchMatch.Dnat)) mask.tag |= <u8>ConnFlag.Dnat;
    value.tag = this.asks(SearchMatch.Untranslated) ? 0 : mask.tag;
  }

  hasConn(conn: Conn): bool {
    const at = changetype<usize>(conn);
    const original = v128.xor(v128.load(at), this.originalValue);
    const reply = v128.xor(v128.load(at, 16), this.replyValue);
    const wrong = v128.or(v128.and(original, this.originalMask), v128.and(reply, this.replyMask));
    return !v128.any_true(wrong) && (this.further == 0 || this.hasFurther(conn));
  }

  private hasFurther(conn: Conn): bool {
    const original = conn.original;
    const reply = conn.reply;
    if (this.asks(SearchMatch.Zone)) {
      const zone = <u16>this.half(SearchAt.Zone);
      if (original.zone != zone && reply.zone != zone) return false;
    }
    if (this.asks(SearchMatch.Phase)) {
      if (((this.half(SearchAt.Phases) >> <u32>conn.phase) & 1) == 0) return false;
    }
    if ((this.further & ADDRESS) != 0 && !this.hasAddress(original) && !this.hasAddress(reply)) {
      return false;
    }
    if (this.asks(SearchMatch.Port) && !this.hasPort(original) && !this.hasPort(reply))
      return false;
    if ((this.further & RANGES) == 0) return true;
    return (
      this.isWithin(SearchAt.SourcePortLow, original.sourcePort) &&
      this.isWithin(SearchAt.DestinationPortLow, original.destinationPort) &&
      this.isWithin(SearchAt.ReplySourcePortLow, reply.sourcePort) &&
      this.isWithin(SearchAt.ReplyDestinationPortLow, reply.destinationPort)
    );
  }

  private hasAddress(tuple: Tuple): bool {
    return (
      this.isIn(SearchAt.Address, tuple.source) || this.isIn(SearchAt.Address, tuple.destination)
    );
  }
  private hasPort(tuple: Tuple): bool {
    return (
      this.isWithin(SearchAt.PortLow, tuple.sourcePort) ||
      this.isWithin(SearchAt.PortLow, tuple.destinationPort)
    );
  }

  /** Whether an address is in a prefix of the record: the mask stands behind it. */
  private isIn(prefix: SearchAt, address: u32): bool {
    return ((address ^ this.word(prefix)) & load<u32>(this.record + <usize>prefix, 4)) == 0;
  }
  /** Whether a port is in a range of the record: its high end stands behind its low one. By one comparison, mostly false. */
  private isWithin(range: SearchAt, port: u32): bool {
    const low = this.half(range);
    return port - low <= <u32>load<u16>(this.record + <usize>range, 2) - low;
  }
  /** Whether a zone's number is the one that is asked for, where one is. */
  private isZone(match: SearchMatch, field: SearchAt, zone: u32): bool {
    return !this.asks(match) || this.half(field) == zone;
  }

  hasHost(host: Host): bool {
    const zone: u32 = host.zone;
    return (
      this.isZone(SearchMatch.Zone, SearchAt.Zone, zone) && this.isIn(SearchAt.Source, host.address)
    );
  }

  /** Of one that many share only the outside is asked, and one that names an inside does not mean it. */
  hasMapping(mapping: Mapping): bool {
    const external = mapping.externalAddress;
    const shared = mapping.has(MappingFlag.Shared);
    const zone: u32 = external.zone;
    const inside: u32 = shared ? zone : mapping.zone;
    if (this.asks(SearchMatch.Zone)) {
      if (this.half(SearchAt.Zone) != zone && this.half(SearchAt.Zone) != inside) return false;
    }
    if (this.asks(SearchMatch.Protocol)) {
      if (load<u8>(this.record, SearchAt.Protocol) != mapping.protocol) return false;
    }
    if (
      !this.isZone(SearchMatch.ReplyZone, SearchAt.ReplyZone, zone) ||
      !this.isIn(SearchAt.ReplyDestination, external.address) ||
      !this.isWithin(SearchAt.ReplyDestinationPortLow, mapping.port)
    ) {
      return false;
    }
    if (shared) return !this.asksForInside();
    return (
      this.isZone(SearchMatch.OriginalZone, SearchAt.OriginalZone, inside) &&
      this.isIn(SearchAt.Source, mapping.source) &&
      this.isWithin(SearchAt.SourcePortLow, mapping.sourcePort)
    );
  }

  private asksForInside(): bool {
    return (
      this.asks(SearchMatch.OriginalZone) ||
      this.word(SearchAt.SourceMask) != 0 ||
      this.half(SearchAt.SourcePortLow) != 0 ||
      this.half(SearchAt.SourcePortHigh) != 0xffff
    );
  }
}
if (offsetof<Match>() != 80) ERROR("a Match is 80 bytes");

/** Bytes of a Match with its record. */
export const MATCH_BYTES: usize = 80 + SearchAt.Bytes;

function askZone(mask: Tuple, value: Tuple, zone: u32): void {
  mask.zone = 0xffff;
  value.zone = <u16>zone;
}
