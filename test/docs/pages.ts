/** Pages, and parts of pages, that are made of the code: what they should say. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../../host/cli/commands.js";
import { manualPage } from "../../host/cli/man.js";
import { configSchemaText } from "../../host/config/schema.js";
import { protocolReference } from "../../host/control/protocol/reference.js";
import { protocolSchemaText } from "../../host/control/protocol/schema.js";
import { REASON_GROUPS } from "../../host/telemetry/reasons.js";

/** This runs from dist/test/docs. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** By path from the root. */
export function madePages(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/crosszone.8", manualPage(COMMANDS)],
    ["docs/protocol-reference.md", protocolReference()],
    ["docs/protocol.schema.json", protocolSchemaText()],
    ["docs/config.schema.json", configSchemaText()],
    ["docs/counters.md", withReasons(readFileSync(join(ROOT, "docs/counters.md"), "utf8"))],
  ]);
}

/** The page with each group's table below its heading; everything else is as it was written. */
function withReasons(page: string): string {
  return REASON_GROUPS.reduce((text, { title, reasons }) => {
    const rows = Object.entries(reasons).map(([reason, { means, todo }]) => {
      return `| \`${reason}\` | ${means} | ${todo} |\n`;
    });
    const table = `| Reason | what it means | what to do |\n|---|---|---|\n${rows.join("")}`;
    const section = new RegExp(`(^## ${title}\\n\\n)(?:\\|.*\\n)*`, "m");
    if (!section.test(text)) throw new Error(`docs/counters.md has no heading "${title}"`);
    return text.replace(section, (_, heading: string) => heading + table);
  }, page);
}
