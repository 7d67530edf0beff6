/** Two routers on one interface would forward everything twice: the second does not start. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Lab } from "../../host/demo/lab.js";
import { skipReason } from "./tools.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));

function configuration(workers: number, ...interfaces: string[]) {
  return {
    version: 1,
    workers,
    zones: [{ id: 10, name: "a" }],
    devices: interfaces.map((name, i) => {
      return { name, zone: "a", interface: name, addresses: [`10.${i}.0.1/24`] };
    }),
    capacity: { conns: 1024 * workers },
  };
}

t.test("an interface is one router's", { skip: skipReason() }, async (t) => {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const router = await lab.namespace("router");
  const other = await lab.namespace("other");
  for (const name of ["lan", "wan"]) await lab.veth(router, name, other, name);
  const folder = mkdtempSync(join(tmpdir(), "crosszone-claim-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string, ...what: Parameters<typeof configuration>) => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify(configuration(...what)));
    return path;
  };
  const command = (path: string) => {
    return [MAIN, "run", path, "--socket", "none", "--listen", "none"];
  };
  const start = async (path: string) => {
    const child = router.spawn(process.execPath, command(path));
    await child.line("stderr", /^crosszone: running/);
    return child;
  };

  for (const workers of [1, 2]) {
    await t.test(`${workers} workers`, async (t) => {
      const first = await start(file("first", workers, "lan"));
      const second = file("second", workers, "lan");
      const holder = new RegExp(
        `lan: another crosszone has this interface \\(process ${first.pid}\\)`,
      );
      const refused = await router.run(process.execPath, command(second));
      t.match(refused, { status: 1, stderr: holder });

      // What a reload adds is refused, or claimed; what goes is free for others.
      file("second", workers, "wan");
      const beside = await start(second);
      file("second", workers, "wan", "lan");
      beside.signal("SIGHUP");
      await beside.line("stderr", holder);
      file("first", workers);
      first.signal("SIGHUP");
      await first.line("stderr", /configuration reloaded/);
      // It is closed behind the switch.
      for (let tries = 0; tries < 20 && !/reloaded/.test(beside.stderr); tries++) {
        beside.signal("SIGHUP");
        await sleep(250);
      }
      t.match(beside.stderr, /configuration reloaded/);
      file("first", workers, "lan");
      first.signal("SIGHUP");
      await first.line("stderr", new RegExp(`another crosszone .*${beside.pid}`));

      // An interface that returns has another index, and is claimed by that.
      await router.ip("link del lan");
      await beside.line("stderr", /interface lan: lost/);
      await lab.veth(router, "lan", other, "lan");
      await beside.line("stderr", /interface lan: returned/);
      const again = await router.run(process.execPath, command(file("third", workers, "lan")));
      t.match(again, { status: 1, stderr: new RegExp(`another crosszone .*${beside.pid}`) });

      // A kill gives it back, too.
      beside.signal("SIGKILL");
      await beside.exited;
      const last = await start(join(folder, "third"));
      t.equal(await last.stop(), 0);
      t.equal(await first.stop(), 0);
    });
  }
});
