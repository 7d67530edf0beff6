import { command, verb } from "./definition.js";

export const demo = command(
  "Run and check",
  verb({
    name: "demo",
    summary: "show two tenants with one address behind one public address",
    text:
      "Builds two tenants that both are 192.168.0.10, a server and one public address, sends ping, UDP and TCP " +
      "through crosszone, and shows each tenant's result and the conn table. As root on Linux this happens in " +
      "network namespaces with the real kernel; elsewhere in memory. Runs until Ctrl-C and leaves nothing behind.",
    args: [],
    options: { once: { type: "boolean", help: "exit after showing the results" } },
    examples: ["sudo crosszone demo --once"],

    async act({ values }) {
      // Loaded when it is wanted: other commands start without it.
      const { runDemo } = await import("../demo/demo.js");
      return await runDemo({ once: values.once });
    },
  }),
);
