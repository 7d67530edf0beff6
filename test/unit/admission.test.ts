import t from "tap";
import { ipBytes, ipText, isLoopback, isUnspecified, peerKey } from "../../host/control/address.js";
import {
  Bucket,
  hostName,
  LIMITS,
  Names,
  originText,
  Peers,
  type Refusal,
} from "../../host/control/admission.js";

t.test("addresses: one spelling, whatever they came as", async (t) => {
  const spellings: [string, string | undefined][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::ffff:c000:201", "192.0.2.1"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8::", "2001:db8::"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["fe80::1%eth0", "fe80::1"],
    ["::", "::"],
    ["localhost", undefined],
    ["192.0.2.256", undefined],
    ["1::2::3", undefined],
    ["", undefined],
  ];
  for (const [text, expected] of spellings) {
    const bytes = ipBytes(text);
    t.equal(bytes && ipText(bytes), expected, text);
  }
  t.equal(ipText(Uint8Array.from([...new Array(10).fill(0), 255, 255, 10, 0, 0, 1])), "10.0.0.1");
});

function bytes(text: string): Uint8Array {
  return ipBytes(text) ?? t.bailout(`no address: ${text}`) ?? new Uint8Array(4);
}

t.test("addresses: loopback and unspecified", async (t) => {
  for (const text of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]) {
    t.ok(isLoopback(bytes(text)), text);
  }
  for (const text of ["128.0.0.1", "0.0.0.0", "::", "::2", "1::1", "10.0.0.1"]) {
    t.notOk(isLoopback(bytes(text)), text);
  }
  for (const text of ["0.0.0.0", "::"]) t.ok(isUnspecified(bytes(text)), text);
  t.notOk(isUnspecified(bytes("::1")));
});

t.test("a peer is an IPv4 address, or a /64 of IPv6", async (t) => {
  const key = (text: string) => peerKey(bytes(text));
  t.equal(key("192.0.2.1"), "192.0.2.1");
  t.not(key("192.0.2.1"), key("192.0.2.2"));
  t.equal(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
  t.not(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
});

t.test("Host: without its port, in one spelling", async (t) => {
  const names: [string, string | undefined][] = [
    ["localhost", "localhost"],
    ["LocalHost:8090", "localhost"],
    ["router.example.:80", "router.example"],
    ["127.0.0.1:8090", "127.0.0.1"],
    ["[::1]:8090", "::1"],
    ["[0:0::1]", "::1"],
    ["[::1", undefined],
    ["::1", undefined],
    ["[localhost]", undefined],
    ["a b", undefined],
    ["user@localhost", undefined],
    ["localhost:", undefined],
    ["localhost:8090, evil.example", undefined],
    ["localhost/x", undefined],
    ["", undefined],
  ];
  for (const [header, expected] of names) t.equal(hostName(header), expected, header);
});

t.test("Host: a name that was made to mean us is refused (DNS rebinding)", async (t) => {
  const names = new Names(["127.0.0.1", "192.0.2.7"], ["router.example"]);
  for (const host of [
    "localhost:8090",
    "127.0.0.1:8090",
    "[::1]:9000",
    "192.0.2.7",
    "router.example",
  ]) {
    t.ok(names.allowsHost(host), host);
  }
  for (const host of [
    "evil.example",
    "evil.example:8090",
    "192.0.2.8",
    "localhost.evil.example",
    "router.example.evil.example",
    "",
  ]) {
    t.notOk(names.allowsHost(host), host);
  }
  const everywhere = new Names(["0.0.0.0"]);
  t.ok(everywhere.allowsHost("192.0.2.8:8090"), "an address is no name that can be rebound");
  t.notOk(everywhere.allowsHost("evil.example:8090"));
});

t.test("Origin: the same, or a listed one", async (t) => {
  const names = new Names(["127.0.0.1"], [], [originText("https://OPS.example:443") ?? ""]);
  const allowed: [string, string, boolean][] = [
    ["http://127.0.0.1:8090", "127.0.0.1:8090", false],
    ["https://127.0.0.1:8090", "127.0.0.1:8090", true],
    ["http://localhost", "LOCALHOST:80", false],
    ["https://ops.example", "127.0.0.1:8090", false],
  ];
  for (const [origin, host, isTls] of allowed) {
    t.ok(names.allowsOrigin(origin, host, isTls), `${origin} at ${host}`);
  }
  const refused: [string, string, boolean][] = [
    ["http://127.0.0.1:8091", "127.0.0.1:8090", false],
    ["http://127.0.0.1:8090", "127.0.0.1:8090", true],
    ["http://evil.example", "127.0.0.1:8090", false],
    ["https://ops.example.evil.example", "127.0.0.1:8090", false],
    ["http://ops.example", "127.0.0.1:8090", false],
    ["https://evil.example@ops.example", "127.0.0.1:8090", false],
    ["null", "127.0.0.1:8090", false],
    ["file://", "127.0.0.1:8090", false],
    ["", "127.0.0.1:8090", false],
  ];
  for (const [origin, host, isTls] of refused) {
    t.notOk(names.allowsOrigin(origin, host, isTls), `${origin} at ${host}`);
  }
});

t.test("a bucket gives its burst at once, and then what comes back", async (t) => {
  const bucket = new Bucket(10, 3, 1000);
  t.ok(bucket.isFull(1000));
  t.same(
    [1, 1, 1, 1].map((cost) => bucket.take(cost, 1000)),
    [true, true, true, false],
  );
  t.notOk(bucket.take(1, 1099), "99 ms are not enough for one");
  t.ok(bucket.take(1, 1100));
  t.notOk(bucket.take(4, 99_000), "never more than the burst");
  t.ok(bucket.isFull(99_000));
  t.ok(bucket.take(3, 99_000));
  t.notOk(bucket.take(1, 1000), "a clock that goes back gives nothing");
});

/** What each of `count` attempts led to. */
function enterMany(peers: Peers, key: string | undefined, count: number, now = 0) {
  const found = new Map<Refusal | "taken", number>();
  for (let i = 0; i < count; i++) {
    const what = peers.enter(key, now) ?? "taken";
    found.set(what, (found.get(what) ?? 0) + 1);
  }
  return Object.fromEntries(found);
}

t.test("one address has so many connections, and takes nobody else's", async (t) => {
  const peers = new Peers(LIMITS);
  t.same(enterMany(peers, "a", 200), { taken: 32, connectionsPerPeer: 32, connectRate: 136 });
  t.same(enterMany(peers, "b", 1), { taken: 1 });
  t.equal(peers.connections, 33);
  for (let i = 0; i < 32; i++) peers.leave("a");
  t.equal(peers.connections, 1);
  t.same(enterMany(peers, "a", 1), { connectRate: 1 }, "its rate is still used up");
  t.same(enterMany(peers, "a", 40, 1000), { taken: 32, connectRate: 8 }, "a second later");
});

t.test("all addresses together have so many; the unix sockets their own", async (t) => {
  const peers = new Peers(LIMITS);
  let taken = 0;
  for (let i = 0; i < 100; i++) taken += enterMany(peers, `peer ${i}`, 20).taken ?? 0;
  t.equal(taken, 1024);
  t.same(enterMany(peers, "another", 1), { connections: 1 });
  t.same(enterMany(peers, undefined, 100), { taken: 64, localConnections: 36 });
  peers.leave(undefined);
  t.same(enterMany(peers, undefined, 2), { taken: 1, localConnections: 1 });
});

t.test("addresses are forgotten when nothing is left to know, and are bounded", async (t) => {
  const peers = new Peers({ ...LIMITS, peers: 3 });
  for (const key of ["a", "b", "c"]) {
    t.equal(peers.enter(key, 0), undefined);
    peers.leave(key);
  }
  t.equal(peers.enter("d", 0), "connections", "the others' rates are still known");
  t.equal(peers.enter("d", 1000), undefined, "a second later they are as new");
});
