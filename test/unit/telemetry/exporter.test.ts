/** The queue in front of a collector: what it holds, what it loses, and what it says of that. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { Exporter, type ExporterOptions } from "../../../host/telemetry/exporter.js";
import { jsonLines } from "../../../host/telemetry/jsonlog.js";
import { type Done, FileLink, type Link, TcpLink, UdpLink } from "../../../host/telemetry/link.js";
import { syslogLines } from "../../../host/telemetry/syslog.js";
import { session } from "../../harness/events.js";

/** A collector that does as it is told. */
class Collector implements Link {
  readonly name = "collector";
  readonly bytes = 65536;
  readonly retryMaxMs = 500;
  isOpen = false;
  onBreak: Link["onBreak"] = () => {};
  /** Lines that have arrived. */
  readonly lines: string[] = [];
  mode: "takes" | "refuses" | "stalls" = "takes";

  open(done: Done): void {
    this.isOpen = true;
    done();
  }
  send(message: Uint8Array, done: Done): void {
    if (this.mode === "refuses") setImmediate(() => done(new Error("refused")));
    if (this.mode !== "takes") return;
    this.lines.push(...String(Buffer.from(message)).trim().split("\n"));
    setImmediate(done);
  }
  close(): void {
    this.isOpen = false;
  }
}

function make(link: Link, options: Partial<ExporterOptions> = {}) {
  const notices: string[] = [];
  const exporter = new Exporter({
    format: jsonLines(),
    link,
    queue: 100,
    rate: undefined,
    wall: Date.now,
    monotonic: () => performance.now(),
    notice: (text) => notices.push(text),
    ...options,
  });
  return { exporter, notices };
}

async function until(is: () => boolean, what: string): Promise<void> {
  for (let n = 0; n < 2000; n++) {
    if (is()) return;
    await sleep(10);
  }
  throw new Error(`not within twenty seconds: ${what}`);
}

t.test(
  "a queue is bounded; what is lost is counted, told to the operator and in the stream",
  async (t) => {
    const link = new Collector();
    link.mode = "refuses";
    const { exporter, notices } = make(link);
    for (let n = 0; n < 250; n++) exporter.offer(session({ port: n }));
    await until(() => exporter.status.failures > 1, "it tries again");
    t.match(exporter.status, { isUp: false, queued: 100, lostInQueue: 150, events: 0 });
    t.same(notices, ["collector: refused; events wait, and are tried again"], "once");
    link.mode = "takes";
    await until(() => exporter.status.queued === 0, "all is sent");
    t.match(exporter.status, { isUp: true, events: 100 });
    t.equal(link.lines.length, 101);
    t.match(JSON.parse(link.lines[0] ?? ""), { event: "events-lost", count: 150 });
    t.same(
      link.lines.slice(1).map((line) => JSON.parse(line).port),
      Array.from({ length: 100 }, (_, n) => n),
      "the oldest, in order",
    );
    t.match(notices[1], /works again/);
    await exporter.stop(1000);
  },
);

t.test("a collector that takes nothing holds up nobody, and stopping is bounded", async (t) => {
  const link = new Collector();
  link.mode = "stalls";
  const { exporter, notices } = make(link);
  for (let n = 0; n < 100; n++) exporter.offer(session());
  await sleep(50);
  const before = performance.now();
  await exporter.stop(200);
  t.ok(performance.now() - before < 10_000);
  t.match(notices.at(-1), /100 events are lost at the end/);
  t.equal(exporter.status.lostInQueue, 100);
  exporter.offer(session());
  t.equal(exporter.status.lostInQueue, 100, "nothing is taken any more");
});

t.test("stopping sends what waits", async (t) => {
  const link = new Collector();
  const { exporter } = make(link);
  for (let n = 0; n < 100; n++) exporter.offer(session());
  await exporter.stop(1000);
  t.equal(link.lines.length, 100);
  t.notOk(link.isOpen);
});

t.test("a rate is kept", async (t) => {
  const link = new Collector();
  let now = 0;
  const { exporter } = make(link, { rate: 20, monotonic: () => now });
  for (let n = 0; n < 60; n++) exporter.offer(session());
  for (const [ms, events] of [
    [0, 20],
    [500, 30],
    [1000, 40],
  ] as const) {
    now = ms;
    await until(() => link.lines.length >= events, `${events} after ${ms} ms`);
    await sleep(100);
    t.equal(link.lines.length, events, `${ms} ms`);
  }
  await exporter.stop(100);
});

/**
 * A socket that is connected to somebody else: to all others the kernel answers as if nobody were there. `disconnect` makes
 * it hear them at once.
 */
async function deaf(t: Test, heard: (text: string) => void = () => {}): Promise<UdpSocket> {
  const bound = async (port: number) => {
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    await new Promise<void>((resolve) => socket.bind(port, "127.0.0.1", resolve));
    return socket;
  };
  // A port that the kernel has chosen would be gone with the connection, one that is named stays.
  const first = await bound(0);
  const socket = await bound(first.address().port);
  first.close();
  t.teardown(() => socket.close());
  socket.on("message", (message) => heard(String(message)));
  await new Promise<void>((resolve) => socket.connect(DISCARD, "127.0.0.1", () => resolve()));
  return socket;
}

/** RFC 863; whether somebody is there is of no interest. */
const DISCARD = 9;

t.test("UDP: nobody there, then somebody", async (t) => {
  const found: string[] = [];
  const server = await deaf(t, (text) => found.push(text));
  const options = { facility: "local0", hostname: "h", processId: 1, counted: false } as const;
  const notices: string[] = [];
  const { exporter } = make(new UdpLink("127.0.0.1", server.address().port, 1500), {
    format: syslogLines(options),
    notice: (text) => {
      // Before it tries again, however long that takes.
      if (notices.push(text) === 1) server.disconnect();
    },
  });
  exporter.offer(session({ port: 1000 }));
  await until(() => !exporter.status.isUp, "it notices");
  t.match(notices, [/ECONNREFUSED; events wait/]);
  for (let n = 1; n < 5; n++) exporter.offer(session({ port: 1000 + n }));
  await until(() => found.some((line) => line.includes("1004")), "the last one has come");
  await until(() => exporter.status.queued === 0, "and that is known");
  const sessions = found.filter((line) => line.includes("session-created"));
  t.equal(sessions.length, 4);
  t.match(exporter.status, { events: 5, lostOnTheWay: 1 }, "what was sent to nobody is counted");
  t.ok(found.some((line) => line.includes(" events-lost ")));
  await exporter.stop(1000);
});

t.test("UDP: an error that meets the next message is about the one before", async (t) => {
  const server = await deaf(t);
  const link = new UdpLink("127.0.0.1", server.address().port, 1500);
  await new Promise<void>((resolve) => link.open(() => resolve()));
  let broken = 0;
  link.onBreak = () => broken++;
  const ends: unknown[] = [];
  await new Promise<void>((resolve) => {
    link.send(Buffer.from("first"), (error) => {
      ends.push(error?.message);
      // Nobody looks whether an answer has come, and it comes: on the loopback mostly before `send` is through.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
      link.send(Buffer.from("second"), (second, wasBefore) => {
        ends.push([(second as NodeJS.ErrnoException | undefined)?.code, wasBefore]);
        resolve();
      });
    });
  });
  link.close();
  t.same([ends, broken], [[undefined, ["ECONNREFUSED", true]], 0]);
});

async function listen(
  port: number,
  heard: (text: string, socket: Socket) => void,
): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("data", (data) => heard(String(data), socket));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return server;
}

t.test("TCP: a collector that is restarted gets what came meanwhile", async (t) => {
  let text = "";
  let last: Socket | undefined;
  const heard = (more: string, socket: Socket) => {
    text += more;
    last = socket;
  };
  const first = await listen(0, heard);
  const { port } = first.address() as { port: number };
  const { exporter, notices } = make(new TcpLink("127.0.0.1", port));
  exporter.offer(session({ port: 1 }));
  await until(() => text.includes('"port":1,'), "the first has come");
  first.close();
  last?.destroy();
  await until(() => !exporter.status.isUp, "it notices");
  exporter.offer(session({ port: 2 }));
  await sleep(300);
  const second = await listen(port, heard);
  await until(() => text.includes('"port":2,'), "the second has come");
  t.match(notices[0], /events wait, and are tried again/);
  t.match(notices[1], /works again/);
  await exporter.stop(1000);
  second.close();
  last?.destroy();
});

t.test("TCP: one that does not read is bounded by the queue", async (t) => {
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const { exporter } = make(new TcpLink("127.0.0.1", port), { queue: 2000 });
  for (let n = 0; n < 200 && exporter.status.lostInQueue === 0; n++) {
    for (let i = 0; i < 500; i++) exporter.offer(session());
    await sleep(1);
  }
  t.ok(exporter.status.lostInQueue > 0);
  t.ok(exporter.status.queued <= 2000);
  await exporter.stop(100);
  for (const socket of sockets) socket.destroy();
  server.close();
});

t.test("a file that was moved away is made anew when it is opened again", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "crosszone-log-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "events.jsonl");
  const { exporter, notices } = make(new FileLink(path));
  exporter.offer(session({ port: 1 }));
  await until(() => exporter.status.events === 1, "the first is written");
  renameSync(path, `${path}.1`);
  exporter.reopen();
  exporter.offer(session({ port: 2 }));
  await exporter.stop(1000);
  t.match(readFileSync(`${path}.1`, "utf8"), '"port":1,');
  t.match(JSON.parse(readFileSync(path, "utf8")), { port: 2 });
  t.same(notices, []);
});

t.test("a folder that is not there is waited for", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "crosszone-log-"));
  rmSync(folder, { recursive: true });
  const { exporter, notices } = make(new FileLink(join(folder, "x")));
  exporter.offer(session());
  await until(() => !exporter.status.isUp, "it notices");
  t.match(notices[0], /ENOENT.*events wait/);
  await exporter.stop(100);
});
