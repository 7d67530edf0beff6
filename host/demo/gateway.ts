/** `crosszone run` as a process of its own inside a namespace: the real thing, not its parts. */
import { fileURLToPath } from "node:url";
import type { ConnView } from "../telemetry/conn.js";
import type { Child } from "./child.js";
import type { Namespace } from "./lab.js";
import { NamelessFile } from "./nameless.js";

/** Asks the running command for its conn table: one line of JSON on its standard output. */
const LIST_SIGNAL = "SIGUSR2";

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));

export class Gateway {
  private listed = 0;

  private constructor(
    readonly child: Child,
    private readonly config: NamelessFile,
  ) {}

  /** Resolves when it forwards. */
  static async start(at: Namespace, config: object): Promise<Gateway> {
    const file = new NamelessFile(JSON.stringify(config));
    const child = at.spawn(process.execPath, [MAIN, "run", file.path, "--socket", "none"]);
    const gateway = new Gateway(child, file);
    await child.line("stderr", /^crosszone: running/);
    return gateway;
  }

  async conns(): Promise<ConnView[]> {
    this.child.signal(LIST_SIGNAL);
    const line = await this.child.line("stdout", /^\{"conns"/, 60_000, this.listed);
    this.listed = this.child.stdout.toString().split("\n").length - 1;
    return (JSON.parse(line) as { conns: ConnView[] }).conns;
  }

  /** Its exit code. */
  async stop(): Promise<number> {
    const status = await this.child.stop();
    this.config.close();
    return status;
  }
}
