import { readFileSync } from "node:fs";
import { Abi } from "../../assembly/abi.js";
import { type Command, Exit, print, readArgs } from "./command.js";

export const version: Command = {
  name: "version",
  summary: "print the version",
  help: `crosszone version

Prints the version of the program and of the datapath's interface.

Example:
  crosszone version`,

  async run(args) {
    readArgs(args, {}, []);
    const url = new URL("../../../package.json", import.meta.url);
    const pack = JSON.parse(readFileSync(url, "utf8")) as { version: string };
    print(`crosszone ${pack.version} (datapath interface ${Abi.Version})`);
    return Exit.Ok;
  },
};
