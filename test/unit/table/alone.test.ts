/** Tables and views stand alone: they import nothing, hold nothing, and only tests use their test entry. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

/** Paths of all files below a folder of the project, relative to its root; none where it does not exist. */
function filesBelow(folder: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

function text(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** The sections of a module, by their number in the WebAssembly specification. */
function sections(module: Uint8Array): number[] {
  const found: number[] = [];
  let at = 8;
  while (at < module.length) {
    found.push(module[at++] ?? 0);
    let bytes = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++] ?? 0;
      bytes += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    at += bytes;
  }
  return found;
}

for (const folder of ["assembly/table", "assembly/wire"]) {
  t.test(`${folder} imports nothing from elsewhere`, async (t) => {
    for (const path of filesBelow(folder)) {
      for (const [, from] of text(path).matchAll(/from "([^"]+)"/g)) {
        t.match(from, /^\.\/\w+$/, `${path}: ${from}`);
      }
    }
  });
}

t.test("tables and views need a memory, and keep nothing outside of it", async (t) => {
  const bytes = readFileSync(join(ROOT, "dist/internals.wasm"));
  const module = new WebAssembly.Module(bytes);
  t.same(WebAssembly.Module.imports(module), [{ module: "env", name: "memory", kind: "memory" }]);
  const data = 11;
  t.notOk(sections(bytes).includes(data), "no static data");
  t.ok(
    WebAssembly.Module.exports(module).every(({ kind }) => kind === "function"),
    "no globals",
  );
});

t.test("only tests use internals.wasm", async (t) => {
  const mentions = ["assembly", "host", "firmware"]
    .flatMap(filesBelow)
    .filter((path) => /\.(ts|mjs|js|json|c|h|sh)$/.test(path))
    .filter((path) => /internals(\.js|\.wasm)/.test(text(path)));
  t.same(mentions, []);
});
