import { configSchemaText } from "../config/schema.js";
import { type Command, Exit, readArgs } from "./command.js";

export const schema: Command = {
  name: "schema",
  summary: "print the JSON Schema of configurations",
  help: `crosszone schema

Prints the JSON Schema of configurations, for editors and other tools.

Example:
  crosszone schema > crosszone.schema.json`,

  async run(args) {
    readArgs(args, {}, []);
    process.stdout.write(configSchemaText());
    return Exit.Ok;
  },
};
