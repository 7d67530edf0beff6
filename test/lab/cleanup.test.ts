/**
 * `crosszone demo` leaves nothing behind, at whatever moment and however it ends. What belongs to a run
 * is known by a word in its environment, which every process that it starts inherits.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { skipReason } from "./tools.js";

const skip = skipReason("lsns");
const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const GRACE_MS = 10_000;
/** Gateway, server, two tenants. */
const NAMESPACES = 4;
/** What the demo calls its interfaces. */
const INTERFACES = /^(lan-|wan|eth0@)/;

t.setTimeout(180_000);

/** Processes that carry the word, with the network namespace of each. */
function belonging(word: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, "latin1").includes(word)) continue;
      found.set(pid, readlinkSync(`/proc/${pid}/ns/net`).replace(/\D/g, ""));
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

/** Our own, in which a demo begins. */
const OWN = readlinkSync("/proc/self/ns/net").replace(/\D/g, "");

/**
 * Network namespaces, each with a process in it, if there is one: open files and mounts keep a namespace alive, too.
 * The kernel gives the number of one that has gone to the next one, which may be somebody else's.
 */
function namespaces(): [namespace: string, pid: string | undefined][] {
  const run = spawnSync("lsns", ["-t", "net", "-n", "-r", "-o", "NS,PID"], { encoding: "utf8" });
  const lines = run.stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => line.trim().split(/\s+/) as [string, string | undefined]);
}

function interfaces(): string[] {
  const run = spawnSync("ip", ["-br", "link"], { encoding: "utf8" });
  return run.stdout.split("\n").filter((line) => INTERFACES.test(line));
}

class Run {
  readonly word = `CROSSZONE_RUN=${randomUUID()}`;
  readonly seen = new Set<string>();
  readonly exited: Promise<number | null>;
  readonly process: ChildProcess;
  output = "";

  constructor(temporary: string) {
    const [name = "", value] = this.word.split("=");
    this.process = spawn(process.execPath, [MAIN, "demo"], {
      env: { ...process.env, [name]: value, TMPDIR: temporary, npm_lifecycle_event: undefined },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process.stdout?.on("data", (text: Buffer) => {
      this.output += text;
    });
    this.exited = new Promise((resolve) => this.process.on("exit", resolve));
  }

  /** Waits until `moment`: milliseconds since the start, or a text in its output. */
  async until(moment: number | RegExp): Promise<void> {
    const began = performance.now();
    const reached = () =>
      typeof moment === "number" ? performance.now() - began > moment : moment.test(this.output);
    while (!reached() && performance.now() - began < GRACE_MS) {
      for (const namespace of belonging(this.word).values()) this.seen.add(namespace);
      await sleep(20);
    }
  }

  /** What is still there when everything has had time to go. */
  async remains(): Promise<string[]> {
    const began = performance.now();
    for (;;) {
      const processes = belonging(this.word);
      const isOurs = (pid = "0") => pid === "0" || processes.has(pid);
      const alive = namespaces().filter(([each, pid]) => this.seen.has(each) && isOurs(pid));
      const left = [
        ...[...processes.keys()].map((pid) => `process ${pid}`),
        ...alive.map(([each]) => `namespace ${each}`),
      ];
      if (left.length === 0 || performance.now() - began > GRACE_MS) return left;
      await sleep(50);
    }
  }
}

/** From before the first namespace to when everything runs. */
const MOMENTS: [name: string, moment: number | RegExp][] = [
  ["after 60 ms", 60],
  ["after 150 ms", 150],
  ["after 300 ms", 300],
  ["after 500 ms", 500],
  ["after 900 ms", 900],
  ["when it stays up", /Ctrl-C ends it/],
];

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
  for (const [name, moment] of MOMENTS) {
    t.test(`${signal} ${name}`, { skip }, async (t) => {
      const temporary = t.testdir({});
      const before = interfaces();
      const run = new Run(temporary);
      await run.until(moment);
      if (moment instanceof RegExp) {
        const made = [...run.seen].filter((each) => each !== OWN);
        t.ok(made.length >= NAMESPACES, "there is something to leave");
      }
      run.process.kill(signal);
      const late = sleep(GRACE_MS, "late", { ref: false });
      t.not(await Promise.race([run.exited, late]), "late", "it ends");
      t.strictSame(await run.remains(), [], "no process, no namespace");
      t.strictSame(interfaces(), before, "no interface");
      t.strictSame(readdirSync(temporary), [], "no file");
    });
  }
}
