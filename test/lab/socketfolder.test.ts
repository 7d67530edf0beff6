/** /run/crosszone and the socket in it: whose they are, and that nobody else's are used. */
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Lab } from "../../host/demo/lab.js";
import { skipReason } from "./tools.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const USER = "nobody";
const STRANGER = 4321;

function uidOf(name: string): number {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${name}:`));
  return Number(line?.split(":")[2]);
}

const CONFIGURATION = {
  version: 1,
  zones: [{ id: 10, name: "a" }],
  devices: [{ name: "lan", zone: "a", interface: "eth0", addresses: ["10.1.0.1/24"] }],
  capacity: { conns: 1024 },
};

t.test("the default socket's folder", { skip: skipReason() }, async (t) => {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const router = await lab.namespace("router");
  const host = await lab.namespace("host");
  await lab.veth(router, "eth0", host, "eth0");
  const base = mkdtempSync(join(tmpdir(), "crosszone-folder-"));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  chmodSync(base, 0o755);
  const config = join(base, "config.json");
  writeFileSync(config, JSON.stringify(CONFIGURATION));
  // What each process sees as /run, and nobody else does.
  const run = join(base, "run");
  const folder = join(run, "crosszone");
  const socket = join(folder, "control.sock");
  const afresh = () => {
    rmSync(run, { recursive: true, force: true });
    mkdirSync(run);
  };
  const command = (...args: string[]) => {
    const main = [process.execPath, MAIN, ...args];
    return ["--mount", "sh", "-c", 'mount --bind "$0" /run && exec "$@"', run, ...main];
  };
  const start = (...options: string[]) =>
    router.spawn("unshare", command("run", config, "--listen", "none", ...options));
  const running = async (...options: string[]) => {
    const child = start(...options);
    await child.line("stderr", /^crosszone: running/);
    return child;
  };
  const fails = (...options: string[]) =>
    router.run("unshare", command("run", config, "--listen", "none", ...options));
  const asked = () => router.run("unshare", command("stats"));
  const owner = (path: string) => {
    const { uid, mode } = statSync(path);
    return [uid, mode & 0o777];
  };

  await t.test("root's, whoever the router becomes", async (t) => {
    afresh();
    for (const options of [[], ["--user", USER], []]) {
      const child = await running(...options);
      t.same(owner(folder), [0, 0o755]);
      const [uid, mode] = owner(socket);
      t.equal(uid === 0, options.length === 0, "the socket is the process's");
      t.equal(mode, 0o600);
      const which = `process ${child.pid} on .*, config ${config}`;
      t.match(await asked(), { status: 0, stdout: new RegExp(which) });
      t.equal(await child.stop(), 0);
    }
    t.equal(lstatSync(folder).uid, 0);
  });

  await t.test("another user's: taken over by root, refused by others", async (t) => {
    afresh();
    mkdirSync(folder, { mode: 0o777 });
    chmodSync(folder, 0o777);
    chownSync(folder, STRANGER, STRANGER);
    t.match(await asked(), { status: 1, stderr: /belongs to user 4321.*--socket/ });
    const child = await running();
    t.same(owner(folder), [0, 0o755]);
    await child.stop();

    // Also what is in it and would be the user's.
    const own = join(folder, `${uidOf(USER)}`);
    mkdirSync(own);
    chmodSync(own, 0o777);
    chownSync(own, STRANGER, STRANGER);
    chownSync(folder, STRANGER, STRANGER);
    const users = await running("--user", USER);
    t.same(
      [owner(folder), owner(own)],
      [
        [0, 0o755],
        [uidOf(USER), 0o700],
      ],
    );
    await users.stop();

    chownSync(folder, STRANGER, STRANGER);
    const caps = "+net_raw,+net_admin";
    const drop = ["setpriv", "--reuid", USER, "--clear-groups", "--inh-caps", caps];
    const args = command("run", config, "--listen", "none");
    args.splice(args.indexOf(process.execPath), 0, ...drop, "--ambient-caps", caps);
    const refused = await router.run("unshare", args);
    t.match(refused, { status: 1, stderr: /crosszone belongs to user 4321/ });
    chownSync(folder, 0, 0);
    chmodSync(folder, 0o777);
    t.match(await router.run("unshare", args), { status: 1, stderr: /others than its owner/ });
    t.match(await asked(), { status: 1, stderr: /others than its owner may write/ });
  });

  await t.test("nobody can be told where it is: --user does not start", async (t) => {
    afresh();
    writeFileSync(folder, "");
    t.match(await fails("--user", USER), { status: 1, stderr: /crosszone is no folder/ });
    t.match(await fails(), { status: 1, stderr: /crosszone is no folder/ });
  });

  await t.test("another router answers there", async (t) => {
    afresh();
    mkdirSync(folder);
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(socket, resolve));
    t.teardown(() => other.close());
    const taken = /another router answers at \/run\/crosszone\/control.sock; .* with --socket/;
    t.match(await fails("--user", USER), { status: 1, stderr: taken });
    t.match(await fails(), { status: 1, stderr: taken });
    t.match(await fails("--socket", "/run/crosszone/control.sock"), { status: 1, stderr: taken });
    t.ok(lstatSync(socket).isSocket(), "and still does");
  });
});
