/** A Python that has a module: Debian's packages are Debian's Python's, and another may stand in front of it. */

import { execFileSync } from "node:child_process";

const CANDIDATES = ["/usr/bin/python3", "python3"];

/** Its command; undefined when none has it. */
export function pythonWith(module: string): string | undefined {
  return CANDIDATES.find((command) => {
    try {
      execFileSync(command, ["-c", `import ${module}`], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  });
}
