/** The client of the control plane: what it sends, and what it says where a router does not answer as it should. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Client, type ClientTarget } from "../../host/control/client.js";
import { RpcCode, RpcError } from "../../host/control/protocol/rpc.js";
import { serve } from "../../host/control/server.js";
import { type Script, Scripted } from "../harness/scripted.js";
import { certificates, endpoint, eventually, opensslReason } from "../harness/transport.js";

const folder = mkdtempSync(join(tmpdir(), "crosszone-client-"));
t.teardown(() => rmSync(folder, { recursive: true }));

const TOKEN = `cz_${"a".repeat(43)}`;

async function start(t: Test, script: Script) {
  const router = await Scripted.start(0, script);
  t.teardown(() => router.stop());
  const at = { url: new URL(router.url) };
  const connect = async (target: Partial<ClientTarget> = {}) => {
    const client = await Client.connect({ at, name: "test", ...target });
    t.teardown(() => client.close());
    return client;
  };
  return { router, connect };
}

t.test("calls are answered in any order, each its own", async (t) => {
  const { connect, router } = await start(t, ({ method }) => {
    return method === "conns.count" ? { conns: 7 } : undefined;
  });
  const client = await connect();
  const never = client.call("zones.list", {}, 1000);
  // Before anything is waited for: what nobody has caught by then ends the process.
  const rejected = t.rejects(never, { message: /no answer to zones.list within 1 s/ });
  t.equal((await client.call("conns.count", { filter: { zone: "a" } })).conns, 7);
  t.same(router.asked[2]?.params, { filter: { zone: "a" } });
  await rejected;
  t.match(await client.ended, { name: "ConnectionError" }, "and it is over");
});

t.test("what is longer than the router takes is not sent", async (t) => {
  const { connect, router } = await start(t, () => undefined);
  const client = await connect();
  await t.rejects(client.call("config.check", { config: "x".repeat(70_000) }), {
    message: /config\.check: 70\d\d\d bytes are too many, the router takes messages of 65536 bytes/,
  });
  t.equal(router.asked.length, 1);
});

t.test("hello says who it is; a token goes with the request alone", async (t) => {
  const { connect, router } = await start(t, () => undefined);
  await connect({ token: TOKEN });
  t.same(router.authorizations, [`Bearer ${TOKEN}`]);
  t.same(router.asked, [{ method: "hello", params: { client: "test" }, connection: 1 }]);
});

t.test("a token that is not taken: hello is asked why", async (t) => {
  const { connect } = await start(t, ({ params }) => {
    const why = params.token === TOKEN ? "the token has expired" : "say hello with a token first";
    return new RpcError(RpcCode.Unauthenticated, why);
  });
  await t.rejects(connect({ token: TOKEN }), { message: "the token has expired" });
  await t.rejects(connect(), { message: "say hello with a token first" });
});

t.test("an error of the router keeps its code and its problems", async (t) => {
  const problems = [{ path: "filter.zone", expected: "a zone", found: '"x"' }];
  const { connect } = await start(t, ({ method }) => {
    if (method === "hello") return undefined;
    return new RpcError(RpcCode.InvalidParams, "wrong", { problems });
  });
  const client = await connect();
  await t.rejects(client.call("conns.count", {}), {
    name: "RpcError",
    code: RpcCode.InvalidParams,
    data: { problems },
  });
});

t.test("what is told without asking; and a pause", async (t) => {
  const { connect, router } = await start(t, () => undefined);
  const client = await connect();
  const told: number[] = [];
  client.on("events.told", ({ lost }) => told.push(lost));
  const tell = (lost: number) => router.tell("events.told", { subscription: 1, events: [], lost });
  tell(1);
  await eventually(() => told.length > 0);
  client.pause();
  tell(2);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.same(told, [1]);
  client.resume();
  tell(3);
  await eventually(() => told.length > 2);
  t.same(told, [1, 2, 3]);
});

t.test("a router that ends the connection: who waits is told why", async (t) => {
  const { connect, router } = await start(t, ({ method }) => {
    if (method === "zones.list") router.hangUp(1008, "a token is needed now");
    return undefined;
  });
  const client = await connect();
  const message = /the router ended the connection \(1008: a token is needed now\)/;
  await t.rejects(client.call("zones.list", {}), { name: "ConnectionError", message });
  t.match(await client.ended, { message });
});

t.test("our own end is no error", async (t) => {
  const { connect } = await start(t, () => undefined);
  const client = await connect();
  client.close();
  t.equal(await client.ended, undefined);
});

t.test("nobody there: the message says what to do", async (t) => {
  const at = (socket: string) => Client.connect({ at: { socket }, name: "test" });
  await t.rejects(at(join(folder, "none.sock")), {
    name: "ConnectionError",
    message: /none\.sock: there is no such socket; is crosszone running\?/,
  });
  const file = join(folder, "file");
  writeFileSync(file, "");
  await t.rejects(at(file), { message: /file: (nobody listens there|that is no socket)/ });
  const { url } = await gone();
  await t.rejects(Client.connect({ at: { url }, name: "test" }), {
    message: /nobody listens there/,
  });
});

/** A port that nobody listens on. */
async function gone() {
  const router = await Scripted.start(0, () => undefined);
  const url = new URL(router.url);
  await router.stop();
  return { url };
}

t.test("a unix socket whose path has what a URL would take for its own", async (t) => {
  const socket = join(folder, "a:b?c=%41 d.sock");
  const router = await Scripted.start(socket, () => undefined);
  t.teardown(() => router.stop());
  const client = await Client.connect({ at: { socket }, name: "test" });
  client.close();
  t.equal(router.asked.length, 1);
});

t.test("no WebSocket at the other end", async (t) => {
  const answering = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 20\r\n\r\nthis Host is unknown");
    });
  });
  await new Promise<void>((resolve) => answering.listen(join(folder, "http.sock"), resolve));
  t.teardown(() => answering.close());
  await t.rejects(Client.connect({ at: { socket: join(folder, "http.sock") }, name: "test" }), {
    message: /the router refuses the connection: 403 Forbidden: this Host is unknown/,
  });
});

t.test("no TLS at the other end of wss://", async (t) => {
  const router = await Scripted.start(0, () => undefined);
  t.teardown(() => router.stop());
  const url = new URL(router.url.replace("ws:", "wss:"));
  await t.rejects(Client.connect({ at: { url }, name: "test" }), {
    message: `${url.href}: what listens there has no TLS; say ws:// in place of wss://`,
  });
});

t.test("somebody who says nothing", async (t) => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(join(folder, "silent.sock"), resolve));
  t.teardown(() => silent.close());
  const at = { socket: join(folder, "silent.sock") };
  await t.rejects(Client.connect({ at, name: "test", connectMs: 300 }), {
    message: /silent\.sock: no answer within 0.3 s/,
  });
});

t.test(
  "TLS, with a certificate of ours where one is asked for",
  { skip: opensslReason() },
  async (t) => {
    const files = certificates(folder);
    const { cert, key, ca: clientCa } = files;
    const server = await serve(
      { listen: [{ host: "127.0.0.1", port: 0 }], tls: { cert, key, clientCa } },
      {
        answer: () => ({ status: 404 }),
        open(channel) {
          channel.authenticated();
          return {
            onMessage(text) {
              const result = { messageBytes: 1000, conns: 3 };
              channel.send(JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(text).id, result }));
            },
            onDrain() {},
            onClose() {},
          };
        },
      },
    );
    t.teardown(() => server.close());
    const { host, port } = endpoint(server.listening[0]);
    const url = new URL(`wss://${host}:${port}`);
    const read = (path: string) => readFileSync(path);
    const connect = (more: Partial<ClientTarget>) =>
      Client.connect({ at: { url }, name: "test", ...more });
    await t.rejects(connect({}), {
      message: /the router's certificate is signed by nobody that is trusted here .*say --tls-ca/,
    });
    const ca = read(files.ca);
    await t.rejects(connect({ ca }), {
      message: /the router asks for a certificate; say --tls-cert and --tls-key/,
    });
    const own = { ca, cert: read(files.clientCert), key: read(files.clientKey) };
    const client = await connect(own);
    t.teardown(() => client.close());
    t.equal((await client.call("conns.count", {})).conns, 3);
    const strange = { ca, cert: read(files.strangerCert), key: read(files.strangerKey) };
    await t.rejects(connect(strange), { name: "ConnectionError" });
  },
);
