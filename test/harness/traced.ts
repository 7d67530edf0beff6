/** To be loaded before a suite (`node --import`): traces each frame first, and says at the end how many those were. */

import { Router } from "./router.js";
import { type Seen, watching } from "./trace.js";

const seen: Seen = { verdicts: new Map(), steps: new Set(), handedOn: 0 };

Router.watcher = watching(seen);

process.on("exit", () => {
  const traces = [...seen.verdicts.values()].reduce((sum, each) => sum + each, 0);
  console.log(`# ${traces} traces, ${seen.handedOn} over several workers`);
});
