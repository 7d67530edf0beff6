/** What both implementations of the control plane's transport must do, on real sockets. */
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { get as httpsGet } from "node:https";
import { createServer, type NetConnectOpts } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { WebSocket } from "ws";
import { LIMITS } from "../../host/control/admission.js";
import {
  type Answer,
  type ImplementationName,
  ListenError,
  type Request,
  type ServeOptions,
  serve,
} from "../../host/control/server.js";
import { loadUws } from "../../host/control/uws.js";
import { pythonWith } from "../harness/python.js";
import { frame, Opcode, RawClient, requestText, upgradeText } from "../harness/rawclient.js";
import {
  certificates,
  Desk,
  endpoint,
  eventually,
  folder,
  opensslReason,
  type Running,
  start,
} from "../harness/transport.js";

const PYTHON_PROGRAM = fileURLToPath(
  new URL("../../../test/platform/transport.py", import.meta.url),
);
const run = promisify(execFile);

export async function loadReason(): Promise<string | false> {
  try {
    await loadUws(LIMITS.headerBytes);
    return false;
  } catch (error) {
    return `uWebSockets.js does not load: ${(error as Error).message.split("\n", 1)[0]}`;
  }
}

const python = pythonWith("websockets");
const noPython = python === undefined && "python3-websockets is not installed";

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === "::1");

/** A request as it is written, and the whole answer. */
async function ask(to: NetConnectOpts, ...text: (string | Uint8Array)[]) {
  const client = await RawClient.connect(to);
  client.write(...text);
  return client.reply();
}

/** Nobody is counted any more who is gone: every connection has left once. */
async function isEmpty(t: Test, { server }: Running) {
  await eventually(() => server.counters.connections === 0);
  t.equal(server.counters.connections, 0, "no connection is left");
  t.equal(server.counters.channels, 0, "no channel is left");
}

async function failure(options: ServeOptions): Promise<ListenError> {
  try {
    await (await serve(options, new Desk())).close();
  } catch (error) {
    if (error instanceof ListenError) return error;
    throw error;
  }
  throw new Error("it listens");
}

/** Where an answer is never gone in time. */
const HASTY: ServeOptions = { limits: { answerMs: 500, sweepMs: 50 } };

export function transportSuite(name: ImplementationName): void {
  const begin = (t: Test, options: ServeOptions = {}, desk = new Desk()) =>
    start(t, name, options, desk);

  // Longer than the limit of a file, for a machine that does other things as well.
  t.setTimeout(300_000);
  // Ten seconds pass while the others run.
  const slow = askSlowly(name);
  const wrong = askWrongly(name);

  t.test("HTTP: GET and HEAD", async (t) => {
    const running = await begin(t);
    const { to, desk, server } = running;
    t.equal(server.implementation, name);
    const page = await ask(to, requestText("GET /?a=1&b=%20", { Authorization: "Bearer x" }));
    t.equal(page.status, 200);
    t.equal(page.body.toString(), "<p>hello");
    t.equal(page.headers.get("content-type"), "text/html");
    t.equal(page.headers.get("content-length"), "8");
    t.equal(page.headers.get("connection"), "close");
    t.equal(page.headers.get("x-content-type-options"), "nosniff");
    t.equal(page.headers.get("referrer-policy"), "no-referrer");
    t.match(
      page.headers.get("content-security-policy"),
      /default-src 'self'.*frame-ancestors 'none'/,
    );
    t.notOk(
      page.headers.has("server") || page.headers.has("uwebsockets"),
      "does not say what it is",
    );
    t.match(desk.requests[0], {
      method: "GET",
      path: "/",
      query: "a=1&b=%20",
      peer: { address: "127.0.0.1", isLocalSocket: false },
    });
    t.equal(desk.requests[0]?.headers.get("authorization"), "Bearer x");
    const head = await ask(to, requestText("HEAD /"));
    t.equal(head.status, 200);
    t.equal(head.headers.get("content-length"), "8");
    t.equal(head.body.length, 0);
    const missing = await ask(to, requestText("GET /nothing"));
    t.equal(missing.status, 404);
    t.equal(missing.body.toString(), "not there\n");
    await isEmpty(t, running);
  });

  t.test("HTTP: what is refused, and how", async (t) => {
    const running = await begin(t, { hosts: ["router.example"], origins: ["https://ops.example"] });
    const { to, desk, server } = running;
    const { port } = to;
    const cases: [string, number, RegExp][] = [
      [requestText("POST /"), 405, /GET and HEAD/],
      [requestText("DELETE /rpc"), 405, /GET and HEAD/],
      [requestText("OPTIONS /"), 405, /GET and HEAD/],
      [requestText("GET /%2e%2e/etc/passwd"), 400, /path/],
      [requestText("GET /%zz"), 400, /path/],
      [requestText("GET /", { Host: "evil.example" }), 421, /Host/],
      [requestText("GET /", { Host: `evil.example:${port}` }), 421, /Host/],
      [requestText("GET /", { Origin: "http://evil.example" }), 403, /origin/],
      [requestText("GET /", { Origin: "null" }), 403, /origin/],
      ["GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400, /twice/],
      [`${requestText("GET /", { "Content-Length": "2" })}ab`, 400, /no body/],
      [requestText("GET /rpc"), 426, /WebSocket/],
      [requestText("GET /", { Upgrade: "websocket", Connection: "Upgrade" }), 404, /at \/rpc/],
    ];
    for (const [text, status, body] of cases) {
      const reply = await ask(to, text);
      t.equal(reply.status, status, text);
      t.match(reply.body.toString(), body);
      t.equal(reply.headers.get("x-content-type-options"), "nosniff");
    }
    t.equal((await ask(to, requestText("POST /"))).headers.get("allow"), "GET, HEAD");
    t.equal(desk.requests.length, 0, "no handler has heard of it");
    for (const headers of [
      { Host: `127.0.0.1:${port}` },
      { Host: "[::1]:1" },
      { Host: "Router.example" },
      { Host: `localhost:${port}`, Origin: `http://localhost:${port}` },
      { Origin: "https://ops.example" },
    ] as Record<string, string>[]) {
      t.equal((await ask(to, requestText("GET /", headers))).status, 200, JSON.stringify(headers));
    }
    t.match(server.counters.refused, { host: 2, origin: 2 });
    await isEmpty(t, running);
  });

  t.test("HTTP: one request to a connection", async (t) => {
    const running = await begin(t);
    const { to, desk } = running;
    for (const line of ["GET /", "POST /"]) {
      const before = desk.requests.length;
      const client = await RawClient.connect(to);
      client.write(requestText(line) + requestText("GET /second") + requestText("GET /third"));
      await client.closed;
      t.notMatch(client.received.toString(), /not there/);
      t.ok(desk.requests.length <= before + 1);
    }
    await isEmpty(t, running);
  });

  t.test("HTTP: a handler that fails, waits, or is not waited for", async (t) => {
    class Odd extends Desk {
      finish = () => {};
      override answer(request: Request): Answer | Promise<Answer> {
        this.requests.push(request);
        if (request.path === "/throws") throw new Error("at once");
        if (request.path === "/rejects") return Promise.reject(new Error("later"));
        if (request.path === "/splits") return { status: 200, headers: { A: "b\r\nC: d" } };
        return new Promise((resolve) => {
          this.finish = () => resolve({ status: 200, body: "at last" });
        });
      }
    }
    const desk = new Odd();
    const running = await begin(t, {}, desk);
    const { to, notices } = running;
    for (const path of ["/throws", "/rejects", "/splits"]) {
      const reply = await ask(to, requestText(`GET ${path}`));
      t.equal(reply.status, 500);
      t.equal(reply.body.toString(), "internal error\n");
      t.notOk(reply.headers.has("c"));
    }
    t.match(notices, [/GET \/throws: at once/, /GET \/rejects: later/, /GET \/splits: /]);
    const waiting = ask(to, requestText("GET /waits"));
    await eventually(() => desk.requests.length === 4);
    await delay(50);
    desk.finish();
    t.equal((await waiting).body.toString(), "at last");
    const gone = await RawClient.connect(to);
    gone.write(requestText("GET /waits"));
    await eventually(() => desk.requests.length === 5);
    gone.reset();
    await delay(50);
    desk.finish();
    await isEmpty(t, running);
    const hasty = await begin(t, HASTY, new Odd());
    const never = await RawClient.connect(hasty.to);
    never.write(requestText("GET /waits"));
    await never.closed;
    t.equal(never.received.length, 0, "an answer that does not come is not waited for");
    t.equal(hasty.server.counters.refused.slowAnswer, 1);
    await isEmpty(t, hasty);
  });

  t.test("HTTP: a long answer, read slowly, and by nobody", async (t) => {
    const body = Buffer.alloc(24 << 20, "crosszone");
    const desk = new Desk();
    desk.answer = () => ({ status: 200, body });
    const running = await begin(t, {}, desk);
    const client = await RawClient.connect(running.to);
    client.write(requestText("GET /long"));
    await client.head();
    client.socket.pause();
    await delay(300);
    client.socket.resume();
    await client.closed;
    const isChunked = !client.received.subarray(0, 9).equals(body.subarray(0, 9));
    t.ok(client.received.length >= body.length);
    t.ok(isChunked || client.received.equals(body), "whole");
    await isEmpty(t, running);
    const hasty = await begin(t, HASTY, desk);
    const nobody = await RawClient.connect(hasty.to);
    nobody.socket.pause();
    nobody.write(requestText("GET /long"));
    t.ok(await eventually(() => hasty.server.counters.refused.slowAnswer === 1), "given up");
    nobody.destroy();
    await isEmpty(t, hasty);
  });

  t.test("handshake: the subprotocol, and nothing else", async (t) => {
    const running = await begin(t);
    const { to, desk } = running;
    const client = await RawClient.connect(to);
    const extensions = "permessage-deflate; client_max_window_bits";
    client.write(
      upgradeText({
        "Sec-WebSocket-Protocol": "chat, crosszone.v1",
        "Sec-WebSocket-Extensions": extensions,
        Authorization: "Bearer abc",
        Origin: "http://localhost",
      }),
    );
    const { status, headers } = await client.head();
    t.equal(status, 101);
    t.equal(
      headers.get("sec-websocket-accept"),
      "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
      "RFC 6455 section 1.3",
    );
    t.equal(headers.get("sec-websocket-protocol"), "crosszone.v1");
    t.notOk(headers.has("sec-websocket-extensions"), "no compression");
    t.equal(desk.last.channel.headers.get("authorization"), "Bearer abc");
    t.equal(desk.last.channel.headers.get("origin"), "http://localhost");
    t.same(desk.last.channel.peer, { address: "127.0.0.1", isLocalSocket: false });
    client.destroy();

    const refused: [Record<string, string>, number, RegExp][] = [
      [{ "Sec-WebSocket-Protocol": "" }, 400, /has to offer crosszone.v1/],
      [{ "Sec-WebSocket-Protocol": "crosszone.v2" }, 400, /has to offer crosszone.v1/],
      [{ "Sec-WebSocket-Version": "8" }, 426, /has to be 13/],
      [{ "Sec-WebSocket-Version": "" }, 426, /has to be 13/],
      [{ "Sec-WebSocket-Key": "" }, 400, /Sec-WebSocket-Key/],
      [{ "Sec-WebSocket-Key": "short" }, 400, /Sec-WebSocket-Key/],
      [{ Upgrade: "" }, 426, /WebSocket/],
      [{ Upgrade: "h2c" }, 426, /WebSocket/],
      [{ Connection: "close" }, 426, /WebSocket/],
      [{ Origin: "http://evil.example" }, 403, /origin/],
      [{ Host: "evil.example" }, 421, /Host/],
      [{ "Content-Length": "5" }, 400, /no body/],
    ];
    for (const [change, expected, text] of refused) {
      const reply = await ask(to, upgradeText(change));
      t.equal(reply.status, expected, JSON.stringify(change));
      t.match(reply.body.toString(), text);
    }
    t.equal(
      (await ask(to, upgradeText({ "Sec-WebSocket-Version": "8" }))).headers.get(
        "sec-websocket-version",
      ),
      "13",
    );
    t.equal((await ask(to, upgradeText({}, "GET /other"))).status, 404);
    t.equal((await ask(to, upgradeText({}, "POST /rpc"))).status, 405);
    t.equal(desk.talks.length, 1);
    await isEmpty(t, running);
  });

  t.test("messages: text both ways, in whatever pieces it comes", async (t) => {
    const running = await begin(t);
    const client = await RawClient.open(running.to);
    const talk = running.desk.last;
    const texts = ["hello", "", "zürich 日本 🦊", "x".repeat(126), "y".repeat(65536), "\0"];
    for (const text of texts) {
      client.write(frame(Opcode.Text, text));
      const { opcode, payload } = await client.frame();
      t.equal(opcode, Opcode.Text);
      t.ok(payload.equals(Buffer.from(text)), `${text.length} characters`);
    }
    const fox = Buffer.from("🦊");
    client.write(
      frame(Opcode.Text, fox.subarray(0, 1), { fin: false }),
      frame(Opcode.Ping, "p"),
      frame(Opcode.Continuation, fox.subarray(1, 3), { fin: false }),
      frame(Opcode.Continuation, "", { fin: false }),
      frame(Opcode.Continuation, fox.subarray(3)),
    );
    t.match(await client.frame(), { opcode: Opcode.Pong, payload: Buffer.from("p") });
    t.equal((await client.frame()).payload.toString(), "🦊", "one character in three pieces");
    for (const byte of frame(Opcode.Text, "slow")) {
      client.write(Buffer.of(byte));
      await delay(1);
    }
    t.equal((await client.frame()).payload.toString(), "slow");
    const many = Array.from({ length: 200 }, (_, i) => `message ${i}`);
    client.write(Buffer.concat(many.map((text) => frame(Opcode.Text, text))));
    for (const text of many) {
      const { payload } = await client.frame();
      if (payload.toString() !== text) t.fail(`${payload} in place of ${text}`);
    }
    talk.channel.send("lone \ud800 surrogate");
    t.equal((await client.frame()).payload.toString(), "lone \ufffd surrogate", "always UTF-8");
    client.write(
      frame(Opcode.Close, Buffer.concat([Buffer.from([0x0f, 0xa0]), Buffer.from("bye")])),
    );
    t.equal(await client.closeCode(), 4000);
    await eventually(() => talk.code !== undefined);
    t.same(talk.ends, [[4000, "bye"]]);
    t.notOk(talk.channel.isOpen);
    t.notOk(talk.channel.send("late"));
    await isEmpty(t, running);
  });

  t.test("messages: what ends a channel, and with which code", async (t) => {
    const running = await begin(t);
    const { to, desk, server } = running;
    const megabyte = "x".repeat(LIMITS.messageBytes);
    const fine = await RawClient.open(to);
    fine.write(frame(Opcode.Text, megabyte));
    t.equal((await fine.frame()).payload.length, LIMITS.messageBytes);
    fine.destroy();
    const half = megabyte.slice(0, megabyte.length / 2);
    // Without a close frame where uWebSockets.js ends it: the connection is over all the same.
    const abrupt = (code: number) => (name === "uws" ? 1006 : code);
    const cases: [string, Buffer[], number, number][] = [
      ["binary", [frame(Opcode.Binary, "x")], 1003, 1003],
      ["binary in pieces", [frame(2, "x", { fin: false }), frame(0, "y")], 1003, 1003],
      ["one byte more", [frame(Opcode.Text, `${megabyte}x`)], 1009, 1009],
      [
        "one byte more, in pieces",
        [frame(1, half, { fin: false }), frame(0, half, { fin: false }), frame(0, "x")],
        1009,
        1009,
      ],
      ["three megabytes", [frame(Opcode.Text, megabyte.repeat(3))], abrupt(1009), 1009],
      ["no UTF-8", [frame(Opcode.Text, Buffer.from([0xff, 0xfe]))], abrupt(1007), 1007],
      ["half a character", [frame(Opcode.Text, Buffer.from([0xe2, 0x82]))], abrupt(1007), 1007],
      ["a surrogate", [frame(1, Buffer.from([0xed, 0xa0, 0x80]))], abrupt(1007), 1007],
      ["reserved bits", [frame(1, "x", { reserved: 4 })], abrupt(1002), 1002],
      ["an unknown opcode", [frame(3, "x")], abrupt(1002), 1002],
      ["nothing to continue", [frame(0, "x")], abrupt(1002), 1002],
      ["a long ping", [frame(9, "x".repeat(126))], abrupt(1002), 1002],
      ["a ping in pieces", [frame(9, "x", { fin: false })], abrupt(1002), 1002],
    ];
    for (const [what, frames, seen, told] of cases) {
      const client = await RawClient.open(to);
      client.write(...frames);
      const code = await client.closeCode();
      // The rest of a long message, still on its way, can take the close frame along.
      t.ok(code === seen || (told === 1009 && code === 1006), `${what}: the peer sees ${code}`);
      t.equal(desk.last.code, told, `${what}: the session is told ${desk.last.code}`);
      t.same(desk.last.messages, [], "and has heard nothing");
      client.destroy();
    }
    t.match(server.counters.ended, { binary: 2 });
    await isEmpty(t, running);
  });

  t.test("messages: without a mask, nothing is understood", async (t) => {
    const running = await begin(t);
    const client = await RawClient.open(running.to);
    const text = "apply this configuration";
    client.write(frame(Opcode.Text, text, { isMasked: false }));
    await delay(200);
    t.notOk(running.desk.last.messages.includes(text));
    client.destroy();
    await isEmpty(t, running);
  });

  t.test("peers that vanish: in a message, in a handshake, at once", async (t) => {
    const running = await begin(t);
    const { to, desk } = running;
    const text = frame(Opcode.Text, "x".repeat(100_000));
    for (const how of ["destroy", "reset"] as const) {
      const client = await RawClient.open(to);
      client.write(text.subarray(0, 50_000));
      await delay(50);
      client[how]();
      t.ok(await eventually(() => desk.last.code !== undefined), how);
      t.equal(desk.last.code, 1006);
      t.same(desk.last.messages, []);
      const handshake = await RawClient.connect(to);
      handshake.write(upgradeText().slice(0, 60));
      await delay(20);
      handshake[how]();
      const early = await RawClient.connect(to);
      early.write(upgradeText());
      early[how]();
      const plain = await RawClient.connect(to);
      plain.write(requestText("GET /"));
      plain[how]();
    }
    await isEmpty(t, running);
    t.ok(
      await eventually(() => desk.talks.every(({ ends }) => ends.length === 1)),
      "each is told once",
    );
  });

  t.test("peers that fall silent are asked, and then it is over", async (t) => {
    const limits = { pingMs: 300, idleMs: 2000, sweepMs: 50 };
    const running = await begin(t, { limits });
    const began = Date.now();
    const silent = await RawClient.open(running.to);
    const dying = await RawClient.open(running.to);
    dying.write(frame(Opcode.Text, "x".repeat(1000)).subarray(0, 500));
    const alive = await RawClient.open(running.to);
    const [first, second, third] = running.desk.talks;
    const answering = (async () => {
      while (!silent.isClosed || !dying.isClosed) {
        const { opcode, payload } = await alive.frame();
        if (opcode === Opcode.Ping) alive.write(frame(Opcode.Pong, payload));
      }
    })();
    t.equal((await silent.frame()).opcode, Opcode.Ping);
    await Promise.all([silent.closed, dying.closed]);
    t.ok(Date.now() - began >= 1900, `${Date.now() - began} ms`);
    t.equal(first?.code, 1006);
    t.equal(second?.code, 1006);
    await answering;
    t.ok(third?.channel.isOpen, "who answers stays");
    t.equal(running.server.counters.ended.silent, 2);
    alive.destroy();
    await isEmpty(t, running);
  });

  t.test("peers that do not say who they are", async (t) => {
    const desk = new Desk();
    // The second one does, before its time could be over.
    desk.whenOpened = (channel) => desk.talks.length === 2 && channel.authenticated();
    const running = await begin(t, { limits: { authenticationMs: 300, sweepMs: 50 } }, desk);
    const client = await RawClient.open(running.to);
    const other = await RawClient.open(running.to);
    t.equal(await client.closeCode(), 1008);
    t.same(desk.talks[0]?.ends, [[1008, "not authenticated within 0.3 s"]]);
    t.ok(desk.last.channel.isOpen);
    other.destroy();
    await isEmpty(t, running);
  });

  t.test("peers that send too much: messages, and pings that are never read", async (t) => {
    const limits = { unitsPerSecond: 10, unitBurst: 50 };
    const running = await begin(t, { limits });
    const { to, desk } = running;
    const talker = await RawClient.open(to);
    talker.write(Buffer.concat(Array.from({ length: 200 }, () => frame(Opcode.Text, "a"))));
    t.equal(await talker.closeCode(), 1008);
    t.ok(desk.last.messages.length <= 80, `${desk.last.messages.length} were heard`);
    const pinger = await RawClient.open(to);
    pinger.socket.pause();
    pinger.write(
      Buffer.concat(Array.from({ length: 5000 }, () => frame(Opcode.Ping, "a".repeat(125)))),
    );
    t.ok(await eventually(() => desk.last.code === 1008), "pings count");
    pinger.destroy();
    await isEmpty(t, running);
  });

  t.test("a peer that never reads: bounded, then over", async (t) => {
    const running = await begin(t, { limits: { sweepMs: 50 } });
    const { to, desk, server } = running;
    const client = await RawClient.open(to);
    client.socket.pause();
    const { channel } = desk.last;
    const sample = "s".repeat(64 << 10);
    let offered = 0;
    while (channel.offer(sample) && offered < 1000) {
      offered++;
      if (offered % 8 === 0) await delay(1);
    }
    t.ok(offered < 1000, `${offered} samples went, the next was dropped`);
    const { bufferedBytes } = channel;
    t.ok(
      bufferedBytes > 0 && bufferedBytes <= LIMITS.softBytes + 2 * sample.length,
      `${bufferedBytes}`,
    );
    for (let i = 0; i < 1000; i++) channel.offer(sample);
    t.ok(channel.bufferedBytes <= bufferedBytes, "no growth by what may be dropped");
    let most = 0;
    for (let i = 0; i < 1000 && channel.isOpen; i++) {
      t.notOk(channel.send(sample)) || t.bailout("a slow consumer is not seen");
      most = Math.max(most, channel.bufferedBytes);
    }
    t.ok(most <= LIMITS.hardBytes, `at most ${most} bytes waited`);
    t.notOk(channel.isOpen);
    t.equal(desk.last.code, 1013);
    t.equal(server.counters.ended.tooSlow, 1);
    const began = Date.now();
    t.ok(await eventually(() => server.counters.connections === 0), `${Date.now() - began} ms`);
    client.socket.resume();
    await client.closed;
    await isEmpty(t, running);
  });

  t.test("a peer that reads slowly: told to wait, and told when to go on", async (t) => {
    const running = await begin(t);
    const { to, desk } = running;
    const client = await RawClient.open(to);
    client.socket.pause();
    const talk = desk.last;
    const text = "t".repeat(100_000);
    let sent = 0;
    do {
      sent++;
      if (sent % 8 === 0) await delay(1);
    } while (talk.channel.send(text) && sent < 1000);
    t.ok(sent < 1000);
    t.equal(talk.drains, 0);
    client.socket.resume();
    for (let i = 0; i < sent; i++)
      t.equal((await client.frame()).payload.length, text.length) || t.end();
    t.ok(await eventually(() => talk.drains === 1), "drained once");
    t.equal(talk.channel.bufferedBytes, 0);
    t.ok(talk.channel.offer("on"));
    t.equal((await client.frame()).payload.toString(), "on");
    client.destroy();
    await isEmpty(t, running);
  });

  t.test("2,000 connections of one address: bounded, and others get in", async (t) => {
    const at = folder(t);
    const path = join(at, "control.sock");
    const running = await begin(t, { listen: [{ host: "127.0.0.1", port: 0 }, { path }] });
    const { to, server } = running;
    let peak = 0;
    const watch = setInterval(() => {
      peak = Math.max(peak, server.counters.connections);
    }, 1);
    const clients: RawClient[] = [];
    let lost = 0;
    // Not all in one turn: server and clients are one thread here, and the kernel's queue has an end.
    for (let wave = 0; wave < 20; wave++) {
      const some = Array.from({ length: 100 }, async () => {
        const client = await RawClient.connect(to).catch(() => undefined);
        if (client === undefined) lost++;
        else clients.push(client);
      });
      await Promise.all(some);
    }
    await eventually(() => clients.filter(({ isClosed }) => !isClosed).length <= 32);
    const left = clients.filter(({ isClosed }) => !isClosed).length;
    t.ok(
      left > 0 && left <= LIMITS.connectionsPerPeer,
      `${left} of 2000 are left, ${lost} were reset`,
    );
    t.ok(peak <= LIMITS.connectionsPerPeer, `${peak} at once`);
    const { connectionsPerPeer, connectRate } = server.counters.refused;
    t.ok(connectRate > 0 && connectionsPerPeer > 0);
    t.ok(connectRate + connectionsPerPeer + lost >= 2000 - LIMITS.connectionsPerPeer);
    const other = await RawClient.open({ ...to, localAddress: "127.0.0.2" });
    other.write(frame(Opcode.Text, "still there?"));
    t.equal((await other.frame()).payload.toString(), "still there?", "another address gets in");
    const local = await RawClient.open({ path });
    local.write(frame(Opcode.Text, "and I?"));
    t.equal((await local.frame()).payload.toString(), "and I?", "the unix socket gets in");
    clearInterval(watch);
    for (const client of [...clients, other, local]) client.destroy();
    await isEmpty(t, running);
    await delay(1000);
    t.equal(
      (await ask(to, requestText("GET /"))).status,
      200,
      "and so does the first, a second later",
    );
  });

  t.test("connections of all together, and channels, are bounded", async (t) => {
    const limits = { connections: 6, channels: 3, connectionsPerPeer: 4 };
    const running = await begin(t, { limits });
    const { to, server } = running;
    const from = (last: number) => ({ ...to, localAddress: `127.0.0.${last}` });
    const clients = [
      await RawClient.open(from(2)),
      await RawClient.open(from(2)),
      await RawClient.open(from(3)),
    ];
    const refused = await ask(from(3), upgradeText());
    t.equal(refused.status, 503);
    t.match(refused.body.toString(), /too many channels/);
    for (const last of [4, 4, 4]) clients.push(await RawClient.connect(from(last)));
    t.ok(await eventually(() => server.counters.connections === 6));
    const surplus = await RawClient.connect(from(5));
    await surplus.closed;
    t.match(server.counters.refused, { connections: 1, channels: 1 });
    for (const client of clients) client.destroy();
    await isEmpty(t, running);
  });

  t.test("listening: several at once, IPv6, all addresses", async (t) => {
    const at = folder(t);
    const path = join(at, "control.sock");
    const six = hasIpv6 ? [{ host: "::1", port: 0 }] : [];
    const listen = [
      { host: "127.0.0.1", port: 0 },
      { host: "localhost", port: 0 },
      { path },
      { host: "0.0.0.0", port: 0 },
      ...six,
    ];
    const running = await begin(t, { listen, hasAccessControl: true });
    const { server, desk } = running;
    t.equal(server.listening.length, listen.length);
    for (const each of server.listening) {
      const to = "path" in each ? each : endpoint(each);
      const connectTo =
        "path" in to ? to : { ...to, host: to.host.replace("0.0.0.0", "127.0.0.3") };
      const host =
        "path" in connectTo ? "any" : connectTo.host.includes(":") ? "[::1]" : connectTo.host;
      const reply = await ask(connectTo, requestText("GET /", { Host: host }));
      t.equal(reply.status, 200, JSON.stringify(each));
      const client = await RawClient.open(connectTo, { Host: host });
      const isLocalSocket = "path" in connectTo;
      const address = isLocalSocket ? "unix" : host === "[::1]" ? "::1" : "127.0.0.1";
      t.same(desk.last.channel.peer, { address, isLocalSocket });
      client.destroy();
    }
    await isEmpty(t, running);
  });

  t.test(
    "listening: IPv4 through an IPv6 socket is IPv4",
    { skip: !hasIpv6 && "no IPv6" },
    async (t) => {
      const listen = [{ host: "::", port: 0 }];
      const running = await begin(t, { listen, hasAccessControl: true });
      const { port } = running.to;
      const client = await RawClient.open({ host: "127.0.0.1", port });
      t.equal(running.desk.last.channel.peer.address, "127.0.0.1");
      client.destroy();
      await isEmpty(t, running);
    },
  );

  t.test("listening: what is refused names the address", async (t) => {
    const busy = createServer().listen(0, "127.0.0.1");
    await new Promise((done) => busy.once("listening", done));
    t.teardown(() => busy.close());
    const { port } = busy.address() as { port: number };
    const listens = (host: string, port: number) =>
      failure({ implementation: name, listen: [{ host, port }], hasAccessControl: true });
    const inUse = await listens("127.0.0.1", port);
    t.equal(inUse.message, `127.0.0.1:${port}: somebody listens there already (EADDRINUSE)`);
    t.equal(inUse.code, "EADDRINUSE");
    const running = await begin(t);
    const ours = await listens("127.0.0.1", running.to.port);
    t.equal(ours.code, "EADDRINUSE", "also where we ourselves listen");
    t.match((await listens("192.0.2.77", 8090)).message, /^192\.0\.2\.77:8090: no address of this/);
    t.match((await listens("::", 70000)).message, /^\[::\]:70000: expected a port/);
    t.match((await listens("router.example", 1)).message, /^router\.example:1: expected an IP/);
    for (const host of ["0.0.0.0", "::", "192.0.2.77"]) {
      const open = await failure({ implementation: name, listen: [{ host, port: 0 }] });
      t.match(
        open.message,
        /no token is there to keep them out; add one, or listen on 127\.0\.0\.1/,
      );
    }
    const bad = await failure({ implementation: name, origins: ["ops.example"] });
    t.match(bad.message, /^allowed origin ops\.example: expected a scheme/);
    t.match((await failure({ implementation: name, hosts: ["a b"] })).message, /^allowed host a b/);
    const at = folder(t);
    const both = [{ path: join(at, "a.sock") }, { host: "127.0.0.1", port }];
    await failure({ implementation: name, listen: both });
    t.notOk(existsSync(join(at, "a.sock")), "everywhere or nowhere");
  });

  const isRoot = process.getuid?.() === 0;
  t.test("listening: not permitted", { skip: !isRoot && "needs root" }, async (t) => {
    const at = folder(t);
    mkdirSync(join(at, "closed"), { mode: 0o700 });
    process.seteuid?.(65534);
    try {
      const path = join(at, "closed", "control.sock");
      const error = await failure({ implementation: name, listen: [{ path }] });
      t.equal(error.message, `${path}: not permitted (EACCES)`);
      const first = Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
      if (first > 81) {
        const listen = [{ host: "127.0.0.1", port: 81 }];
        const port = await failure({ implementation: name, listen });
        t.equal(port.message, "127.0.0.1:81: not permitted (EACCES)");
      }
    } finally {
      process.seteuid?.(0);
    }
  });

  t.test("listening: the port is free again at once", async (t) => {
    const before = await begin(t);
    await before.server.close();
    const { server, to } = await begin(t, { listen: [before.to] });
    const client = await RawClient.open(to);
    t.equal((await ask(to, requestText("GET /"))).status, 200);
    await server.close();
    await client.closed;
    const again = await begin(t, { listen: [to] });
    t.equal((await ask(to, requestText("GET /"))).status, 200);
    await again.server.close();
  });

  t.test("unix socket: mode 0600, the same protocol, gone afterwards", async (t) => {
    const at = folder(t);
    const path = join(at, "control.sock");
    const running = await begin(t, { listen: [{ path }] });
    t.equal(statSync(path).mode & 0o7777, 0o600);
    t.ok(statSync(path).isSocket());
    t.same(running.server.listening, [{ path }]);
    t.notOk(existsSync(`${path}.new`));
    t.equal((await ask({ path }, requestText("GET /"))).status, 200);
    const client = await RawClient.open({ path });
    client.write(frame(Opcode.Text, "hello"));
    t.equal((await client.frame()).payload.toString(), "hello");
    t.same(running.desk.last.channel.peer, { address: "unix", isLocalSocket: true });
    client.destroy();
    await isEmpty(t, running);
    const second = await failure({ implementation: name, listen: [{ path }] });
    t.equal(second.message, `${path}: somebody listens there already (EADDRINUSE)`);
    t.equal((await ask({ path }, requestText("GET /"))).status, 200, "the first is not disturbed");
    await running.server.close();
    t.notOk(existsSync(path));
  });

  t.test("unix socket: only what nobody listens on is replaced", async (t) => {
    const at = folder(t);
    const path = join(at, "control.sock");
    const program = `require("net").createServer().listen(${JSON.stringify(path)},()=>process.kill(process.pid,9))`;
    await run(process.execPath, ["-e", program]).catch(() => {});
    t.ok(statSync(path).isSocket(), "left behind by somebody who was killed");
    const running = await begin(t, { listen: [{ path }] });
    t.equal((await ask({ path }, requestText("GET /"))).status, 200);
    rmSync(path);
    writeFileSync(path, "mine");
    await running.server.close();
    t.equal(readFileSync(path, "utf8"), "mine", "what has come in its place is not ours to remove");
    const file = await failure({ implementation: name, listen: [{ path }] });
    t.match(file.message, /control\.sock: a file is there that is no socket/);
    t.equal(readFileSync(path, "utf8"), "mine");
    rmSync(path);
    symlinkSync("/nowhere", path);
    t.match((await failure({ implementation: name, listen: [{ path }] })).message, /no socket/);
    const missing = join(at, "no", "control.sock");
    const nowhere = await failure({ implementation: name, listen: [{ path: missing }] });
    t.equal(nowhere.message, `${missing}: the folder does not exist (ENOENT)`);
    const long = join(at, "x".repeat(110));
    const tooLong = await failure({ implementation: name, listen: [{ path: long }] });
    t.match(tooLong.message, /expected a path of 1 to 103 bytes/);
  });

  t.test("closing: channels are told, whoever does not answer is left", async (t) => {
    const at = folder(t);
    const path = join(at, "control.sock");
    const running = await begin(t, { listen: [{ host: "127.0.0.1", port: 0 }, { path }] });
    const { to, server, desk } = running;
    const polite = new WebSocket(`ws://127.0.0.1:${to.port}/rpc`, "crosszone.v1");
    await new Promise((done) => polite.once("open", done));
    const stubborn = await RawClient.open(to);
    const stuck = await RawClient.open({ path });
    stuck.socket.pause();
    const idle = await RawClient.connect(to);
    const code = new Promise((resolve) => polite.once("close", resolve));
    const began = Date.now();
    const closing = Promise.all([server.close(), server.close()]);
    await eventually(() => desk.talks.every(({ code }) => code === 1001));
    t.same(
      desk.talks.map(({ code }) => code),
      [1001, 1001, 1001],
    );
    await closing;
    // Two seconds, and more for a machine that does other things as well.
    t.ok(Date.now() - began < 10_000, `${Date.now() - began} ms`);
    t.equal(await code, 1001);
    t.equal(await stubborn.closeCode(), 1001);
    stuck.socket.resume();
    await Promise.all([idle.closed, stuck.closed]);
    await t.rejects(RawClient.connect(to), { code: "ECONNREFUSED" });
    await isEmpty(t, running);
  });

  t.test("a client library: ws", async (t) => {
    const running = await begin(t);
    const { to, desk } = running;
    const client = new WebSocket(`ws://127.0.0.1:${to.port}/rpc`, "crosszone.v1");
    await new Promise((done) => client.once("open", done));
    t.equal(client.extensions, "");
    const answer = new Promise((resolve) =>
      client.once("message", (data) => resolve(String(data))),
    );
    client.send("hello");
    t.equal(await answer, "hello");
    const closed = new Promise((resolve) =>
      client.once("close", (code, reason) => resolve([code, String(reason)])),
    );
    desk.last.channel.close(4401, "token expired");
    t.same(await closed, [4401, "token expired"]);
    await isEmpty(t, running);
  });

  t.test("a client library: Python's websockets", { skip: noPython }, async (t) => {
    const at = folder(t);
    const path = join(at, "control.sock");
    const running = await begin(t, { listen: [{ host: "127.0.0.1", port: 0 }, { path }] });
    for (const where of [`ws://127.0.0.1:${running.to.port}/rpc`, path]) {
      const { stdout } = await run(python ?? "python3", [PYTHON_PROGRAM, where]);
      t.same(stdout.trim().split("\n"), [
        "subprotocol crosszone.v1",
        "echo 5 True",
        "echo 0 True",
        "echo 11 True",
        "echo 126 True",
        "echo 65536 True",
        "echo 1048576 True",
        "pieces one message in pieces",
        "pong",
        "closed 4000 bye",
        "extensions []",
        "echo True",
        "refused 400",
        "refused 400",
        "ended 1003",
        "ended 1009",
      ]);
    }
    t.equal(running.desk.talks[0]?.code, 4000);
    await isEmpty(t, running);
  });

  t.test("TLS", { skip: opensslReason() }, async (t) => {
    const at = folder(t);
    const files = certificates(at);
    const ca = readFileSync(files.ca);
    const path = join(at, "control.sock");
    const listen = [{ host: "127.0.0.1", port: 0 }, { path }];
    const tls = { cert: files.cert, key: files.key };
    const running = await begin(t, { listen, tls });
    const { to, desk } = running;
    t.equal(running.server.implementation, name);
    const body = await new Promise<string>((resolve, reject) => {
      httpsGet({ host: to.host, port: to.port, ca, agent: false }, (response) => {
        response.setEncoding("utf8").once("data", resolve);
      }).once("error", reject);
    });
    t.equal(body, "<p>hello");
    const client = new WebSocket(`wss://127.0.0.1:${to.port}/rpc`, "crosszone.v1", {
      ca,
      origin: `https://127.0.0.1:${to.port}`,
    });
    await new Promise((done, fail) => client.once("open", done).once("error", fail));
    t.same(desk.last.channel.peer, { address: "127.0.0.1", isLocalSocket: false });
    const long = "l".repeat(3 << 20);
    const got = new Promise<string>((resolve) =>
      client.once("message", (data) => resolve(String(data))),
    );
    desk.last.channel.send(long);
    t.equal((await got).length, long.length);
    client.close();
    t.equal((await ask({ path }, requestText("GET /"))).status, 200, "the unix socket is plain");
    const plain = await RawClient.connect(to);
    plain.write(requestText("GET /"));
    await plain.closed;
    t.notMatch(plain.received.toString(), /hello/);
    await isEmpty(t, running);
  });

  t.test("TLS: client certificates, by whoever can", { skip: opensslReason() }, async (t) => {
    const files = certificates(folder(t));
    const ca = readFileSync(files.ca);
    const tls = { cert: files.cert, key: files.key, clientCa: files.ca };
    const running = await begin(t, { tls });
    const { server, notices, to, desk } = running;
    t.equal(server.implementation, "ws");
    t.equal(notices.length, name === "uws" ? 1 : 0);
    if (name === "uws")
      t.match(notices, [/^control: ws serves, since uWebSockets\.js does not tell/]);
    const attempt = async (cert?: string, key?: string) => {
      const url = `wss://127.0.0.1:${to.port}/rpc`;
      const own = cert && key ? { cert: readFileSync(cert), key: readFileSync(key) } : {};
      const client = new WebSocket(url, "crosszone.v1", { ca, ...own });
      const opened = await new Promise((resolve) => {
        client.once("open", () => resolve(true)).once("error", () => resolve(false));
      });
      client.terminate();
      return opened;
    };
    t.ok(await attempt(files.clientCert, files.clientKey));
    t.equal(desk.last.channel.peer.tlsClientName, "operator");
    t.notOk(await attempt(), "none");
    t.notOk(await attempt(files.strangerCert, files.strangerKey), "of somebody else");
    t.equal(desk.talks.length, 1);
    await isEmpty(t, running);
  });

  t.test("TLS: files that are wrong are named", { skip: opensslReason() }, async (t) => {
    const at = folder(t);
    const files = certificates(at);
    const noise = join(at, "noise.pem");
    writeFileSync(noise, "no certificate");
    const fails = async (cert: string, key: string, clientCa?: string) =>
      (await failure({ implementation: name, tls: { cert, key, clientCa } })).message;
    t.equal(await fails("/nowhere.pem", files.key), "/nowhere.pem: TLS: the file does not exist");
    t.equal(await fails(noise, files.key), `${noise}: TLS: expected a certificate in PEM`);
    t.match(await fails(files.cert, noise), /noise\.pem: TLS: expected a private key in PEM/);
    t.match(await fails(files.cert, files.clientKey), /operator\.key: TLS: not the private key of/);
    t.match(await fails(files.cert, files.key, noise), /noise\.pem: TLS: expected certificates/);
  });

  t.test("HTTP: what is no request", async (t) => {
    const { replies, status, left } = await wrong;
    for (const [what, statuses, status] of replies) {
      // Where the peer still sends, the kernel may throw the answer away together with the connection.
      t.ok(status === undefined || statuses.includes(status), `${what}: ${status}`);
    }
    t.equal(status, 200, "it lives");
    t.equal(left, 0, "no connection is left");
  });

  t.test("HTTP: who asks too slowly", async (t) => {
    const { took, left } = await slow;
    t.ok(took > 5000 && took < 30_000, `${took} ms`);
    t.equal(left, 0, "no connection is left");
  });
}

/** Those whose bytes are no request, and one who asks behind them. */
async function askWrongly(name: ImplementationName) {
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const server = await serve({ implementation: name, listen }, new Desk());
  const to = endpoint(server.listening[0]);
  const huge = requestText("GET /", { "X-Long": "a".repeat(1 << 20) });
  const many = requestText(
    "GET /",
    Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`X-${i}`, "a"])),
  );
  const wrong: [string, string | Uint8Array, number[]][] = [
    ["a megabyte of headers", huge, [431]],
    ["3000 headers", many, [431]],
    ["TLS", Buffer.from("16030100c8010000c40303\r\n\r\n".padEnd(200, "x")), [400, 505]],
    ["no version", "GET /\r\n\r\n", [400, 505]],
    ["absolute", requestText("GET http://localhost/"), [400, 505]],
  ];
  // All at once, since some are only ended when their time is over.
  const replies = await Promise.all(
    wrong.map(async ([what, bytes, statuses]) => {
      const client = await RawClient.connect(to);
      client.write(bytes);
      const reply = await client.reply().catch(() => undefined);
      client.destroy();
      return [what, statuses, reply?.status] as const;
    }),
  );
  const noise = await RawClient.connect(to);
  noise.write(Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 167 + 13) & 0xff)));
  await delay(50);
  noise.destroy();
  const { status } = await ask(to, requestText("GET /"));
  await eventually(() => server.counters.connections === 0);
  const left = server.counters.connections;
  await server.close();
  return { replies, status, left };
}

/** One who says nothing, and one who never comes to an end. */
async function askSlowly(name: ImplementationName) {
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const server = await serve({ implementation: name, listen }, new Desk());
  const to = endpoint(server.listening[0]);
  const began = Date.now();
  const silent = await RawClient.connect(to);
  const dripping = await RawClient.connect(to);
  dripping.write("GET / HTTP/1.1\r\nHost: localhost\r\n");
  const drip = setInterval(() => dripping.write("X: a\r\n"), 500);
  const ends = [silent.closed, dripping.closed].map((each) => each.then(() => Date.now() - began));
  const took = Math.max(...(await Promise.all(ends)));
  clearInterval(drip);
  await eventually(() => server.counters.connections === 0);
  const left = server.counters.connections;
  await server.close();
  return { took, left };
}
