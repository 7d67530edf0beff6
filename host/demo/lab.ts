/**
 * Network namespaces and the cables between them, for the demo and for the lab tests.
 *
 * Nothing stays behind, not even after SIGKILL, because nothing here has a name outside: a namespace
 * is no file in /run/netns but belongs to a holder, a process that waits for the end of its standard
 * input. The kernel closes that pipe when this process dies, however it dies; the holder ends, and
 * with it the namespace and every cable that has an end in it. Commands run inside get a
 * parent-death signal. Cables are made inside the namespaces and never seen in the one around them.
 *
 * Needs Linux, root, and `ip` (iproute2), `unshare`, `nsenter`, `setpriv` (util-linux).
 */
import { spawnSync } from "node:child_process";
import { type Child, ENVIRONMENT, start } from "./child.js";

/** How a command ended: its exit code, or 128 + the number that stands for its signal in a shell. */
export interface Result {
  status: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** Handed to the command as its standard input, which then ends. */
  input?: string | Buffer;
  /** Milliseconds after which the command is killed. */
  timeoutMs?: number;
}

export interface SpawnOptions {
  /** The command begins only when a line is written to its standard input. */
  gate?: boolean;
  env?: Record<string, string>;
}

/** Without IPv6 a link carries nothing but what the test sends and the ARP that goes with it. */
const HOLDER = `
for each in all default; do
  [ ! -e /proc/sys/net/ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/$each/disable_ipv6
done
echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range
ip link set lo up && echo ready && exec cat > /dev/null`;

/** What is left when a lab closes is of no interest any more. */
const CLOSE_GRACE_MS = 3000;

/** The signal is asked for after the fork, when the parent may be dead already: then do not begin. */
const GUARD = `[ "$PPID" = "$0" ] || exit 125; exec "$@"`;
const GATED_GUARD = `[ "$PPID" = "$0" ] || exit 125; read -r go || exit 125; exec "$@"`;

export class Namespace {
  private readonly children = new Set<Child>();

  constructor(
    readonly name: string,
    private readonly holder: Child,
  ) {}

  get pid(): number {
    return this.holder.pid;
  }

  /** What a person types to look inside. */
  enter(command: string): string {
    return `nsenter --net=/proc/${this.pid}/ns/net ${command}`;
  }

  spawn(command: string, args: string[], options: SpawnOptions = {}): Child {
    const child = start(
      "sh",
      [
        "-c",
        options.gate ? GATED_GUARD : GUARD,
        String(process.pid),
        "nsenter",
        `--net=/proc/${this.pid}/ns/net`,
        command,
        ...args,
      ],
      options.env,
    );
    this.children.add(child);
    child.exited.then(() => this.children.delete(child));
    return child;
  }

  async run(command: string, args: string[], options: RunOptions = {}): Promise<Result> {
    const child = this.spawn(command, args);
    if (options.input !== undefined) child.write(options.input);
    child.end();
    const timer = setTimeout(() => child.signal("SIGKILL"), options.timeoutMs ?? 60_000);
    const status = await child.exited;
    clearTimeout(timer);
    return { status, stdout: child.stdout.toString(), stderr: child.stderr };
  }

  /** Runs it and hands out what it printed; throws when it fails. */
  async must(command: string, args: string[], options: RunOptions = {}): Promise<string> {
    const result = await this.run(command, args, options);
    if (result.status === 0) return result.stdout;
    const said = result.stderr.trim() || `exit code ${result.status}`;
    throw new Error(`${this.name}: ${command} ${args.join(" ")}: ${said}`);
  }

  /** Many `ip` commands in one process, e.g. "link set eth0 up". */
  async ip(...commands: string[]): Promise<void> {
    await this.must("ip", ["-batch", "-"], { input: `${commands.join("\n")}\n` });
  }

  async close(): Promise<void> {
    await Promise.all([...this.children].map((child) => child.stop("SIGTERM", CLOSE_GRACE_MS)));
    this.holder.end();
    await this.holder.stop("SIGKILL");
  }
}

/** One end of a cable: the interface's name and what `ip link` says of it, e.g. "address 02:…". */
export interface End {
  at: Namespace;
  name: string;
  link?: string;
}

export interface LabOptions {
  /** Senders hand over segments of up to 64 KiB, as the stacks of containers and virtual machines do. */
  senderOffload?: boolean;
}

export class Lab {
  private readonly namespaces = new Map<string, Namespace>();
  private closing: Promise<void> | undefined;

  private constructor(private readonly senderOffload: boolean) {}

  static async create({ senderOffload = false }: LabOptions = {}): Promise<Lab> {
    const reason = labSupport();
    if (reason !== undefined) throw new Error(reason);
    return new Lab(senderOffload);
  }

  async namespace(name: string): Promise<Namespace> {
    if (this.closing) throw new Error("the lab is closed");
    const holder = start("unshare", ["--net", "sh", "-c", HOLDER]);
    const namespace = new Namespace(name, holder);
    this.namespaces.set(name, namespace);
    await holder.line("stdout", /^ready$/);
    return namespace;
  }

  /** A cable with its two ends up. */
  veth(a: Namespace, nameA: string, b: Namespace, nameB: string): Promise<void> {
    return this.cables([
      { at: a, name: nameA },
      { at: b, name: nameB },
    ]);
  }

  /**
   * Many cables at once, each made in the namespace of its first end.
   *
   * A cable has no wire that would cut what a sender's stack left whole, while a router on a real
   * wire never sees such a segment; therefore the ends cut for themselves, unless the lab was made
   * with `senderOffload`.
   */
  async cables(...cables: [End, End][]): Promise<void> {
    const add = new Map<Namespace, string[]>();
    const raise = new Map<Namespace, string[]>();
    const push = (to: Map<Namespace, string[]>, at: Namespace, command: string) =>
      to.set(at, [...(to.get(at) ?? []), command]);
    for (const [near, far] of cables) {
      const peer = `peer ${this.describe(far)} netns ${far.at.pid}`;
      push(add, near.at, `link add ${this.describe(near)} type veth ${peer}`);
      for (const end of [near, far]) push(raise, end.at, `link set ${end.name} up`);
    }
    for (const step of [add, raise]) {
      await Promise.all([...step].map(([at, commands]) => at.ip(...commands)));
    }
  }

  private describe({ name, link = "" }: End): string {
    return `name ${name} ${link} ${this.senderOffload ? "" : "gso_max_segs 1"}`;
  }

  /** Ends every command and every namespace. May be called at any moment, and more than once. */
  close(): Promise<void> {
    this.closing ??= Promise.all([...this.namespaces.values()].map((each) => each.close())).then(
      () => {},
    );
    return this.closing;
  }
}

/** Says in one line why a lab cannot be built here; undefined when it can. */
export function labSupport(): string | undefined {
  if (process.platform !== "linux") return "network namespaces need Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const attempts: [tool: string, args: string[], reason: string][] = [
    ["ip", ["-V"], "`ip` is missing (Debian package iproute2)"],
    ["nsenter", ["-V"], "`nsenter` is missing (Debian package util-linux)"],
    ["setpriv", ["--pdeathsig", "KILL", "true"], "`setpriv --pdeathsig` is missing (util-linux)"],
    ["unshare", ["--net", "true"], "the kernel refuses a network namespace"],
    [
      "unshare",
      ["--net", "ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0"],
      "the kernel has no veth interfaces",
    ],
  ];
  for (const [tool, args, reason] of attempts) {
    const tried = spawnSync(tool, args, { env: ENVIRONMENT, encoding: "utf8" });
    if (tried.status !== 0) return reason;
  }
  return undefined;
}
