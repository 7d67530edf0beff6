import { configSchemaText } from "../config/schema.js";
import { Exit, UsageError } from "./command.js";
import { command, verb } from "./definition.js";

export const schema = command(
  "Run and check",
  verb({
    name: "schema",
    summary: "print the JSON Schema of configurations, or of the protocol",
    text: "Prints the JSON Schema of configurations, for editors and other tools, or those of the control plane's methods.",
    args: [{ name: "WHICH", help: "config (if not given) or protocol", isOptional: true }],
    options: {
      markdown: { type: "boolean", help: "the protocol's methods as tables for people" },
    },
    usage: ["[config|protocol] [--markdown]"],
    examples: ["schema > crosszone.schema.json", "schema protocol > protocol.schema.json"],

    async act({ values, args: [which = "config"] }) {
      process.stdout.write(await textOf(which, values.markdown));
      return Exit.Ok;
    },
  }),
);

async function textOf(which: string, isMarkdown: boolean): Promise<string> {
  if (which === "protocol") return await protocolText(isMarkdown);
  if (which !== "config") {
    throw new UsageError(`config or protocol expected, found '${which}'`);
  }
  if (isMarkdown) throw new UsageError("--markdown: of the protocol only; see docs/config.md");
  return configSchemaText();
}

/** Loaded when it is wanted: other commands start without it. */
async function protocolText(isMarkdown: boolean): Promise<string> {
  if (isMarkdown) return (await import("../control/protocol/reference.js")).protocolReference();
  return (await import("../control/protocol/schema.js")).protocolSchemaText();
}
