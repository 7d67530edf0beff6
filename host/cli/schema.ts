import { configSchemaText } from "../config/schema.js";
import { protocolReference } from "../control/protocol/reference.js";
import { protocolSchemaText } from "../control/protocol/schema.js";
import { type Command, Exit, readArgs, UsageError } from "./command.js";

export const schema: Command = {
  name: "schema",
  summary: "print the JSON Schema of configurations, or of the protocol",
  help: `crosszone schema [config|protocol] [--markdown]

Prints the JSON Schema of configurations, for editors and other tools, or those of the control plane's
methods.

  --markdown  the protocol's methods as tables for people

Examples:
  crosszone schema > crosszone.schema.json
  crosszone schema protocol > protocol.schema.json`,

  async run(args) {
    const options = { markdown: { type: "boolean", default: false } } as const;
    const { values, positionals } = readArgs(args, options, [], ["WHICH"]);
    process.stdout.write(textOf(positionals[0] ?? "config", values.markdown));
    return Exit.Ok;
  },
};

function textOf(which: string, isMarkdown: boolean): string {
  if (which === "protocol") return isMarkdown ? protocolReference() : protocolSchemaText();
  if (which !== "config") {
    throw new UsageError(`config or protocol expected, found '${which}'`);
  }
  if (isMarkdown) throw new UsageError("--markdown: of the protocol only; see docs/config.md");
  return configSchemaText();
}
