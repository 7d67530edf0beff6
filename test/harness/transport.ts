/** What tests of the control plane's transport share: handlers that write down, certificates, waiting. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import {
  type Answer,
  type Channel,
  type ChannelEvents,
  type Handlers,
  type ImplementationName,
  type Listen,
  type Request,
  type ServeOptions,
  type Server,
  serve,
} from "../../host/control/server.js";

/** One channel, as the session would see it. It sends back what it is told. */
export class Talk implements ChannelEvents {
  readonly messages: string[] = [];
  readonly ends: (readonly [code: number, reason: string])[] = [];
  drains = 0;

  constructor(readonly channel: Channel) {}

  onMessage(text: string): void {
    this.messages.push(text);
    this.channel.send(text);
  }
  onDrain(): void {
    this.drains++;
  }
  onClose(code: number, reason: string): void {
    this.ends.push([code, reason]);
  }
  get code(): number | undefined {
    return this.ends[0]?.[0];
  }
}

export class Desk implements Handlers {
  readonly talks: Talk[] = [];
  readonly requests: Request[] = [];
  whenOpened = (channel: Channel) => channel.authenticated();

  answer(request: Request): Answer | Promise<Answer> {
    this.requests.push(request);
    if (request.path === "/") return { status: 200, type: "text/html", body: "<p>hello" };
    return { status: 404, body: "not there\n" };
  }
  open(channel: Channel): ChannelEvents {
    const talk = new Talk(channel);
    this.talks.push(talk);
    this.whenOpened(channel);
    return talk;
  }
  get last(): Talk {
    const talk = this.talks.at(-1);
    if (talk === undefined) throw new Error("no channel");
    return talk;
  }
}

export interface Running {
  readonly server: Server;
  readonly desk: Desk;
  readonly notices: string[];
  /** Of the first listen, for net.connect. */
  readonly to: { readonly host: string; readonly port: number };
}

export async function start(
  t: Test,
  implementation: ImplementationName | undefined,
  options: ServeOptions = {},
  desk = new Desk(),
): Promise<Running> {
  const notices: string[] = [];
  const server = await serve(
    {
      listen: [{ host: "127.0.0.1", port: 0 }],
      implementation,
      onNotice: (text) => notices.push(text),
      ...options,
    },
    desk,
  );
  t.teardown(() => server.close());
  return { server, desk, notices, to: endpoint(server.listening[0]) };
}

export function endpoint(listen: Listen | undefined): { host: string; port: number } {
  if (listen === undefined || "path" in listen) return { host: "", port: 0 };
  return listen;
}

/** Waits for it; the test says afterwards whether it has come. */
export async function eventually(isTrue: () => boolean, timeoutMs = 20_000): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (!isTrue() && Date.now() < deadline) await new Promise((done) => setTimeout(done, 10));
  return isTrue();
}

export function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), "crosszone-transport-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export function opensslReason(): string | false {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    return "openssl is not installed";
  }
}

export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly clientCert: string;
  readonly clientKey: string;
  /** Of a CA that nobody knows. */
  readonly strangerCert: string;
  readonly strangerKey: string;
}

export function certificates(at: string): Certificates {
  const path = (name: string) => join(at, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "pipe" });
  const authority = (name: string) => {
    const files = ["-keyout", path(`${name}.key`), "-out", path(`${name}.pem`)];
    const subject = ["-subj", `/CN=${name}`, "-days", "2"];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl("req", "-x509", ...curve, ...files, ...subject);
  };
  const signed = (name: string, by: string, extension: string) => {
    const request = path(`${name}.csr`);
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    const files = ["-keyout", path(`${name}.key`), "-out", request, "-subj", `/CN=${name}`];
    openssl("req", "-new", ...curve, ...files);
    writeFileSync(path(`${name}.ext`), extension);
    const ca = ["-CA", path(`${by}.pem`), "-CAkey", path(`${by}.key`), "-CAcreateserial"];
    const out = ["-out", path(`${name}.pem`), "-days", "2", "-extfile", path(`${name}.ext`)];
    openssl("x509", "-req", "-in", request, ...ca, ...out);
  };
  authority("ca");
  authority("nobody");
  signed("router", "ca", "subjectAltName=IP:127.0.0.1,DNS:localhost");
  signed("operator", "ca", "extendedKeyUsage=clientAuth");
  signed("stranger", "nobody", "extendedKeyUsage=clientAuth");
  return {
    ca: path("ca.pem"),
    cert: path("router.pem"),
    key: path("router.key"),
    clientCert: path("operator.pem"),
    clientKey: path("operator.key"),
    strangerCert: path("stranger.pem"),
    strangerKey: path("stranger.key"),
  };
}
