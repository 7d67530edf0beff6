/** Addresses as text: one text, one address. */

import fc from "fast-check";
import t from "tap";
import * as address from "../../../host/config/address.js";
import { holds } from "./fixture.js";

t.test("texts that are addresses, and texts that are none", async (t) => {
  t.equal(address.parseAddress("192.168.0.10"), 0xc0a8000a);
  t.equal(address.parseAddress("255.255.255.255"), 0xffffffff);
  const none = [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.",
    " 1.2.3.4",
    "1.2.3.4\n",
    "0x1.2.3.4",
    "1e1.2.3.4",
    "١.2.3.4",
  ];
  for (const text of none) t.equal(address.parseAddress(text), undefined, JSON.stringify(text));
});

t.test("prefixes: a route's has no host bits, a device's keeps them", async (t) => {
  t.same(address.parsePrefix("10.0.0.0/8"), { address: 0x0a000000, length: 8 });
  t.same(address.parsePrefix("0.0.0.0/0"), { address: 0, length: 0 });
  t.equal(address.parsePrefix("10.0.0.1/8"), undefined);
  t.same(address.parseInterfaceAddress("10.0.0.1/8"), { address: 0x0a000001, length: 8 });
  const none = [
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/8/8",
    "10.0.0.0/-1",
  ];
  for (const text of none) t.equal(address.parseInterfaceAddress(text), undefined, text);
});

t.test("addresses of a pool", async (t) => {
  const range = { first: 0xcb007110, last: 0xcb00711f };
  t.same(address.parseAddresses("203.0.113.16/28"), range);
  t.same(address.parseAddresses("203.0.113.16-203.0.113.31"), range);
  t.same(address.parseAddresses("203.0.113.16"), { first: 0xcb007110, last: 0xcb007110 });
  const none = ["203.0.113.17/28", "203.0.113.9-203.0.113.8", "1.2.3.4-", "1.2.3.4-5", "p1"];
  for (const text of none) t.equal(address.parseAddresses(text), undefined, text);
});

t.test("RFC 1812 5.3.7: multicast, loopback and zero are no host's", async (t) => {
  const unicast = (text: string) => address.isUnicastAddress(address.parseAddress(text) ?? 0);
  for (const text of ["1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255"]) {
    t.ok(unicast(text), text);
  }
  for (const text of ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255"]) {
    t.notOk(unicast(text), text);
  }
  t.notOk(address.isUnicast({ first: 0x7e000000, last: 0x80000000 }), "127.0.0.0/8 in between");
});

t.test("ports and MACs", async (t) => {
  t.same(address.parsePorts("1024-65535"), { low: 1024, high: 65535 });
  t.same(address.parsePorts("80"), { low: 80, high: 80 });
  for (const text of ["", "0", "0-1", "2-1", "1-65536", "1-2-3", "080"]) {
    t.equal(address.parsePorts(text), undefined, text);
  }
  t.equal(address.parseMac("02:00:5E:00:00:01"), 0x02005e000001);
  for (const text of [
    "",
    "02:00:5e:00:00",
    "2:0:5e:0:0:1",
    "02-00-5e-00-00-01",
    "02:00:5e:00:00:0g",
  ]) {
    t.equal(address.parseMac(text), undefined, text);
  }
  t.ok(address.isUnicastMac(0x02005e000001));
  t.notOk(address.isUnicastMac(0x01005e000001), "a group");
  t.notOk(address.isUnicastMac(0));
});

t.test("what is printed reads back", async (t) => {
  const any = fc.nat(0xffffffff);
  holds(
    t,
    fc.property(any, fc.nat(32), fc.nat(2 ** 48 - 1), (host, length, mac) => {
      t.equal(address.parseAddress(address.formatAddress(host)), host);
      const { first, last } = address.prefixRange({ address: host, length });
      t.equal(last - first + 1, 2 ** (32 - length));
      t.ok(first <= host && host <= last);
      const prefix = { address: first, length };
      t.same(address.parsePrefix(address.formatPrefix(prefix)), prefix);
      t.equal(address.parseMac(address.formatMac(mac)), mac);
      t.equal(address.macFromBytes(address.macBytes(mac)), mac);
    }),
    200,
  );
});
