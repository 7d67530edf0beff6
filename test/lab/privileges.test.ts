/** `crosszone run --user`: what is left of root's rights, and that a router needs no more. */
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Lab } from "../../host/demo/lab.js";
import { Client } from "../harness/plane.js";
import { skipReason } from "./tools.js";

const MAIN = fileURLToPath(new URL("../../host/main.js", import.meta.url));
const USER = "nobody";
/** CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK and CAP_BPF: linux/capability.h. */
const KEPT = "0000008000007000";

function configuration(address: string) {
  return {
    version: 1,
    zones: [{ id: 10, name: "a" }],
    devices: [
      { name: "lan", zone: "a", interface: "eth0", addresses: ["10.1.0.1/24"] },
      { name: "other", zone: "a", interface: "eth1", addresses: [address] },
    ],
    capacity: { conns: 1024 },
  };
}

t.test("the rights that are left", { skip: skipReason("ping") }, async (t) => {
  const lab = await Lab.create();
  t.teardown(() => lab.close());
  const router = await lab.namespace("router");
  const host = await lab.namespace("host");
  await lab.veth(router, "eth0", host, "eth0");
  await lab.veth(router, "eth1", host, "eth1");
  await host.ip("addr add 10.1.0.9/24 dev eth0", "addr add 10.3.0.9/24 dev eth1");
  const folder = mkdtempSync(join(tmpdir(), "crosszone-user-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o777);
  const config = join(folder, "config.json");
  const state = join(folder, "state");
  const socket = join(folder, "socket");
  const { devices, ...rest } = configuration("10.2.0.1/24");
  writeFileSync(config, JSON.stringify({ ...rest, devices: devices.slice(0, 1) }));
  const options = ["--state", state, "--socket", socket, "--listen", "none", "--user"];
  const unknown = await router.run(process.execPath, [MAIN, "run", config, ...options, "no-one"]);
  t.match(unknown, { status: 2, stderr: /--user: there is no user 'no-one'/ });
  const child = router.spawn(process.execPath, [MAIN, "run", config, ...options, USER]);
  await child.line("stderr", /^crosszone: running/);

  const tasks = readdirSync(`/proc/${child.pid}/task`);
  t.ok(tasks.length > 2, `${tasks.length} threads`);
  const uid = statSync(state).uid;
  t.not(uid, 0, "the state is the user's");
  for (const task of tasks) {
    const status = readFileSync(`/proc/${child.pid}/task/${task}/status`, "utf8");
    for (const set of ["CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb"]) {
      t.match(status, new RegExp(`^${set}:\t${KEPT}$`, "m"));
    }
    t.match(status, new RegExp(`^Uid:\t${uid}\t${uid}\t${uid}\t${uid}$`, "m"));
    t.match(status, /^NoNewPrivs:\t1$/m);
  }
  await host.must("ping", ["-c", "1", "-W", "5", "10.1.0.1"]);

  // An interface that comes later is opened with what is left.
  const client = await Client.open(`ws+unix:${socket}:/rpc`, {});
  t.teardown(() => client.end());
  await client.call("config.apply", { config: configuration("10.3.0.1/24"), base: 1 });
  await host.must("ping", ["-c", "1", "-W", "5", "10.3.0.1"]);
  t.equal(statSync(socket).mode & 0o777, 0o600);
  t.equal(await child.stop(), 0);

  const root = join(folder, "root");
  const roots = router.spawn(process.execPath, [
    ...[MAIN, "run", config, "--state", root],
    ...["--socket", socket, "--listen", "none"],
  ]);
  await roots.line("stderr", /^crosszone: running/);
  await roots.stop();
  const others = ["--state", root, "--user", USER];
  const refused = await router.run(process.execPath, [MAIN, "run", config, ...others]);
  t.match(refused, { status: 2, stderr: /root is not nobody's, or .*chown -R nobody/ });

  // Something in it that root has made since.
  writeFileSync(join(state, "later"), "");
  const mixed = await router.run(process.execPath, [MAIN, "run", config, ...options, USER]);
  t.match(mixed, { status: 2, stderr: /state is not nobody's, or .*chown -R nobody/ });
  rmSync(join(state, "later"));

  // Root's link to a folder of that user's is as good as the folder.
  const link = join(folder, "link");
  symlinkSync(state, link);
  const linked = router.spawn(process.execPath, [
    ...[MAIN, "run", config, "--state", link, "--user", USER],
    ...["--socket", "none", "--listen", "none"],
  ]);
  await linked.line("stderr", /^crosszone: running/);
  t.equal(await linked.stop(), 0);

  // What that user cannot read is told before interfaces are opened.
  const key = join(folder, "srv.key");
  writeFileSync(key, "", { mode: 0o600 });
  const nowhere = join(folder, "nowhere.json");
  const [device] = devices;
  const elsewhere = { ...rest, devices: [{ ...device, interface: "nowhere" }] };
  writeFileSync(nowhere, JSON.stringify(elsewhere));
  const tls = ["--tls-cert", config, "--tls-key", key];
  const locked = [MAIN, "run", nowhere, "--user", USER, "--socket", "none", ...tls];
  const closed = await router.run(process.execPath, locked);
  t.match(closed, { status: 1, stderr: new RegExp(`srv.key: TLS: user ${uid} cannot read it`) });
});
