import t from "tap";
import { Names } from "../../host/control/admission.js";
import { headerMap, judge, makeReply, plainPath } from "../../host/control/request.js";

t.test("a path that a file could be looked up by", async (t) => {
  t.equal(plainPath("/"), "/");
  t.equal(plainPath("/a%20b/c.js"), "/a b/c.js");
  t.equal(plainPath("/..a/b..c"), "/..a/b..c");
  for (const raw of [
    "",
    "*",
    "a",
    "http://localhost/",
    "/../etc/passwd",
    "/a/..",
    "/a/%2e%2e/b",
    "/a/..%2fb",
    "/./a",
    "/a%00",
    "/a\\b",
    "/a%5c..%5cb",
    "/%",
    "/%ff",
    "/a%0d%0ab",
  ]) {
    t.equal(plainPath(raw), undefined, raw);
  }
});

t.test("headers that may be there once are not joined", async (t) => {
  t.same(
    [
      ...(headerMap([
        ["Accept", "a"],
        ["HOST", "x"],
        ["accept", "b"],
      ]) ?? []),
    ],
    [
      ["accept", "a, b"],
      ["host", "x"],
    ],
  );
  t.equal(
    headerMap([
      ["Host", "a"],
      ["host", "a"],
    ]),
    undefined,
  );
  t.equal(
    headerMap([
      ["Authorization", "a"],
      ["authorization", "b"],
    ]),
    undefined,
  );
});

t.test("an answer keeps its headers, in place of ours where they are the same", async (t) => {
  const reply = makeReply({
    status: 200,
    type: "text/html",
    body: "<p>ä",
    headers: { "cache-control": "max-age=60", ETag: '"1"' },
  });
  const headers = new Map(reply.headers);
  t.equal(reply.statusLine, "200 OK");
  t.equal(headers.get("Content-Type"), "text/html");
  t.equal(headers.get("cache-control"), "max-age=60");
  t.notOk(headers.has("Cache-Control"));
  t.equal(headers.get("ETag"), '"1"');
  t.match(headers.get("Content-Security-Policy"), /default-src 'self'.*frame-ancestors 'none'/);
  t.equal(reply.body?.length, 5);
  t.equal(makeReply({ status: 304 }).body, undefined);
});

t.test("an answer that would become two is none", async (t) => {
  for (const headers of [
    { "X-A": "a\r\nX-B: b" },
    { "X-A\r\nX-B": "b" },
    { "X A": "b" },
    { "Content-Length": "1" },
    { Connection: "keep-alive" },
    { "X-A": "ä" },
  ]) {
    t.throws(() => makeReply({ status: 200, headers }), RangeError, JSON.stringify(headers));
  }
  for (const status of [0, 99, 101, 299, 1000, Number.NaN]) {
    t.throws(() => makeReply({ status }), RangeError, String(status));
  }
});

t.test("a unix socket has no name that could be rebound", async (t) => {
  const head = { method: "GET", target: "/?a=1", headers: headerMap([["Host", "anything"]]) };
  const names = new Names(["127.0.0.1"]);
  const verdictFor = (isLocalSocket: boolean) =>
    judge(head, { address: "x", isLocalSocket }, names, false);
  t.match(verdictFor(true), { kind: "answer", request: { path: "/", query: "a=1" } });
  t.match(verdictFor(false), { kind: "reply", reply: { status: 421 }, why: "host" });
});
