/** Opens eth0, says "open" and holds it until standard input ends; with --worker in a worker thread. */
import { parentPort, Worker } from "node:worker_threads";
import { Arena, macOf } from "./interface.js";

/** @param whenOver  takes what is to be done at the end */
async function hold(whenOver: (close: () => void) => void): Promise<void> {
  const arena = await Arena.create();
  const device = arena.openHere({ name: "eth0", macs: [macOf("02:00:5e:00:00:01")] });
  console.log("open");
  whenOver(() => device.close());
}

try {
  if (parentPort !== null) {
    const port = parentPort;
    await hold((close) => {
      port.once("message", () => {
        close();
        port.close();
      });
    });
  } else if (process.argv[2] === "--worker") {
    const worker = new Worker(new URL(import.meta.url));
    process.stdin.on("end", () => worker.postMessage("end")).resume();
  } else {
    await hold((close) => process.stdin.resume().on("end", close));
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
