/** No candidate: a cable from the tenant to the server. What is measured through it is the instruments' own cost. */

import type { Candidate, Ends, Running } from "./candidate.js";
import { GENERATOR_MAC, SINK_MAC } from "./plan.js";

async function start({ lab, tenant, server }: Ends): Promise<Running> {
  await lab.cables([
    { at: tenant, name: "eth0", link: `address ${GENERATOR_MAC}` },
    { at: server, name: "eth0", link: `address ${SINK_MAC}` },
  ]);
  return { entry: server, needsGate: false, stop: async () => {} };
}

export const CABLE: Candidate = {
  name: "cable alone",
  about: "from the tenant to the server: the client's own cost and the server's",
  start,
};
