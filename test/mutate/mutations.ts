/**
 * Behaviours of the datapath, each broken by one change of its source. `npm run mutate` builds the datapath with
 * one of them at a time: at least one test must fail.
 *
 * To add one: `find` stands exactly once in the file, over several lines where it must; the change compiles and
 * breaks the behaviour alone; `tests` are the files, without `.test.ts`, that are expected to notice and so are
 * run first. test/unit/mutations.test.ts holds the list against the source.
 */

export interface Mutation {
  /** The behaviour that is broken, as a sentence that is true of the source. */
  readonly name: string;
  /** Relative to assembly/. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Relative to test/. */
  readonly tests?: readonly string[];
}

const NAT = ["unit/datapath/nat"];
const CONNS = ["unit/datapath/conns"];
const POOLS = ["unit/datapath/pools"];
const FLOWS = ["unit/datapath/flows"];
const IPV4 = ["unit/datapath/ipv4"];
const ARP = ["unit/datapath/arp"];
const EXAMINE = ["property/examine"];
const RECONFIGURE = ["unit/datapath/reconfigure"];
const CORE = [
  "conformance/rfc4787",
  "conformance/rfc6888",
  "conformance/allocation",
  "conformance/limits",
  "conformance/reload",
  "property/nat",
];
const TCP = ["conformance/tcp"];
const ICMP = ["conformance/rfc5508", "conformance/icmp"];
const RESTART = ["unit/datapath/restart"];
const USE = ["unit/datapath/poolrange", "unit/datapath/tables"];
const FRAGMENTS = ["conformance/fragments", "conformance/identification"];

export const MUTATIONS: readonly Mutation[] = [
  // checksums: RFC 1624
  {
    name: "a UDP checksum follows the addresses",
    file: "nat/translate.ts",
    find: "udp.adjustChecksum(addresses + udp.renumberPorts(mirror));",
    replace: "udp.adjustChecksum(udp.renumberPorts(mirror));",
    tests: NAT,
  },
  {
    name: "a TCP checksum follows the ports",
    file: "nat/translate.ts",
    find: "tcp.adjustChecksum(addresses + tcp.renumberPorts(mirror));",
    replace: "tcp.renumberPorts(mirror);\n  tcp.adjustChecksum(addresses);",
    tests: NAT,
  },
  {
    name: "an IPv4 checksum follows the TTL",
    file: "nat/translate.ts",
    find: "let header = addresses + ip.age();",
    replace: "ip.age();\n  let header = addresses;",
    tests: NAT,
  },
  {
    name: "a UDP checksum of 0 stays 0",
    file: "wire/checksum.ts",
    find: "  if (!checksum) return 0;\n  const adjusted",
    replace: "  const adjusted",
    tests: NAT,
  },
  {
    name: "a computed UDP checksum of 0 leaves as FFFF",
    file: "wire/checksum.ts",
    find: "return adjusted ? adjusted : 0xffff;",
    replace: "return adjusted;",
    tests: NAT,
  },
  {
    name: "the ICMP checksum of a message of zeros is FFFF",
    file: "wire/icmp.ts",
    find: "if (bytes == 0 || checksumOf(changetype<usize>(this), bytes) == 0xffff) this.checksum = 0xffff;",
    replace: "if (bytes == 0) this.checksum = 0xffff;",
    tests: NAT,
  },
  {
    name: "a sum's second carry is added back in",
    file: "wire/checksum.ts",
    find: "return (once + rotl<u32>(once, 16)) >> 16;",
    replace: "return ((once & 0xffff) + (once >> 16)) & 0xffff;",
    tests: CONNS,
  },

  // headers: RFC 1812
  {
    name: "TTL is decremented",
    file: "wire/ipv4.ts",
    find: "    store<u8>(at, <u8>(from - 1));\n    return change16(from, from - 1);",
    replace: "    return change16(from, from);",
    tests: IPV4,
  },
  {
    name: "a packet of a known conn ends with its TTL",
    file: "pipeline.ts",
    find: "return packet.ip.ttl > 1 ? CONTINUE : <u32>Reason.TtlExceeded;",
    replace: "return CONTINUE;",
    tests: IPV4,
  },
  {
    name: "a packet that begins a conn ends with its TTL",
    file: "pipeline.ts",
    find: "verdict = packet.ip.ttl > 1 ? route(packet, now) : <u32>Reason.TtlExceeded;",
    replace: "verdict = route(packet, now);",
    tests: IPV4,
  },
  {
    name: "an IPv4 header with a wrong checksum is dropped",
    file: "parse.ts",
    find: "if (!ip.headerSumIsRight()) return Reason.IpBadChecksum;",
    replace: "",
    tests: IPV4,
  },
  {
    name: "sources that nobody has are dropped",
    file: "parse.ts",
    find: "    if (!isForwardable(ip.source)) return Reason.IpBadSource;\n",
    replace: "",
    tests: IPV4,
  },
  {
    name: "nobody but the router sends from its address",
    file: "nat/decide.ts",
    find: "if (active.deviceByAddress.get(source) != NONE && !packet.isTurned) return Reason.IpBadSource;",
    replace: "",
    tests: IPV4,
  },
  {
    name: "nothing is forwarded to a network's broadcast address",
    file: "pipeline.ts",
    find: "if (isDirectedBroadcast(egress, hop)) return Reason.IpBadDestination;",
    replace: "",
    tests: IPV4,
  },
  {
    name: "the longest prefix is asked first",
    file: "table/prefix.ts",
    find: "const length = 63 - <u32>clz<u64>(lengths);",
    replace: "const length = <u32>ctz<u64>(lengths);",
    tests: IPV4,
  },
  {
    name: "a VLAN tag of 0 is no tag",
    file: "parse.ts",
    find: "return id == 0 ? <u32>None.Short : id;",
    replace: "return id;",
    tests: ["unit/datapath/link"],
  },
  {
    name: "a frame to another MAC is not ours",
    file: "parse.ts",
    find: "return ours ? type : <u32>Reason.NotOurMac;",
    replace: "return type;",
    tests: ["unit/datapath/link"],
  },

  // errors and ARP of the router's own
  {
    name: "a device's budget of ICMP errors runs out",
    file: "net/responder.ts",
    find: "state.icmpTokens--;",
    replace: "",
    tests: IPV4,
  },
  {
    name: "an ICMP error is at most 576 bytes long",
    file: "net/responder.ts",
    find: "const ERROR_BYTES_MAX: u32 = 576;",
    replace: "const ERROR_BYTES_MAX: u32 = 1500;",
    tests: IPV4,
  },
  {
    name: "ARP answers for the addresses of pools",
    file: "net/responder.ts",
    find: "return active.externalByAddress.get(key) != NONE && active.deviceByAddress.get(key) == NONE;",
    replace: "return false;",
    tests: ARP,
  },
  {
    name: "ARP answers for nobody else's address",
    file: "net/responder.ts",
    find: "return arp.operation == ArpOperation.Request && speaksFor(packet, arp.targetAddress);",
    replace: "return arp.operation == ArpOperation.Request;",
    tests: ARP,
  },
  {
    name: "no conn follows a neighbor that is gone",
    file: "net/neighbor.ts",
    find: "if (neighbor.remembered) arena.generation++;",
    replace: "",
    tests: [...ARP, ...RECONFIGURE],
  },
  {
    name: "frames that wait for one neighbor are bounded",
    file: "net/neighbor.ts",
    find: "neighbor.held + frames <= <u32>Limit.HeldPerNeighbor &&",
    replace: "",
    tests: ARP,
  },

  // conns: who is who
  {
    name: "tenants are told apart by their zone",
    file: "parse.ts",
    find: "lastZone = active.zone(device.zone).number;",
    replace: "lastZone = active.zone(device.zone).number & 0xfffe;",
    tests: CONNS,
  },
  {
    name: "the hash depends on zone and ports",
    file: "table/hash.ts",
    find: "return mix64((first + second) ^ load<u64>(key, 16));",
    replace: "return mix64(first ^ load<u64>(key, 16));",
    tests: CONNS,
  },
  {
    name: "a conn that a packet was guessed to have must have its tuple",
    file: "pipeline.ts",
    find: "(handle != NO_CONN && !isOf(handle, packet))",
    replace: "false",
    tests: ["conformance/allocation"],
  },
  {
    name: "a tuple that its first bucket had no room for is found",
    file: "table/index.ts",
    find: "return load<u32>(bucket, STRAYS) == 0;",
    replace: "return true;",
    tests: CONNS,
  },
  {
    name: "packets of one batch see the conns of each other",
    file: "pipeline.ts",
    find: "if (arena.connChanges != before || (handle",
    replace: "if ((handle",
    tests: CONNS,
  },
  {
    name: "a tuple that another conn has is not given to a second",
    file: "nat/open.ts",
    find: "if (active.isOurs(target, conn.reply.destination)) return Reason.IpBadSource;\n  return isFree(conn.reply) ? CONTINUE : <u32>Reason.TupleInUse;",
    replace:
      "if (active.isOurs(target, conn.reply.destination)) return Reason.IpBadSource;\n  return CONTINUE;",
    tests: CONNS,
  },
  {
    name: "a zone's limit counts the zone's conns alone",
    file: "nat/open.ts",
    find: "state.conns >= (arena.workers == 1 ? most : state.allowance)",
    replace: "connSlab.count >= most",
    tests: CONNS,
  },
  {
    name: "a packet that goes nowhere leaves no conn",
    file: "pipeline.ts",
    find: "if (verdict != CONTINUE && isNew && packet.handle != NO_CONN) dropConn(packet.handle >> 1);",
    replace: "",
    tests: POOLS,
  },
  {
    name: "a verdict is good for the device it was made for",
    file: "nat/conn.ts",
    find: "this.ingress(direction) == port",
    replace: "true",
    tests: FLOWS,
  },
  {
    name: "an echo reply begins no conn",
    file: "nat/decide.ts",
    find: "if (packet.protocol == IpProtocol.Icmp) return isRequest(packet.flags);",
    replace: "",
    tests: NAT,
  },

  // conns: how long they live
  {
    name: "TCP begins with SYN alone",
    file: "nat/tcp.ts",
    find: "return (flags & (TcpFlag.Syn | TcpFlag.Ack | TcpFlag.Rst | TcpFlag.Fin)) == TcpFlag.Syn;",
    replace: "return (flags & TcpFlag.Syn) != 0;",
    tests: NAT,
  },
  {
    name: "opening has a timer of its own",
    file: "nat/tcp.ts",
    find: "return Timeout.TcpOpening;",
    replace: "return Timeout.TcpEstablished;",
    tests: CONNS,
  },
  {
    name: "a conn that was used lives on",
    file: "nat/lifetime.ts",
    find: "if (<i32>(conn.expiry - now) > 0) connWheel.add(index, conn.expiry);",
    replace: "if (false) connWheel.add(index, conn.expiry);",
    tests: CONNS,
  },
  {
    name: "a deadline that moves earlier is kept",
    file: "nat/lifetime.ts",
    find: "if (earlier) connWheel.add(index, expiry);",
    replace: "",
    tests: CONNS,
  },

  // pools
  {
    name: "a port is given once",
    file: "table/bitmap.ts",
    find: "if (found == NONE && from > low) found = this.free(low, from - 1);\n    if (found != NONE) this.set(found);",
    replace: "if (found == NONE && from > low) found = this.free(low, from - 1);",
    tests: POOLS,
  },
  {
    name: "a port comes from the pool's range",
    file: "nat/pool.ts",
    find: "takeWithin(external, which, pool, pool.portLow, pool.portHigh, original, reply)",
    replace: "takeWithin(external, which, pool, 1, pool.portHigh, original, reply)",
    tests: POOLS,
  },
  {
    name: "a conn that ends gives its port back",
    file: "nat/lifetime.ts",
    find: "if (mapping != NONE) leaveMapping(mapping);",
    replace: "",
    tests: POOLS,
  },
  {
    name: "TCP and UDP have ports of their own",
    file: "nat/external.ts",
    find: "if (protocol == IpProtocol.Tcp) return 0;",
    replace: "if (protocol == IpProtocol.Tcp) return 1;",
    tests: POOLS,
  },
  {
    name: "ports are drawn with the seed",
    file: "nat/pool.ts",
    find: "return sipHash(arena.portKey, ++arena.draws);",
    replace: "return mix64(++arena.draws);",
    tests: POOLS,
  },
  {
    name: "an internal address is paired with one external address",
    file: "nat/pool.ts",
    find: "return below(pool.addressCount, mix64(pairKey(host.zone, host.source)));",
    replace: "return below(pool.addressCount, draw());",
    tests: POOLS,
  },
  {
    name: "a forward's port is not the pool's to give",
    file: "nat/pool.ts",
    find: "if (forwarded == NONE && isFree(reply)) return true;",
    replace: "if (isFree(reply)) return true;",
    tests: POOLS,
  },

  // flows, and configurations that follow each other
  {
    name: "the highest priority wins over all lists of flows",
    file: "nat/flow.ts",
    find: "min(min(ofDevice, ofZone), ofAny)",
    replace: "ofDevice != NONE ? ofDevice : min(ofZone, ofAny)",
    tests: FLOWS,
  },
  {
    name: "all flows of a zone are asked, not the first alone",
    file: "nat/flow.ts",
    find: "  else if (index == ofZone) ofZone = next;",
    replace: "  else if (index == ofZone) ofZone = NONE;",
    tests: FLOWS,
  },
  {
    name: "a flow serves only conns of the zones it names",
    file: "nat/allowed.ts",
    find: "return (target == None.Short ? here.zone : active.zone(target).number) == there;",
    replace: "return true;",
    tests: FLOWS,
  },
  {
    name: "a conn is only allowed while its zones are the same tenants'",
    file: "nat/allowed.ts",
    find:
      "if (!isSameTenant(conn.original.zone, conn)) return zoneLapse(conn.original.zone);\n" +
      "  if (!isSameTenant(conn.reply.zone, conn)) return zoneLapse(conn.reply.zone);",
    replace: "",
    tests: RECONFIGURE,
  },
  {
    name: "what an examination finds out of a mapping by PCP is not remembered",
    file: "nat/grant.ts",
    find: "if (arena.configured != 0) grant.validated = arena.configured;",
    replace: "grant.validated = arena.configured;",
    tests: EXAMINE,
  },
  {
    name: "tenants that stay are the same ones in an examination",
    file: "configure.ts",
    find: "  carryZones(active, next);\n",
    replace: "",
    tests: EXAMINE,
  },
  {
    name: "an examination is void when another image comes",
    file: "search.ts",
    find: "if (search.staged != arena.stagings) {",
    replace: "if (arena.stagings == 0) {",
    tests: EXAMINE,
  },
  {
    name: "a conn is only allowed while its address is in the flow's pool",
    file: "nat/mapping.ts",
    find: "if (!active.hasExternal(pool, external, address)) return false;",
    replace: "",
    tests: RECONFIGURE,
  },
  {
    name: "a sweep ends conns of which no packet comes",
    file: "nat/sweep.ts",
    find: "} else endConn(index);",
    replace: "}",
    tests: RECONFIGURE,
  },

  // mappings, filters and hairpins
  {
    name: "an inside endpoint keeps its mapping whatever it talks to",
    file: "nat/mapping.ts",
    find: "const keepsAddress = behaviour >= <u32>MappingBehaviour.AddressDependent;",
    replace: "const keepsAddress = true;",
    tests: CORE,
  },
  {
    name: "only address-and-port-dependent mapping keeps the destination port",
    file: "nat/mapping.ts",
    find: "const keepsPort = behaviour >= <u32>MappingBehaviour.AddressAndPortDependent;",
    replace: "const keepsPort = true;",
    tests: CORE,
  },
  {
    name: "a mapping of a zone's former tenant is nobody else's",
    file: "nat/mapping.ts",
    find: "mapping.born >= born &&",
    replace: "",
    tests: ["conformance/reload"],
  },
  {
    name: "a mapping filters as its pool says",
    file: "nat/mapping.ts",
    find: "mapping.filtering = <u8>pool.filtering(which);",
    replace: "mapping.filtering = <u8>FilteringBehaviour.EndpointIndependent;",
    tests: CORE,
  },
  {
    name: "address-dependent filtering lets in the same address by another port",
    file: "nat/filter.ts",
    find: "const any = mapping.filtering < <u8>FilteringBehaviour.AddressDependent;",
    replace: "const any = true;",
    tests: CORE,
  },
  {
    name: "what one conn lets in, another of its ring lets in when it has ended",
    file: "nat/filter.ts",
    find: "filterIndex.replace(hash, index, conn.ringNext);",
    replace: "filterIndex.remove(hash, index);",
    tests: CORE,
  },
  {
    name: "a conn from outside begins only where the configuration allows it",
    file: "nat/open.ts",
    find: "const allowed = isFree(conn.original) && stillAllowed(conn);",
    replace: "const allowed = true;",
    tests: CORE,
  },
  {
    name: "a packet for an external address turns round",
    file: "nat/open.ts",
    find: "if (turns) return hairpin(conn, packet, zoneIndex);",
    replace: "if (turns) return Reason.Hairpin;",
    tests: CORE,
  },
  {
    name: "a hairpinned packet goes to the zone of its mapping",
    file: "nat/hairpin.ts",
    find: "conn.reply.zone = inside.zone;",
    replace: "conn.reply.zone = conn.original.zone;",
    tests: CORE,
  },
  {
    name: "a conn of a mapping that others share does not end it",
    file: "nat/mapping.ts",
    find: "if (mapping.conns == 0) end(index, mapping, true);",
    replace: "end(index, mapping, true);",
    tests: CORE,
  },

  // which port, and when again
  {
    name: "a port from 1024 on stays there",
    file: "nat/pool.ts",
    find: "const classLow = isLow ? low : max(low, CLASS_BORDER);",
    replace: "const classLow = low;",
    tests: CORE,
  },
  {
    name: "a port below 1024 stays there",
    file: "nat/pool.ts",
    find: "const classHigh = isLow ? min(high, CLASS_BORDER - 1) : high;",
    replace: "const classHigh = high;",
    tests: CORE,
  },
  {
    name: "parity is kept where the pool says so",
    file: "nat/pool.ts",
    find: "(wants != NONE && search(external, which, pool, classLow, classHigh, wants, reply)) ||",
    replace: "",
    tests: CORE,
  },
  {
    name: "the inside port is preserved where the pool says so",
    file: "nat/pool.ts",
    find: "(pool.allocation == Allocation.Preserve &&",
    replace: "(false &&",
    tests: CORE,
  },
  {
    name: "a port rests before it is given again",
    file: "nat/rest.ts",
    find: "if (active.delay(ImageAt.HoldDown) == 0) {",
    replace: "if (true) {",
    tests: CORE,
  },
  {
    name: "a port rests as long as the configuration says",
    file: "nat/rest.ts",
    find: "return rested >= asked ? 0 : asked - rested;",
    replace: "return 0;",
    tests: CORE,
  },
  {
    name: "a host has no more blocks than its pool allows",
    file: "nat/pool.ts",
    find: "if (blocks >= pool.blocksPerHost) return Reason.HostPortLimit;",
    replace: "",
    tests: CORE,
  },
  {
    name: "a block goes back with its last port",
    file: "nat/block.ts",
    find: "if (block.used == 0) giveBack((external << NAME_SHIFT) | unit.first);",
    replace: "",
    tests: CORE,
  },
  {
    name: "a deterministic pool spreads its subscribers over its addresses",
    file: "nat/deterministic.ts",
    find: "return ordinal / perAddress(pool);",
    replace: "return 0;",
    tests: CORE,
  },

  // limits, timers and events
  {
    name: "the conns of a host are limited",
    file: "nat/limit.ts",
    find: "if (most != 0 && host.conns >= most) {",
    replace: "if (false) {",
    tests: CORE,
  },
  {
    name: "the ports of a host are limited per protocol",
    file: "nat/limit.ts",
    find: "if (which == 0) return zone.tcpPortsPerHost;",
    replace: "if (which == 0) return zone.udpPortsPerHost;",
    tests: CORE,
  },
  {
    name: "a host of a zone's former tenant is another",
    file: "nat/host.ts",
    find: "if (known != NONE && Host.at(known).born == born) return known;",
    replace: "if (known != NONE) return known;",
    tests: CORE,
  },
  {
    name: "packets from outside prolong only where the pool says so",
    file: "nat/lifetime.ts",
    find: "if (prolongs || ",
    replace: "if (true || ",
    tests: CORE,
  },
  {
    name: "an end that is announced from outside counts in any case",
    file: "nat/lifetime.ts",
    find: "if (prolongs || <i32>(expiry - conn.expiry) < 0)",
    replace: "if (prolongs)",
    tests: CORE,
  },
  {
    name: "a mapping gives up a port that has become a forward's",
    file: "nat/mapping.ts",
    find: "if (forwardedUpTo(external, pool.zone, mapping.protocol, port) != NONE) return false;",
    replace: "",
    tests: CORE,
  },
  {
    name: "an address that comes back finds its ports resting",
    file: "configure.ts",
    find: "    regainExternals(next);\n",
    replace: "",
    tests: CORE,
  },
  {
    name: "a tenant's announced conns push out no other's",
    file: "nat/expectation.ts",
    find: "if (!expectationSlab.holds(i) || Expectation.at(i).inside.zone != zone) continue;",
    replace: "if (!expectationSlab.holds(i)) continue;",
    tests: ["conformance/gateways"],
  },
  {
    name: "a zone has its own timeouts",
    file: "nat/timeout.ts",
    find: "const first: u32 = active.zone(zoneIndex).timeouts;",
    replace: "const first: u32 = 0;",
    tests: CORE,
  },
  {
    name: "a well-known port has its own timeouts",
    file: "nat/timeout.ts",
    find: "return first + i + 1;",
    replace: "return first;",
    tests: CORE,
  },
  {
    name: "equal alarms are a second apart",
    file: "nat/event.ts",
    find: "if (alarm.key != 0 && arena.now - alarm.at < interval) return true;",
    replace: "",
    tests: CORE,
  },
  {
    name: "destinations are not logged unless it is asked for",
    file: "nat/event.ts",
    find: "if (!isNoted(EventClass.Sessions)) return;",
    replace: "",
    tests: CORE,
  },

  // TCP
  {
    name: "a RST ends a conn only with the number that its receiver expects",
    file: "nat/tcp.ts",
    find: "if (!windows.expects(packet.direction, sequence)) return ASIDE;",
    replace: "",
    tests: TCP,
  },
  {
    name: "a segment outside of its conn's windows is dropped",
    file: "nat/tcp.ts",
    find: "if (!isInside && !isLiberal() && !catchesUp(windows, packet, tcp, end)) {",
    replace: "if (false) {",
    tests: TCP,
  },
  {
    name: "an established TCP conn has a timer of its own",
    file: "nat/tcp.ts",
    find: "return phase < ConnPhase.Closing ? Timeout.TcpEstablished : Timeout.TcpClosing;",
    replace: "return Timeout.TcpClosing;",
    tests: TCP,
  },
  {
    name: "an unsolicited SYN waits before it is answered",
    file: "net/unsolicited.ts",
    find: "syn.due = now + active.delay(ImageAt.SynTimeout);",
    replace: "syn.due = now;",
    tests: TCP,
  },

  // ICMP errors
  {
    name: "the packet that an error quotes has its inside address put back",
    file: "nat/icmperror.ts",
    find: "quoted.source = other.source;",
    replace: "",
    tests: ICMP,
  },
  {
    name: "the checksum of the quoted header follows",
    file: "nat/icmperror.ts",
    find: "quoted.checksum = apply(quoted.checksum, addresses);",
    replace: "",
    tests: ICMP,
  },
  {
    name: "an error from inside does not show who sent it",
    file: "nat/icmperror.ts",
    find: "    delta += delta32(ip.source, other.destination);\n    ip.source = other.destination;",
    replace: "",
    tests: ICMP,
  },

  // fragments
  {
    name: "a fragment that covers bytes which came before is dropped",
    file: "nat/datagram.ts",
    find: "if (at > 0 && this.to(at - 1) > from) return Reason.FragmentOverlap;",
    replace: "",
    tests: FRAGMENTS,
  },
  {
    name: "fragments belong together by their identification",
    file: "nat/fragment.ts",
    find: "    packet.identification,\n    0,\n    packet.zone,",
    replace: "    0,\n    0,\n    packet.zone,",
    tests: FRAGMENTS,
  },
  {
    name: "two datagrams of one address have two identifications",
    file: "nat/identification.ts",
    find: "store<u16>(at, <u16>(next + arena.identificationStep));",
    replace: "",
    tests: FRAGMENTS,
  },
  {
    name: "a zone's fragments take no more than its share",
    file: "nat/share.ts",
    find: "return has < even || (has < most && beyond < capacity - even * active.zoneCount);",
    replace: "return true;",
    tests: FRAGMENTS,
  },

  // what hosts ask for
  {
    name: "a mapping that was asked for is its asker's to renew",
    file: "nat/grant.ts",
    find: "return this.nonceLow == ask.nonceLow && this.nonceHigh == ask.nonceHigh;",
    replace: "return true;",
    tests: ["conformance/pcp"],
  },
  {
    name: "two tenants that open to each other find through",
    file: "nat/hairpin.ts",
    find: "if (!isWaiting(Conn.of(handle))) return false;",
    replace: "return false;",
    tests: CORE,
  },

  // several workers: docs/adr/0021-workers.md
  {
    name: "a packet to an external port is its worker's",
    file: "nat/owner.ts",
    find: "  return shareOf(external.address, port);",
    replace: "  return shareOf(external.address, port + 64);",
    tests: ["unit/workers/isolation"],
  },
  {
    name: "masqueraded conns are their host's worker's",
    file: "nat/owner.ts",
    find: "if (bitmapOf(packet.protocol) != NONE) return ownerOfHost(packet.zone, packet.source);",
    replace: "if (bitmapOf(packet.protocol) != NONE) return arena.worker;",
    tests: ["unit/workers/owners"],
  },
  {
    name: "a conn that keeps its port is the worker's that its answers come to",
    file: "nat/owner.ts",
    find: "    case FlowAction.Route:\n      return ownerOf(reply, target);",
    replace: "    case FlowAction.Route:\n      return arena.worker;",
    tests: ["unit/workers/suites"],
  },
  {
    name: "a worker asks once for more conns of a zone",
    file: "nat/owner.ts",
    find: "if (arena.workers == 1 || (packet.passage & DescriptorFlag.Asked) != 0) return false;",
    replace: "if (arena.workers == 1) return false;",
    tests: ["unit/workers/allowances"],
  },
  {
    name: "ports of other workers are taken from the beginning",
    file: "nat/external.ts",
    find: "if (arena.workers > 1) excludeOthers(this.bitmap(which), address, pool);",
    replace: "",
    tests: ["unit/workers/isolation"],
  },
  {
    name: "what turns round says that it stands for a zone",
    file: "handoff.ts",
    find: "return list(packet, worker, zone, flags | DescriptorFlag.Turned);",
    replace: "return list(packet, worker, zone, flags);",
    tests: ["unit/workers/owners"],
  },
  {
    name: "what turns round comes to the worker of the address and port that it goes to",
    file: "handoff.ts",
    find: "const owner = ownerOfAnswers(other, active.zoneIndex(other.zone));",
    replace: "const owner = ownerOfHost(other.zone, other.destination);",
    tests: ["unit/workers/owners"],
  },
  {
    name: "what turns round is led on by no other flow",
    file: "nat/decide.ts",
    find: "if (packet.isTurned && leadsOn(action)) return Reason.Hairpin;",
    replace: "",
    tests: ["unit/workers/owners"],
  },
  {
    name: "nobody outside speaks for an external address of ours",
    file: "nat/decide.ts",
    find: "function decideKnown(packet: Packet): u32 {\n  if (isForged(packet)) return Reason.IpBadSource;",
    replace: "function decideKnown(packet: Packet): u32 {",
    tests: ["unit/workers/owners"],
  },
  {
    name: "other workers are asked about the answers to a conn that keeps its port",
    file: "nat/reservation.ts",
    find: "if (!isAmbiguous(conn)) return CONTINUE;",
    replace: "return CONTINUE;",
    tests: ["unit/workers/reservation"],
  },
  {
    name: "who comes meanwhile has the tuple",
    file: "nat/reservation.ts",
    find: "if (each.number != 0 && each.equals(packet)) each.number = 0;",
    replace: "",
    tests: ["unit/workers/reservation"],
  },
  {
    name: "what reserves its own answers is in use already",
    file: "nat/reservation.ts",
    find: "if (each.stands && each.original.equals(tuple)) return true;",
    replace: "",
    tests: ["unit/workers/reservation"],
  },
  {
    name: "an image is refused before a worker switches to it",
    file: "configure.ts",
    find: "return prepare(bytes, false);",
    replace: "return prepareImage(bytes);",
    tests: ["unit/workers/crossing"],
  },
  // from one process to the next
  {
    name: "what nobody has swept yet is saved, for its port",
    file: "nat/save.ts",
    find: "  if (isTenants(conn)) saveConn(index, conn);",
    replace: "  if (leftUntil(conn.expiry) > 0 && isTenants(conn)) saveConn(index, conn);",
    tests: RESTART,
  },
  {
    name: "what is restored is of zones that are the same tenants'",
    file: "nat/fate.ts",
    find: "return zone != NONE && active.zoneState(zone).isSaved ? zone : NONE;",
    replace: "return zone;",
    tests: RESTART,
  },
  {
    name: "what is restored must still be allowed",
    file: "nat/restoreconn.ts",
    find: "if (fate == Fate.Restored && !stillAllowed(conn)) fate = Fate.Refused;",
    replace: "",
    tests: RESTART,
  },
  {
    name: "time between two processes counts for a conn",
    file: "nat/restoreconn.ts",
    find: "if (left <= elapsed) return Fate.Expired;",
    replace: "",
    tests: RESTART,
  },
  {
    name: "the tuples of a restored conn are one conn's",
    file: "nat/restoreconn.ts",
    find: "return isDnat || isHairpin || keepsDestination;",
    replace: "return true;",
    tests: RESTART,
  },
  {
    name: "the port of what does not go on rests",
    file: "nat/restore.ts",
    find: "noteLost(mappingAt, original.protocol);",
    replace: "",
    tests: RESTART,
  },
  {
    name: "a restored port is nobody else's",
    file: "nat/pool.ts",
    find: "if (!address.bitmap(which).set(port)) {",
    replace: "address.bitmap(which).set(port);\n  if (false) {",
    tests: RESTART,
  },
  {
    name: "windows that a restart has left behind catch up",
    file: "nat/window.ts",
    find: "if ((this.state & WindowState.Old) == 0) return false;",
    replace: "return false;",
    tests: RESTART,
  },
  {
    name: "windows that are exact do not",
    file: "nat/window.ts",
    find: "if (old) this.state |= <u8>WindowState.Old;",
    replace: "this.state |= <u8>WindowState.Old;",
    tests: RESTART,
  },
  {
    name: "what was another tenant's before a switch is not saved",
    file: "nat/save.ts",
    find: "return index != NONE && active.zoneState(index).born <= born;",
    replace: "return index != NONE;",
    tests: RESTART,
  },
  {
    name: "a port that was left with another worker is that one's",
    file: "nat/owner.ts",
    find: "if (moved != NONE) return moved;",
    replace: "",
    tests: RESTART,
  },
  {
    name: "and nobody gets it from the worker whose it would be",
    file: "nat/external.ts",
    find: "else if (!this.bitmap(which).has(port)) this.bitmap(which).exclude(port, port);",
    replace: "",
    tests: RESTART,
  },

  // what is used of pools, what hosts have carried
  {
    name: "a port counts for the pool whose range has it",
    file: "nat/external.ts",
    find: "if (active.pool(first).hasPorts(port, port)) return first;",
    replace: "return first;",
    tests: USE,
  },
  {
    name: "what rests outside of a pool's range is not that pool's",
    file: "nat/usage.ts",
    find: "if (row == 0 || !pool.hasPorts(portAtRest(n), portAtRest(n))) continue;",
    replace: "if (row == 0) continue;",
    tests: USE,
  },
  {
    name: "sums of hosts' traffic that are too old are made again",
    file: "search.ts",
    find: "if (kind == <u8>SearchKind.Hosts && (later == 0 || later > SUMS_MS_MAX)) return;",
    replace: "",
    tests: USE,
  },
  {
    name: "sums end where another search has taken their place",
    file: "search.ts",
    find: "if (kind == <u8>SearchKind.Uses || kind == <u8>SearchKind.Lapses) return;",
    replace: "",
    tests: USE,
  },
];
