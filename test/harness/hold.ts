/**
 * Opens eth0 by a driver, says "open" and holds it until standard input ends: hold.js [DRIVER [--worker]]. With
 * --worker in a worker thread.
 */
import { parentPort, Worker, workerData } from "node:worker_threads";
import { Arena, type DriverName, macOf } from "./interface.js";

/** @param whenOver  takes what is to be done at the end */
async function hold(driver: DriverName, whenOver: (close: () => void) => void): Promise<void> {
  const arena = await Arena.create();
  const device = arena.openHere({ driver, name: "eth0", macs: [macOf("02:00:5e:00:00:01")] });
  console.log("open");
  whenOver(() => device.close());
}

const driver = (process.argv[2] ?? "afpacket") as DriverName;

try {
  if (parentPort !== null) {
    const port = parentPort;
    await hold(workerData as DriverName, (close) => {
      port.once("message", () => {
        close();
        port.close();
      });
    });
  } else if (process.argv[3] === "--worker") {
    const worker = new Worker(new URL(import.meta.url), { workerData: driver });
    process.stdin.on("end", () => worker.postMessage("end")).resume();
  } else {
    await hold(driver, (close) => process.stdin.resume().on("end", close));
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
