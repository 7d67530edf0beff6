/**
 * A router that runs in namespaces of the test's own, with its control plane on the test's own loopback, and a client that
 * shares no code with ours: the `ws` library, and JSON as the specification has it.
 *
 *     far eth0 ── near eth0 (device lan, zone a)      near eth1 (device wan, zone public) ── far eth1
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { type ClientOptions, WebSocket } from "ws";
import { Control } from "../../host/control/control.js";
import { Logbook } from "../../host/control/logbook.js";
import { Router } from "../../host/control/router.js";
import type { ImplementationName, ServeOptions } from "../../host/control/server.js";
import { Lab, type Namespace } from "../../host/demo/lab.js";
import { StateDirectory } from "../../host/state/files.js";
import { Store } from "../../host/state/revisions.js";
import { Tokens } from "../../host/state/tokens.js";
import { volatileDisk } from "../../host/state/volatile.js";
import { inside } from "./inside.js";

export type Document = ReturnType<typeof planeDocument>;

/** Any configuration of the plane's router. */
export function planeDocument(changes: Readonly<Record<string, unknown>> = {}) {
  return {
    version: 1,
    zones: [
      { id: 10, name: "a", limits: { conns: 4000 } },
      { id: 20, name: "public" },
    ],
    devices: [
      {
        name: "lan",
        port: 1,
        zone: "a",
        interface: "eth0",
        mac: "02:00:00:00:00:01",
        addresses: ["10.0.255.254/16"],
      },
      {
        name: "wan",
        port: 2,
        zone: "public",
        interface: "eth1",
        mac: "02:00:00:00:00:03",
        addresses: ["203.0.113.2/24"],
      },
    ],
    routes: [{ zone: "public", to: "0.0.0.0/0", via: "203.0.113.1" }],
    neighbors: [{ zone: "public", address: "203.0.113.1", mac: "02:00:00:00:00:02" }],
    pools: [{ name: "p1", zone: "public", addresses: ["203.0.113.64"] }],
    nat: [{ from: ["a"], to: "public", pool: "p1" }],
    flows: [] as string[],
    capacity: { conns: 8192 },
    ...changes,
  };
}

export interface PlaneOptions {
  readonly implementation?: ImplementationName;
  /** Default: a volatile one. */
  readonly directory?: string;
  /** Whether tokens are kept in the directory. */
  readonly hasTokens?: boolean;
  readonly serve?: Partial<ServeOptions>;
  /** Default: true. */
  readonly trustsLoopback?: boolean;
  readonly document?: object;
}

/** Calls back at the end: a test. */
interface Ending {
  teardown(end: () => unknown): unknown;
}

export class Plane {
  /** What the router has said. */
  readonly said: string[] = [];
  readonly clients: Client[] = [];

  private constructor(
    readonly lab: Lab,
    readonly near: Namespace,
    readonly far: Namespace,
    readonly directory: string,
    readonly tokens: Tokens | undefined,
  ) {}

  router!: Router;
  control!: Control;
  private store!: StateDirectory;

  static async start(t: Ending, options: PlaneOptions = {}): Promise<Plane> {
    const lab = await Lab.create();
    t.teardown(() => lab.close());
    const near = await lab.namespace("near");
    const far = await lab.namespace("far");
    await lab.veth(near, "eth0", far, "eth0");
    await lab.veth(near, "eth1", far, "eth1");
    const directory = options.directory ?? "";
    const tokens = options.hasTokens === true ? Tokens.open(directory) : undefined;
    const plane = new Plane(lab, near, far, directory, tokens);
    t.teardown(() => plane.stop());
    await plane.begin(options);
    return plane;
  }

  /** Begins (again), as a process does. */
  async begin(options: PlaneOptions = {}): Promise<void> {
    const { directory } = this;
    this.store =
      directory === "" ? StateDirectory.hold("/", volatileDisk()) : StateDirectory.hold(directory);
    const logbook = new Logbook((text) => this.said.push(text), Date.now);
    logbook.level = "debug";
    const clock = () => ({ wallMs: Date.now(), monotonicMs: performance.now() });
    const store = Store.open(this.store, clock());
    for (const notice of store.notices) logbook.notice(notice);
    const text = JSON.stringify(options.document ?? planeDocument());
    const first = store.current === undefined ? { text, name: "test" } : undefined;
    const seed = new Uint8Array(16);
    this.router = await inside(this.near.pid, () =>
      Router.start({ store, first, seed, logbook, clock }),
    );
    this.control = await Control.start({
      router: this.router,
      logbook,
      tokens: this.tokens,
      version: "0.0.0",
      startedAt: performance.timeOrigin,
      files: { state: directory === "" ? undefined : directory },
      trustsLoopback: options.trustsLoopback ?? true,
      clock,
      serve: {
        listen: [{ host: "127.0.0.1", port: 0 }],
        implementation: options.implementation,
        ...options.serve,
      },
    });
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.end();
    await this.control?.stop();
    await this.router?.stop();
    this.store?.release();
  }

  get url(): string {
    return `ws://${this.control.listening[0]}/rpc`;
  }

  get httpUrl(): string {
    return `http://${this.control.listening[0]}`;
  }

  async connect(options: ClientOptions = {}, url = this.url): Promise<Client> {
    const client = await Client.open(url, options);
    this.clients.push(client);
    return client;
  }
}

export interface Failure {
  readonly code: number;
  readonly message: string;
  readonly data?: {
    readonly problems?: readonly { path: string; expected: string; found: string }[];
    readonly refusal?: string;
    readonly path?: string;
  };
}

interface Reply {
  readonly id?: number | string | null;
  readonly result?: unknown;
  readonly error?: Failure;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
}

/** What a test looks into. */
// biome-ignore lint/suspicious/noExplicitAny: answers are checked against their schemas where they are asked for
export type Any = any;

export class Client {
  /** Everything that came, parsed. */
  readonly came: Reply[] = [];
  readonly told: Reply[] = [];
  closed: { readonly code: number; readonly reason: string } | undefined;
  private readonly waiting = new Map<number | string, (reply: Reply) => void>();
  private lastId = 0;

  private constructor(readonly socket: WebSocket) {
    socket.on("message", (data) => this.take(JSON.parse(String(data))));
    socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      for (const settle of this.waiting.values()) {
        settle({ error: { code: Number.NaN, message: `closed with ${code}` } });
      }
    });
    socket.on("error", () => {});
  }

  static async open(url: string, options: ClientOptions): Promise<Client> {
    const socket = new WebSocket(url, "crosszone.v1", options);
    const client = new Client(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("open", () => resolve());
      socket.once("error", reject);
    });
    return client;
  }

  private take(message: Reply | Reply[]): void {
    for (const reply of [message].flat()) {
      this.came.push(reply);
      if (reply.method !== undefined) this.told.push(reply);
      else if (reply.id !== undefined && reply.id !== null) this.waiting.get(reply.id)?.(reply);
    }
  }

  send(text: string): void {
    this.socket.send(text);
  }

  /** The whole reply. */
  ask(method: string, params?: unknown): Promise<Reply> {
    const id = ++this.lastId;
    return new Promise((resolve) => {
      this.waiting.set(id, (reply) => {
        this.waiting.delete(id);
        resolve(reply);
      });
      this.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  /** The result; throws where there is an error. */
  async call(method: string, params?: unknown): Promise<Any> {
    const { result, error } = await this.ask(method, params);
    if (error !== undefined) throw new Error(`${method}: ${error.code} ${error.message}`);
    return result;
  }

  /** The error; throws where there is none. */
  async fail(method: string, params?: unknown): Promise<Failure> {
    const { error, result } = await this.ask(method, params);
    if (error === undefined) throw new Error(`${method}: ${JSON.stringify(result)}`);
    return error;
  }

  end(): void {
    this.socket.terminate();
  }
}

export function temporary(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), "crosszone-plane-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
