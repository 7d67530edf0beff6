/**
 * A host of the lab, run inside a namespace of its own, with ordinary sockets of the kernel:
 *
 *     node endpoint.js serve ADDRESS PORT  echoes UDP and TCP, and says whom it took the sender for
 *     node endpoint.js probe '{"server":…}'  pings, then asks over UDP and TCP; one line of JSON
 *
 * Every answer of the server begins with a line that names the source it saw; the bytes that came
 * follow it unchanged. The line "report" on the server's standard input asks for the echo requests
 * it has answered since the last time, as one line of JSON.
 */
import { createSocket } from "node:dgram";
import { createServer, connect as dial } from "node:net";
import { createInterface } from "node:readline";
import { EchoWatch, Pinger } from "./icmp.js";

/** What a probe is told. */
export interface ProbeOrder {
  server: string;
  port: number;
  /** The same for every tenant: nothing but the zone tells them apart. */
  echoIdentifier: number;
  udpSourcePort: number;
  tcpSourcePort: number;
  /** What it sends, and must get back. */
  text: string;
  pings: number;
}

/** One conversation. `ms` holds round trips; `own` says that what came back is what was sent. */
export interface Answer {
  ms: number[];
  own: boolean;
  /** As the server saw it, "203.0.113.7:40211"; of a ping only the server can say. */
  source?: string;
  error?: string;
}

export type Probe = Record<"icmp" | "udp" | "tcp", Answer>;

/** The echo requests that a server saw. */
export type Report = { source: string; text: string }[];

const TIMEOUT_MS = 3000;
const UDP_TRIES = 3;
const UDP_BUFFER_BYTES = 1 << 22;

function serve(host: string, port: number): void {
  const echoes = new EchoWatch();
  const udp = createSocket("udp4");
  udp.on("message", (bytes, from) => {
    const line = Buffer.from(`${from.address}:${from.port}\n`);
    udp.send(Buffer.concat([line, bytes]), from.port, from.address);
  });
  const tcp = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.write(`${socket.remoteAddress}:${socket.remotePort}\n`);
    socket.pipe(socket);
  });
  udp.bind(port, host, () => {
    // A hundred tenants at once; the kernel gives as much of it as it allows.
    udp.setRecvBufferSize(UDP_BUFFER_BYTES);
    tcp.listen({ port, host, backlog: 1024 }, () => console.log("ready"));
  });
  const orders = createInterface({ input: process.stdin });
  orders.on("line", () => console.log(JSON.stringify(echoes.take())));
  orders.on("close", () => process.exit(0));
}

/** The source line and whether the rest is `text`. */
function read(answer: string, text: string): Pick<Answer, "source" | "own"> {
  const end = answer.indexOf("\n");
  return { source: answer.slice(0, end), own: answer.slice(end + 1) === text };
}

function probeIcmp(order: ProbeOrder): Answer {
  const ms: number[] = [];
  let own = true;
  const pinger = new Pinger(order.echoIdentifier);
  for (let i = 0; i < order.pings; i++) {
    const answer = pinger.ping(order.server, order.text, TIMEOUT_MS);
    if (answer === undefined) return { ms, own: false, error: "no reply" };
    ms.push(answer.ms);
    own &&= answer.own;
  }
  pinger.close();
  return { ms, own };
}

/** RFC 8085 section 3.1: UDP may lose it, so ask again. */
async function probeUdp(order: ProbeOrder): Promise<Answer> {
  const socket = createSocket("udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(order.udpSourcePort, resolve);
    });
    for (let attempt = 0; attempt < UDP_TRIES; attempt++) {
      const began = performance.now();
      const answer = await new Promise<string | undefined>((resolve) => {
        const timer = setTimeout(() => resolve(undefined), TIMEOUT_MS / UDP_TRIES);
        socket.once("message", (bytes) => {
          clearTimeout(timer);
          resolve(bytes.toString());
        });
        socket.send(order.text, order.port, order.server);
      });
      if (answer !== undefined) {
        return { ms: [performance.now() - began], ...read(answer, order.text) };
      }
    }
    return { ms: [], own: false, error: "no answer" };
  } finally {
    socket.close();
  }
}

/** The round trip is that of the handshake. */
function probeTcp(order: ProbeOrder): Promise<Answer> {
  return new Promise((resolve) => {
    const began = performance.now();
    const ms: number[] = [];
    let received = "";
    const options = { host: order.server, port: order.port, localPort: order.tcpSourcePort };
    const socket = dial({ ...options, timeout: TIMEOUT_MS }, () => {
      ms.push(performance.now() - began);
      socket.end(order.text);
    });
    socket.on("data", (bytes: Buffer) => {
      received += bytes.toString();
    });
    socket.on("end", () => resolve({ ms, ...read(received, order.text) }));
    socket.on("timeout", () => socket.destroy(new Error("no answer")));
    socket.on("error", (error) => resolve({ ms, own: false, error: error.message }));
  });
}

async function probe(order: ProbeOrder): Promise<Probe> {
  return { icmp: probeIcmp(order), udp: await probeUdp(order), tcp: await probeTcp(order) };
}

const [role, first = "", second = ""] = process.argv.slice(2);
if (role === "serve") serve(first, Number(second));
else if (role === "probe") console.log(JSON.stringify(await probe(JSON.parse(first))));
