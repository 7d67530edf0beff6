import { configSchemaText } from "../config/schema.js";
import { Exit } from "./command.js";
import { command, verb } from "./definition.js";

export const schema = command(
  "Run and check",
  verb({
    name: "schema",
    summary: "print the JSON Schema of configurations",
    text: "Prints the JSON Schema of configurations, for editors and other tools.",
    args: [],
    options: {},
    examples: ["schema > crosszone.schema.json"],

    act() {
      process.stdout.write(configSchemaText());
      return Exit.Ok;
    },
  }),
);
