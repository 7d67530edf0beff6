/** A mutation applied: to a text, and to a build of the datapath of its own. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Mutation } from "./mutations.js";

/** The project's root: this file runs from dist/test/mutate. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** A mutation that is out of date. */
export class MutationError extends Error {}

/** The source with the behaviour broken. */
export function mutate(source: string, { find, replace }: Mutation): string {
  const times = source.split(find).length - 1;
  if (times !== 1) throw new MutationError(`its \`find\` stands there ${times} times, not once`);
  if (find === replace) throw new MutationError("changes nothing");
  return source.replace(find, () => replace);
}

/**
 * Builds the release module of a copy of assembly/, with a mutation or as it is, below `folder`, which is emptied.
 * Returns the module's path.
 */
export function buildModule(folder: string, mutation?: Mutation): string {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  cpSync(join(ROOT, "assembly"), join(folder, "assembly"), { recursive: true });
  cpSync(join(ROOT, "asconfig.json"), join(folder, "asconfig.json"));
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  if (mutation !== undefined) {
    const file = join(folder, "assembly", mutation.file);
    writeFileSync(file, mutate(readFileSync(file, "utf8"), mutation));
  }
  const compiler = join(ROOT, "node_modules/assemblyscript/bin/asc.js");
  const options = ["assembly/index.ts", "--target", "release"];
  const ended = spawnSync(process.execPath, [compiler, ...options], {
    cwd: folder,
    encoding: "utf8",
  });
  if (ended.status !== 0) throw new MutationError(`does not compile: ${firstLine(ended.stderr)}`);
  return join(folder, "dist/datapath.wasm");
}

function firstLine(text: string): string {
  return text.trim().split("\n")[0] ?? "";
}
