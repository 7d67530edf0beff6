import { writeFileSync } from "node:fs";
import { compileImage } from "../config/compile.js";
import { type Command, Exit, print, readArgs } from "./command.js";
import { loadConfig } from "./configfile.js";

export const check: Command = {
  name: "check",
  summary: "check a configuration without running it",
  help: `crosszone check CONFIG [--flows] [--image FILE]

Checks a configuration and lists everything that is wrong with it. CONFIG is a JSON file, or - for
standard input.

  --flows       also list all flows in the order they are asked, those made of nat and forwards included
  --image FILE  also write the config image, the form in which the datapath takes it

Example:
  crosszone check edge.json --flows`,

  async run(args) {
    const options = {
      flows: { type: "boolean", default: false },
      image: { type: "string" },
    } as const;
    const { values, positionals } = readArgs(args, options, ["CONFIG"]);
    const config = loadConfig(positionals[0] ?? "");
    const image = compileImage(config);
    if (values.image !== undefined) writeFileSync(values.image, image);
    const { zones, devices, routes, pools, flows } = config;
    print(
      `ok: ${zones.length} zones, ${devices.length} devices, ${routes.length} routes, ` +
        `${pools.length} pools, ${flows.length} flows, image of ${image.length} bytes`,
    );
    if (values.flows) for (const flow of flows) print(flow.text);
    return Exit.Ok;
  },
};
