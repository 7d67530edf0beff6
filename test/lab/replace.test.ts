/** `crosszone run --replace`: what cannot be changed while it runs is changed by the next start, as a revision. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Lab } from "../../host/demo/lab.js";
import { Client } from "../harness/plane.js";
import { skipReason } from "./tools.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));

function configuration(workers: number) {
  return {
    version: 1,
    workers,
    zones: [{ id: 10, name: "a" }],
    devices: [{ name: "lan", zone: "a", interface: "eth0", addresses: ["10.1.0.1/24"] }],
    capacity: { conns: 1024 * workers },
  };
}

t.test("another number of workers", { skip: skipReason() }, async (t) => {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const router = await lab.namespace("router");
  const host = await lab.namespace("host");
  await lab.veth(router, "eth0", host, "eth0");
  const folder = mkdtempSync(join(tmpdir(), "crosszone-replace-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const config = join(folder, "config.json");
  const socket = join(folder, "socket");
  const options = ["--state", join(folder, "state"), "--socket", socket, "--listen", "none"];
  /** Runs it, and says what runs then: its workers, and the history. */
  const runs = async (workers: number, ...more: string[]) => {
    writeFileSync(config, JSON.stringify(configuration(workers)));
    const child = router.spawn(process.execPath, [MAIN, "run", config, ...options, ...more]);
    await child.line("stderr", /^crosszone: running/);
    const client = await Client.open(`ws+unix:${socket}:/rpc`, {});
    const status = await client.call("status.get");
    const { revisions } = await client.call("config.history");
    const refused = await client.ask("config.apply", {
      config: configuration(3),
      base: status.revision.number,
    });
    client.end();
    t.equal(await child.stop(), 0);
    t.match(refused.error, { code: 4, message: /a restart with this configuration/ });
    return [status.workers.length, revisions.map((each: { number: number }) => each.number)];
  };
  t.same(await runs(1), [1, [1]]);
  t.same(await runs(2), [1, [1]], "the revision goes on, whatever CONFIG says");
  t.same(await runs(2, "--replace"), [2, [1, 2]]);
  t.same(await runs(2, "--replace"), [2, [1, 2]], "the same again is no other revision");
  t.same(await runs(1), [2, [1, 2]]);
  const nothing = await router.run(process.execPath, [MAIN, "run", ...options, "--replace"]);
  t.match(nothing, { status: 2, stderr: /--replace: CONFIG is missing/ });
});
