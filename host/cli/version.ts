import { Abi } from "../../assembly/abi.js";
import { packageVersion } from "../version.js";
import { Exit, print } from "./command.js";
import { command, verb } from "./definition.js";

export const version = command(
  "Tools",
  verb({
    name: "version",
    summary: "print the version",
    text: "Prints the version of the program and of the datapath's interface.",
    args: [],
    options: {},
    examples: ["version"],

    act() {
      print(`crosszone ${packageVersion()} (datapath interface ${Abi.Version})`);
      return Exit.Ok;
    },
  }),
);
