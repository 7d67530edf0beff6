import { Abi } from "../../assembly/abi.js";
import { packageVersion } from "../version.js";
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
    print(`crosszone ${packageVersion()} (datapath interface ${Abi.Version})`);
    return Exit.Ok;
  },
};
