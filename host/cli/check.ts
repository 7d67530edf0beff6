import { writeFileSync } from "node:fs";
import { compileImage } from "../config/compile.js";
import { Exit, print } from "./command.js";
import { CONFIG_ARGUMENT, loadConfig } from "./configfile.js";
import { command, verb } from "./definition.js";

export const check = command(
  "Run and check",
  verb({
    name: "check",
    summary: "check a configuration without running it",
    text: "Checks a configuration and lists everything that is wrong with it.",
    args: [CONFIG_ARGUMENT],
    options: {
      flows: {
        type: "boolean",
        help: "also list all flows in the order they are asked, those made of nat and forwards included",
      },
      image: {
        type: "string",
        value: "FILE",
        names: "file",
        help: "also write the config image, the form in which the datapath takes it",
      },
    },
    examples: ["check edge.json --flows"],

    act({ values, args }) {
      const config = loadConfig(args[0] ?? "");
      checked(config, values.image, values.flows);
      return Exit.Ok;
    },
  }),
);

/** Says that a configuration is good, and how much there is of it. */
export function checked(
  config: ReturnType<typeof loadConfig>,
  imagePath: string | undefined,
  listsFlows: boolean,
): void {
  const image = compileImage(config);
  if (imagePath !== undefined) writeFileSync(imagePath, image);
  const { zones, devices, routes, pools, flows } = config;
  print(
    `ok: ${zones.length} zones, ${devices.length} devices, ${routes.length} routes, ` +
      `${pools.length} pools, ${flows.length} flows, image of ${image.length} bytes`,
  );
  if (listsFlows) for (const flow of flows) print(flow.text);
}
