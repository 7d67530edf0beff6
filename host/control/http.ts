/** What is answered by HTTP: whether the router is well, metrics, and the files of the dashboard. */

import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../errortext.js";
import type { Access } from "./access.js";
import { bearerOf } from "./access.js";
import type { House } from "./methods/handlers.js";
import { CHANNEL_PATH, PROTOCOL } from "./protocol/names.js";
import type { Answer, Request } from "./server.js";

/** Where `npm run build` puts them. */
const FILES = fileURLToPath(new URL("../dashboard/", import.meta.url));

/** Bytes of all of them, which are kept in memory. */
const FILES_BYTES_MAX = 8 * 1024 * 1024;

const TYPES: ReadonlyMap<string, string> = new Map([
  [".html", "text/html; charset=utf-8"],
  [".css", "text/css; charset=utf-8"],
  [".js", "text/javascript; charset=utf-8"],
  [".svg", "image/svg+xml"],
  [".woff2", "font/woff2"],
]);

const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

interface File {
  readonly type: string;
  readonly body: Uint8Array;
}

/** What pages ask for that many may ask at once. */
export interface Asked {
  /** Prometheus' text. */
  metrics(): Promise<string>;
  /** Rejects where workers do not answer. */
  health(): Promise<void>;
}

export class Pages {
  private readonly files: ReadonlyMap<string, File>;

  constructor(
    private readonly house: House,
    private readonly access: Access,
    private readonly asked: Asked,
    directory = FILES,
  ) {
    this.files = readFiles(directory);
  }

  async answer(request: Request): Promise<Answer> {
    const { path } = request;
    if (path === "/healthz") return await this.health();
    if (path === "/metrics") return await this.guarded(request, () => this.writeMetrics());
    const file = this.files.get(path === "/" ? "/index.html" : path);
    if (file !== undefined) return found(file);
    if (path === "/") return { status: 200, body: this.welcome() };
    return { status: 404, body: "there is nothing here\n" };
  }

  /** Where there are no files of a dashboard. */
  private welcome(): string {
    return `crosszone ${this.house.version}

${CHANNEL_PATH}      the control plane: a WebSocket, subprotocol ${PROTOCOL} (docs/protocol.md)
/metrics  for Prometheus (docs/telemetry.md)
/healthz  whether the router is well
`;
  }

  /** 200 when all workers answer. Nothing else is told, since nobody is asked who they are. */
  private async health(): Promise<Answer> {
    try {
      await this.asked.health();
      return { status: 200, body: "ok\n" };
    } catch (error) {
      this.house.logbook.debug(`control: not well: ${messageOf(error)}`);
      return { status: 503, body: "the workers do not answer\n" };
    }
  }

  private async writeMetrics(): Promise<Answer> {
    return { status: 200, type: METRICS_TYPE, body: await this.asked.metrics() };
  }

  private async guarded(
    { peer, headers }: Request,
    answer: () => Promise<Answer>,
  ): Promise<Answer> {
    if (this.access.identify(peer) !== undefined) return await answer();
    const token = bearerOf(headers);
    if (token === undefined) return unauthorized("a token is needed");
    const admission = await this.access.admit(token, this.house.clock());
    if (admission.identity !== undefined) return await answer();
    return admission.isBusy
      ? { status: 503, body: `${admission.why}\n` }
      : unauthorized(admission.why);
  }
}

/** RFC 6750 section 3. */
function unauthorized(why: string): Answer {
  const headers = { "WWW-Authenticate": 'Bearer realm="crosszone"' };
  return { status: 401, body: `${why}\n`, headers };
}

function found({ type, body }: File): Answer {
  return { status: 200, type, body };
}

/** All files of a directory by their path; none where there is no such directory. */
function readFiles(directory: string): ReadonlyMap<string, File> {
  const files = new Map<string, File>();
  let bytes = 0;
  for (const name of namesIn(directory)) {
    const type = TYPES.get(extname(name));
    if (type === undefined) continue;
    const body = readFileSync(join(directory, name));
    bytes += body.length;
    if (bytes > FILES_BYTES_MAX)
      throw new Error(`${directory}: more than ${FILES_BYTES_MAX} bytes`);
    files.set(`/${name}`, { type, body });
  }
  return files;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, encoding: "utf8" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
