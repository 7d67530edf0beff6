import { runDemo } from "../demo/demo.js";
import { type Command, readArgs } from "./command.js";

export const demo: Command = {
  name: "demo",
  summary: "show two tenants with one address behind one public address",
  help: `crosszone demo [--once]

Builds two tenants that both are 192.168.0.10, a server and one public address, sends ping, UDP and TCP
through crosszone, and shows each tenant's result and the conn table. As root on Linux this happens in
network namespaces with the real kernel; elsewhere in memory. Runs until Ctrl-C and leaves nothing behind.

  --once  exit after showing the results

Example:
  sudo crosszone demo --once`,

  async run(args) {
    const { values } = readArgs(args, { once: { type: "boolean", default: false } }, []);
    return runDemo({ once: values.once });
  },
};
