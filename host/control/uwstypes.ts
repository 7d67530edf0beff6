/**
 * As much of uWebSockets.js 20 as is used. Its own types come with the package, which is not there on every
 * machine that builds.
 */

export type ListenToken = { readonly listenToken: unique symbol };
export type UpgradeContext = { readonly upgradeContext: unique symbol };

export interface UwsResponse {
  writeStatus(text: string): UwsResponse;
  writeHeader(name: string, value: string): UwsResponse;
  /** In chunks. False: it waits in memory, until onWritable. */
  write(piece: Uint8Array): boolean;
  end(body: Uint8Array, closeConnection: boolean): UwsResponse;
  /** As much as goes now; the length is what is announced. */
  tryEnd(body: Uint8Array, length: number): [isWritten: boolean, isDone: boolean];
  close(): UwsResponse;
  cork(act: () => void): UwsResponse;
  onWritable(act: (offset: number) => boolean): UwsResponse;
  onAborted(act: () => void): UwsResponse;
  /** 4 or 16 bytes; none of a unix socket, or where the peer is gone. */
  getRemoteAddress(): ArrayBuffer;
  upgrade<Data>(
    data: Data,
    key: string,
    protocol: string,
    extensions: string,
    context: UpgradeContext,
  ): void;
}

export interface UwsRequest {
  getMethod(): string;
  getUrl(): string;
  getQuery(): string | undefined;
  forEach(each: (name: string, value: string) => void): void;
}

export interface UwsSocket<Data> {
  getUserData(): Data;
  getBufferedAmount(): number;
  send(message: Uint8Array, isBinary: boolean): number;
  ping(): number;
  end(code: number, reason: string): void;
  close(): void;
}

export interface UwsBehavior<Data> {
  readonly compression: number;
  readonly maxPayloadLength: number;
  readonly maxBackpressure: number;
  readonly idleTimeout: number;
  readonly sendPingsAutomatically: boolean;
  upgrade(response: UwsResponse, request: UwsRequest, context: UpgradeContext): void;
  open(socket: UwsSocket<Data>): void;
  message(socket: UwsSocket<Data>, message: ArrayBuffer, isBinary: boolean): void;
  ping(socket: UwsSocket<Data>, message: ArrayBuffer): void;
  pong(socket: UwsSocket<Data>, message: ArrayBuffer): void;
  drain(socket: UwsSocket<Data>): void;
  close(socket: UwsSocket<Data>, code: number, message: ArrayBuffer): void;
}

export interface UwsApp {
  /** Called with 1 for a connection that comes, with -1 for one that goes before it is a WebSocket. */
  filter(each: (response: UwsResponse, count: number) => void): UwsApp;
  any(pattern: string, answer: (response: UwsResponse, request: UwsRequest) => void): UwsApp;
  ws<Data>(pattern: string, behavior: UwsBehavior<Data>): UwsApp;
  listen(host: string, port: number, done: (token: ListenToken | false) => void): UwsApp;
  listen_unix(done: (token: ListenToken | false) => void, path: string): UwsApp;
  close(): UwsApp;
}

export interface Uws {
  App(): UwsApp;
  SSLApp(files: { cert_file_name: string; key_file_name: string }): UwsApp;
  us_listen_socket_close(token: ListenToken): void;
  us_socket_local_port(token: ListenToken): number;
  readonly DISABLED: number;
  /** "silent" leaves its name out of answers. */
  _cfg?(key: string): void;
}
