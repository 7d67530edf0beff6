/**
 * A router that answers by a script: what the command line's end of the protocol is tried against. It takes any token but
 * those that are said to be unknown.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { RpcError, writeNotification } from "../../host/control/protocol/rpc.js";

export interface Asked {
  readonly method: string;
  readonly params: Record<string, unknown>;
  /** Which connection it came by, from 1. */
  readonly connection: number;
}

/** What a script says of a hello that is not to be answered. */
export const SILENCE = Symbol("no answer");

/** The result, or an RpcError to be answered, or a promise of one; `undefined` is never answered, except that hello is. */
export type Script = (asked: Asked, router: Scripted) => unknown;

export class Scripted {
  readonly asked: Asked[] = [];
  /** The Authorization headers of connections, in their order. */
  readonly authorizations: (string | undefined)[] = [];
  private readonly sockets = new Set<WebSocket>();
  private readonly http = createServer();
  private readonly server = new WebSocketServer({ server: this.http, path: "/rpc" });
  private connections = 0;

  private constructor(private readonly script: Script) {
    this.server.on("connection", (socket, request) => this.greet(socket, request));
  }

  /** @param at  the path of a unix socket, or 0 for a port of 127.0.0.1 */
  static async start(at: string | 0, script: Script): Promise<Scripted> {
    const router = new Scripted(script);
    if (at === 0) router.http.listen(0, "127.0.0.1");
    else router.http.listen(at);
    await once(router.http, "listening");
    return router;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  /** What was asked, less hello. */
  get calls(): string[] {
    return this.asked.map(({ method }) => method).filter((method) => method !== "hello");
  }

  paramsOf(method: string): Record<string, unknown> | undefined {
    return this.asked.find((each) => each.method === method)?.params;
  }

  /** Nobody is connected. */
  get isAlone(): boolean {
    return this.sockets.size === 0;
  }

  tell(method: string, params: object): void {
    for (const socket of this.sockets) socket.send(writeNotification(method, params));
  }

  /** Ends all connections; new ones are taken. */
  hangUp(code = 1001, reason = "the router stops"): void {
    for (const socket of this.sockets) socket.close(code, reason);
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    this.server.close();
    this.http.close();
    await once(this.http, "close");
  }

  private greet(socket: WebSocket, request: IncomingMessage): void {
    const connection = ++this.connections;
    this.authorizations.push(request.headers.authorization);
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("message", (data: Buffer) => {
      const { id, method, params } = JSON.parse(data.toString());
      const asked = { method, params, connection };
      this.asked.push(asked);
      const answer =
        this.script(asked, this) ?? (method === "hello" ? { messageBytes: 65_536 } : undefined);
      if (answer === undefined || answer === SILENCE) return;
      if (answer instanceof Promise) answer.then((late) => say(socket, id, late));
      else say(socket, id, answer);
    });
  }
}

function say(socket: WebSocket, id: unknown, answer: unknown): void {
  const said =
    answer instanceof RpcError
      ? { error: { code: answer.code, message: answer.message, data: answer.data } }
      : { result: answer };
  socket.send(JSON.stringify({ jsonrpc: "2.0", id, ...said }));
}
