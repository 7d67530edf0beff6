/** Who may import whom (ARCHITECTURE.md), and what the release build is made of. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

interface Import {
  readonly from: string;
  /** Relative to the project, without extension; a package's name where it is one. */
  readonly to: string;
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(ts|mjs)$/.test(path))
    .map((path) => join(folder, path).split(sep).join("/"))
    .sort();
}

function text(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

function importsOf(path: string): Import[] {
  const found = text(path).matchAll(
    /^\s*(?:import|export)\b[^"';]*?from\s+"([^"]+)"|^\s*import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm,
  );
  return Array.from(found, ([, named, bare, dynamic]) => {
    const what = named ?? bare ?? dynamic ?? "";
    const to = what.startsWith(".") ? normalize(join(dirname(path), what)) : what;
    return {
      from: path,
      to: to
        .split(sep)
        .join("/")
        .replace(/\.(js|ts|mjs)$/, ""),
    };
  });
}

const assembly = sources("assembly").flatMap(importsOf);
const host = sources("host").flatMap(importsOf);
const tests = sources("test").flatMap(importsOf);

/** The imports that break a rule, as they are shown. */
function broken(imports: readonly Import[], isAllowed: (each: Import) => boolean): string[] {
  return imports.filter((each) => !isAllowed(each)).map(({ from, to }) => `${from} -> ${to}`);
}

function inside(folder: string): (path: string) => boolean {
  return (path) => path.startsWith(`${folder}/`);
}

t.test("imports are found at all", async (t) => {
  t.ok(assembly.some(({ to }) => to === "assembly/abi"));
  t.ok(host.some(({ to }) => to === "assembly/abi"));
  t.ok(tests.some(({ to }) => to === "host/datapath"));
  t.ok(host.some(({ to }) => to.startsWith("node:")));
});

t.test("tables and views know nothing but their own kind", async (t) => {
  for (const folder of ["assembly/wire", "assembly/table"]) {
    const own = assembly.filter(({ from }) => inside(folder)(from));
    t.ok(own.length > 0);
    t.same(
      broken(own, ({ to }) => inside(folder)(to)),
      [],
      folder,
    );
  }
});

t.test("abi imports nothing: it compiles in both languages", async (t) => {
  t.same(importsOf("assembly/abi.ts"), []);
});

t.test("the configuration knows abi, memory and tables", async (t) => {
  const own = assembly.filter(({ from }) => inside("assembly/config")(from));
  const allowed = ({ to }: Import) =>
    to === "assembly/abi" ||
    to === "assembly/memory" ||
    inside("assembly/table")(to) ||
    inside("assembly/config")(to);
  t.same(broken(own, allowed), []);
});

t.test("translation and the network around it do not know each other", async (t) => {
  for (const [one, other] of [
    ["assembly/nat", "assembly/net"],
    ["assembly/net", "assembly/nat"],
  ] as const) {
    const own = assembly.filter(({ from }) => inside(one)(from));
    t.ok(own.length > 0);
    // A packet is a tuple that knows where it stands: it is shared by both.
    t.same(
      broken(own, ({ to }) => !inside(other)(to)),
      [],
      `${one} and ${other}`,
    );
  }
});

t.test("only the files at the top bring the two together", async (t) => {
  const knows = (folder: string) =>
    new Set(assembly.filter(({ to }) => inside(folder)(to)).map(({ from }) => from));
  const net = knows("assembly/net");
  const both = [...knows("assembly/nat")].filter((path) => net.has(path));
  t.same(both.sort(), [
    "assembly/configure.ts",
    "assembly/handoff.ts",
    "assembly/pcp.ts",
    "assembly/pipeline.ts",
    "assembly/readout.ts",
    "assembly/timers.ts",
    "assembly/trace.ts",
  ]);
});

t.test("steps do not know who calls them", async (t) => {
  const names = ["index", "pipeline", "configure", "readout", "snapshot"];
  const top = names.map((name) => `assembly/${name}`);
  const entry = ({ from }: Import) => from === "assembly/index.ts";
  t.same(
    broken(assembly, (each) => entry(each) || !top.includes(each.to)),
    [],
  );
});

t.test("the datapath imports nothing from outside", async (t) => {
  t.same(
    broken(assembly, ({ to }) => inside("assembly")(to)),
    [],
  );
});

t.test("the host knows the datapath's contract and nothing else of it", async (t) => {
  t.same(
    broken(host, ({ to }) => !inside("assembly")(to) || to === "assembly/abi"),
    [],
  );
});

t.test("only host/datapath.ts instantiates WebAssembly", async (t) => {
  const pattern = /@assemblyscript\/loader|WebAssembly\.(Module|Instance|instantiate|compile)\b/;
  const paths = sources("host").filter((path) => pattern.test(text(path)));
  const touching = paths.filter((path) => !isTypeOnly(path, pattern));
  t.same(touching, ["host/datapath.ts"]);
});

function isTypeOnly(path: string, pattern: RegExp): boolean {
  const lines = text(path).split("\n");
  return lines
    .filter((line) => pattern.test(line))
    .every((line) => /^\s*(\*|\/\/|\/\*)/.test(line));
}

t.test("devices and configuration do not know each other", async (t) => {
  for (const [one, other] of [
    ["host/device", "host/config"],
    ["host/config", "host/device"],
  ] as const) {
    const own = host.filter(({ from }) => inside(one)(from));
    t.same(
      broken(own, ({ to }) => !inside(other)(to)),
      [],
      one,
    );
  }
});

t.test("control stands above the others: only commands know it", async (t) => {
  const outside = host.filter(({ from }) => !inside("host/control")(from));
  t.ok(host.length > outside.length);
  t.same(
    broken(outside, ({ from, to }) => !inside("host/control")(to) || inside("host/cli")(from)),
    [],
  );
});

t.test("only their own files know implementations of control's transport", async (t) => {
  // One of them listens, the other is the command line's end.
  const owners = ["host/control/client.ts", "host/control/wsserver.ts"];
  const users = new Set(host.filter(({ to }) => to === "ws").map(({ from }) => from));
  t.same([...users].sort(), owners);
  const knowing = sources("host").filter((path) => text(path).includes('"uWebSockets.js";'));
  t.same(knowing, ["host/control/uws.ts"]);
});

t.test("uWebSockets.js is installed with Node 20, too", async (t) => {
  // Its package asks for Node 22, though it brings the binary for 20: npm would leave it out without a word.
  const lock = JSON.parse(text("package-lock.json"));
  const entry = lock.packages["node_modules/uWebSockets.js"];
  t.match(entry, { name: "uws-pack", version: "20.0.8", optional: true });
  t.notOk("engines" in entry, "the line `engines` was taken out by hand, see docs/adr/0003");
});

t.test("what outlives the process knows no network and no router", async (t) => {
  const own = host.filter(({ from }) => inside("host/state")(from));
  t.ok(own.length > 0);
  const known = [
    "host/config/json",
    "host/config/error",
    "host/device/libc",
    "host/errortext",
    "valibot",
  ];
  const allowed = ({ to }: Import) =>
    inside("host/state")(to) || to.startsWith("node:") || known.includes(to);
  t.same(broken(own, allowed), []);
});

t.test("only the command line and the control plane know what outlives the process", async (t) => {
  const users = ["host/state", "host/cli", "host/control"];
  const allowed = ({ from, to }: Import) =>
    !inside("host/state")(to) || users.some((folder) => inside(folder)(from));
  t.same(broken(host, allowed), []);
});

t.test("telemetry knows configurations, and of devices the system calls", async (t) => {
  const own = host.filter(({ from }) => inside("host/telemetry")(from));
  const types = ["host/datapath", "host/device/device", "host/orders"];
  const allowed = ({ to }: Import) =>
    to.startsWith("node:") ||
    ["assembly/abi", "valibot"].includes(to) ||
    inside("host/telemetry")(to) ||
    inside("host/config")(to) ||
    ["host/device/libc", "host/device/packet", ...types].includes(to);
  t.ok(own.length > 0);
  t.same(broken(own, allowed), []);
});

t.test("traces know configurations, telemetry, and the datapath as an object", async (t) => {
  const own = host.filter(({ from }) => inside("host/trace")(from));
  const allowed = ({ to }: Import) =>
    ["assembly/abi", "host/datapath", "valibot"].includes(to) ||
    ["host/trace", "host/config", "host/telemetry"].some((folder) => inside(folder)(to));
  t.ok(own.length > 0);
  t.same(broken(own, allowed), []);
});

t.test("nothing imports test", async (t) => {
  t.same(
    broken([...assembly, ...host], ({ to }) => !inside("test")(to)),
    [],
  );
});

t.test("only tests of the tables reach into assembly", async (t) => {
  const allowed = ({ from, to }: Import) =>
    !inside("assembly")(to) || to === "assembly/abi" || from === "test/unit/internals.ts";
  t.same(broken(tests, allowed), []);
});

/** The sections of a module, by their number in the WebAssembly specification. */
function sectionsOf(module: Uint8Array): number[] {
  const found: number[] = [];
  for (let at = 8; at < module.length; ) {
    found.push(module[at++] ?? 0);
    let bytes = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      const byte = module[at++] ?? 0;
      bytes += (byte & 0x7f) * 2 ** shift;
      more = byte >= 0x80;
    }
    at += bytes;
  }
  return found;
}

t.test("the release build", async (t) => {
  const bytes = readFileSync(join(ROOT, "dist/datapath.wasm"));
  const module = new WebAssembly.Module(bytes);
  t.same(
    WebAssembly.Module.imports(module),
    [{ module: "env", name: "memory", kind: "memory" }],
    "imports nothing but memory",
  );
  const exported = [...text("assembly/index.ts").matchAll(/^export function (\w+)/gm)];
  t.same(
    WebAssembly.Module.exports(module)
      .map(({ name, kind }) => `${kind} ${name}`)
      .sort(),
    exported.map(([, name]) => `function ${name}`).sort(),
    "exports what index.ts does",
  );
  const data = 11;
  t.notOk(sectionsOf(bytes).includes(data), "no data: all state is in the arena");
  // What a router with little flash can spare: about 70 kB when packed.
  t.ok(bytes.length < 221184, `${bytes.length} bytes`);
});

t.test("the trace build", async (t) => {
  const bytes = readFileSync(join(ROOT, "dist/datapath-trace.wasm"));
  const module = new WebAssembly.Module(bytes);
  t.same(
    WebAssembly.Module.imports(module).map(({ module, name }) => `${module}.${name}`),
    ["trace.step", "trace.save", "env.memory"],
    "tells its host of each step, and of what it is about to write",
  );
  const exported = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  for (const [, name = ""] of text("assembly/index.ts").matchAll(/^export function (\w+)/gm)) {
    t.ok(exported.has(name), name);
  }
});
