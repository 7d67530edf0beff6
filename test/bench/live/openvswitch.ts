/**
 * Open vSwitch with its datapath in user space: its database and its switch run inside the namespace, with their
 * sockets and files in a folder of their own. One zone for both directions, which is all that it has; the port is
 * kept where it can be. Where ports are not polled by threads of their own (AF_PACKET), the main thread does it.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Child } from "../../../host/demo/child.js";
import type { Namespace } from "../../../host/demo/lab.js";
import {
  type Candidate,
  type Ends,
  need,
  type Running,
  stopAll,
  Unavailable,
  wireServer,
  wireTenant,
} from "./candidate.js";
import {
  CANDIDATE_CORE,
  EXTERNAL,
  GENERATOR_MAC,
  LAN_MAC,
  onCore,
  SINK_MAC,
  TENANT_ZONE,
  WAN_MAC,
} from "./plan.js";
import { raiseSetting } from "./setting.js";

export type Netdev = "afpacket" | "afxdp";

const PACKAGE = "openvswitch-switch";
const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";

/** Ends of programs are long; the reason is in the last line. */
const REASON_CHARACTERS = 200;

const FLOWS = `
table=0,priority=10,ip,in_port=lan,actions=ct(commit,zone=${TENANT_ZONE},nat(src=${EXTERNAL})),dec_ttl,mod_dl_src:${WAN_MAC},mod_dl_dst:${SINK_MAC},output:wan
table=0,priority=10,ip,in_port=wan,actions=ct(zone=${TENANT_ZONE},nat,table=1)
table=0,priority=0,actions=drop
table=1,priority=10,ip,ct_state=+est,actions=dec_ttl,mod_dl_src:${LAN_MAC},mod_dl_dst:${GENERATOR_MAC},output:lan
table=1,priority=0,actions=drop
`;

/**
 * Its sockets have the system's usual room, 208 KiB, and a frame of the generator counts as a whole page: 52 of
 * them. It has no setting of its own for that.
 */
const RECEIVE_ROOM = "/proc/sys/net/core/rmem_default";
const RECEIVE_BYTES = 16 * 1024 * 1024;

/** Folders that are there; a process that ends leaves none. */
const folders = new Set<string>();
process.once("exit", () => folders.forEach(removeFolder));

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "crosszone-ovs-"));
  folders.add(folder);
  return folder;
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

/** The two programs, and the commands that talk to them. */
class Switch {
  private readonly children: Child[] = [];
  private readonly folder = makeFolder();

  constructor(private readonly at: Namespace) {}

  private get environment(): Record<string, string> {
    const { folder } = this;
    return { OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder };
  }

  private get database(): string {
    return `unix:${this.folder}/db.sock`;
  }

  async start(): Promise<void> {
    const file = join(this.folder, "conf.db");
    await this.at.must("ovsdb-tool", ["create", file, SCHEMA]);
    this.spawn("ovsdb-server", [file, `--remote=p${this.database}`]);
    await this.configure("--retry", "--no-wait", "init");
    // Beside the main thread there are others, which must not run on the generator's core.
    this.spawn(...onCore(CANDIDATE_CORE, "ovs-vswitchd", this.database, "--pidfile"));
  }

  configure(...args: string[]): Promise<string> {
    const options = [`--db=${this.database}`, "--timeout=15", ...args];
    return this.at.must("ovs-vsctl", options);
  }

  async addFlows(bridge: string, flows: string): Promise<void> {
    const target = `unix:${this.folder}/${bridge}.mgmt`;
    await this.at.must("ovs-ofctl", ["add-flows", target, "-"], { input: flows.trimStart() });
  }

  async stop(): Promise<void> {
    await stopAll(this.children.reverse());
    removeFolder(this.folder);
  }

  private spawn(command: string, args: string[]): void {
    this.children.push(this.at.spawn(command, args, { env: this.environment }));
  }
}

/** Ports of the type, on a bridge of its own. */
async function addBridge(own: Switch, netdev: Netdev): Promise<void> {
  const polled = (1 << CANDIDATE_CORE).toString(16);
  const port = (name: string) => [
    ...["add-port", "br0", name],
    ...(netdev === "afxdp" ? ["--", "set", "Interface", name, "type=afxdp"] : []),
  ];
  await own.configure(
    ...["set", "Open_vSwitch", ".", `other_config:pmd-cpu-mask=0x${polled}`],
    ...["--", "add-br", "br0"],
    ...["--", "set", "Bridge", "br0", "datapath_type=netdev", "fail-mode=secure"],
  );
  // Known since the switch has made its bridge.
  const types = await own.configure("get", "Open_vSwitch", ".", "iface_types");
  if (netdev === "afxdp" && !types.includes("afxdp")) {
    throw new Unavailable("this Open vSwitch was built without AF_XDP");
  }
  await own.configure(...port("lan"), "--", ...port("wan"));
  for (const name of ["lan", "wan"]) {
    const error = (await own.configure("get", "Interface", name, "error")).trim();
    if (error !== "[]") throw new Unavailable(`${name}: ${error.slice(0, REASON_CHARACTERS)}`);
  }
}

async function start(ends: Ends, netdev: Netdev): Promise<Running> {
  const at = await ends.lab.namespace("switch");
  await need(at, "ovs-vswitchd", PACKAGE);
  await need(at, "ovsdb-tool", PACKAGE);
  await wireTenant(ends, at, true);
  await wireServer(ends, at, true);
  const own = new Switch(at);
  const restore = raiseSetting(RECEIVE_ROOM, RECEIVE_BYTES);
  try {
    await own.start();
    await addBridge(own, netdev);
    await own.addFlows("br0", FLOWS);
    return { entry: at, needsGate: netdev !== "afxdp", stop: () => own.stop() };
  } catch (error) {
    await own.stop();
    throw error;
  } finally {
    restore();
  }
}

export function openVswitch(netdev: Netdev): Candidate {
  return {
    name: `ovs ${netdev}`,
    about: `Open vSwitch in user space, ${netdev}, ct(commit,zone,nat), on the other core`,
    start: (ends) => start(ends, netdev),
  };
}
