/**
 * What programs that are not ours make of crosszone: ping, traceroute, tracepath, iperf3, curl, netcat, an FTP
 * and a TFTP server, and a Linux router with connection tracking in between.
 */

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Namespace } from "../../host/demo/lab.js";
import {
  buildSite,
  CHAT_PORT,
  CONNS_OF_A,
  EXTERNAL,
  FTP_PORT,
  invalidPackets,
  PROVIDER,
  SERVER,
  type Site,
  TENANT_GATEWAY,
  WEB_PORT,
} from "./site.js";
import { skipReason } from "./tools.js";

const skip = skipReason(
  "ping",
  "traceroute",
  "tracepath",
  "iperf3",
  "curl",
  "nc",
  "conntrack",
  "nft",
  "vsftpd",
  "in.tftpd",
);

const PYTHON = "python3";
const FILE_BYTES = 300_000;

/** A vsftpd for anybody, with its usual refusal of commands that name another host (no bounce). */
function ftpOptions(folder: string): string[] {
  const config = join(folder, "vsftpd.conf");
  writeFileSync(config, "");
  const options = {
    listen: "YES",
    listen_ipv6: "NO",
    background: "NO",
    anonymous_enable: "YES",
    local_enable: "NO",
    seccomp_sandbox: "NO",
    anon_root: folder,
    secure_chroot_dir: folder,
  };
  return [config, ...Object.entries(options).map(([name, value]) => `-o${name}=${value}`)];
}

/** A server in the background; ends with its namespace. */
function serve(at: Namespace, command: string, ...args: string[]) {
  return at.spawn(command, args);
}

async function listening(at: Namespace, port: number, protocol = "t"): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { stdout } = await at.run("ss", [`-Hln${protocol}`, `sport = :${port}`]);
    if (stdout.trim() !== "") return;
    await sleep(50);
  }
  throw new Error(`${at.name}: nobody listens on ${port}`);
}

interface Transfer {
  readonly sent: number;
  readonly received: number;
  readonly lostPercent: number;
  readonly lastBps: number;
}

/** One run of iperf3 against the server. */
async function iperf(at: Namespace, ...args: string[]): Promise<Transfer> {
  const text = await at.must("iperf3", ["-J", "-c", SERVER, ...args], { timeoutMs: 30_000 });
  const { end, intervals } = JSON.parse(text);
  const sum = end.sum_sent ?? end.sum;
  return {
    sent: sum.bytes,
    received: end.sum_received?.bytes ?? end.sum.bytes,
    lostPercent: end.sum?.lost_percent ?? 0,
    lastBps: intervals.at(-1).sum.bits_per_second,
  };
}

t.test("witnesses", { skip, timeout: 180_000 }, async (t) => {
  const site: Site = await buildSite();
  const folder = mkdtempSync(join(tmpdir(), "crosszone-witness-"));
  const file = Buffer.alloc(FILE_BYTES, "crosszone ");
  writeFileSync(join(folder, "file"), file);
  chmodSync(folder, 0o755);
  const { a, b, provider, server } = site;
  t.teardown(async () => {
    await site.gateway.stop();
    await site.lab.close();
    rmSync(folder, { recursive: true });
  });

  await t.test("ping: 4,500 bytes in fragments, from both tenants", async (t) => {
    for (const tenant of [a, b]) {
      const { stdout } = await tenant.run("ping", ["-c3", "-i1", "-s4500", "-Mdont", SERVER]);
      t.match(stdout, /3 packets transmitted, 3 received/, tenant.name);
    }
  });

  await t.test(
    "ping with DF: the provider's fragmentation needed reaches its sender",
    async (t) => {
      await provider.ip("link set eth1 mtu 1300");
      const { stdout } = await a.run("ping", ["-c2", "-W2", "-s1400", "-Mdo", SERVER]);
      t.match(stdout, new RegExp(`From ${PROVIDER}.*Frag needed and DF set \\(mtu = 1300\\)`));
      const other = await b.run("ping", ["-c1", "-W2", "-s1200", "-Mdo", SERVER]);
      t.match(other.stdout, /1 received/, "and nobody else's path is changed");
      await provider.ip("link set eth1 mtu 1500");
      await a.ip("route flush cache");
    },
  );

  await t.test("traceroute and tracepath show every hop", async (t) => {
    const expected = [TENANT_GATEWAY, PROVIDER, SERVER];
    for (const method of ["-U", "-I", "-T"]) {
      const { stdout } = await a.run("traceroute", ["-n", "-q1", "-w2", method, SERVER]);
      const hops = [...stdout.matchAll(/^ *\d+ +([\d.]+) /gm)].map(([, hop]) => hop);
      t.same(hops, expected, `traceroute ${method}`);
    }
    const { stdout } = await b.run("tracepath", ["-n", SERVER]);
    for (const hop of expected) t.match(stdout, hop, `tracepath ${hop}`);
    t.match(stdout, /pmtu 1500/);
    t.match(stdout, /reached/);
  });

  await t.test("iperf3: TCP and UDP, both ways, both tenants at once", async (t) => {
    serve(server, "iperf3", "-s", "-p5201");
    serve(server, "iperf3", "-s", "-p5202");
    await Promise.all([listening(server, 5201), listening(server, 5202)]);
    for (const extra of [[], ["-R"]]) {
      const [one, two] = await Promise.all([
        iperf(a, "-t2", "-p5201", ...extra),
        iperf(b, "-t2", "-p5202", ...extra),
      ]);
      t.ok(one.received > 5_000_000 && two.received > 5_000_000, `tcp ${extra}`);
    }
    for (const extra of [[], ["-R"]]) {
      const { lostPercent, received } = await iperf(
        a,
        "-u",
        "-b10M",
        "-t2",
        "-w2M",
        "-p5201",
        ...extra,
      );
      t.ok(received > 1_000_000, `udp ${extra}: ${received} bytes`);
      t.ok(lostPercent < 5, `udp ${extra}: ${lostPercent} % lost`);
    }
  });

  await t.test("the path's MTU drops in the middle of a TCP transfer, which goes on", async (t) => {
    const transfer = iperf(a, "-t6", "-p5201");
    await sleep(2000);
    await provider.ip("link set eth1 mtu 1280");
    const { lastBps } = await transfer;
    t.ok(lastBps > 1_000_000, `${lastBps} bit/s in the last second`);
    const { stdout } = await a.run("ip", ["route", "get", SERVER]);
    t.match(stdout, /mtu 1280/, "the sender knows");
    await provider.ip("link set eth1 mtu 1500");
  });

  await t.test("curl through a forward, from outside and from the other tenant", async (t) => {
    serve(a, PYTHON, "-m", "http.server", "80", "--directory", folder);
    await listening(a, 80);
    for (const from of [server, b]) {
      const got = join(folder, `from-${from.name}`);
      const url = `http://${EXTERNAL}:${WEB_PORT}/file`;
      await from.must("curl", ["-sS", "--max-time", "10", "-o", got, url]);
      t.ok(readFileSync(got).equals(file), `from ${from.name}`);
    }
  });

  await t.test(
    "netcat: hairpin between tenants, the receiver sees the external source",
    async (t) => {
      const receiver = serve(a, "nc", "-lvnp", String(CHAT_PORT));
      await listening(a, CHAT_PORT);
      const { status } = await b.run("nc", ["-q1", "-w5", EXTERNAL, String(CHAT_PORT)], {
        input: "from b\n",
      });
      t.equal(status, 0);
      t.match(receiver.stdout.toString(), "from b");
      t.match(receiver.stderr, `Connection received on ${EXTERNAL} `);
    },
  );

  await t.test("FTP: active and passive, client inside and server inside", async (t) => {
    for (const at of [server, a]) serve(at, "vsftpd", ...ftpOptions(folder));
    await Promise.all([listening(server, 21), listening(a, 21)]);
    const modes = {
      "active, EPRT": ["-P", "-"],
      "active, PORT": ["-P", "-", "--disable-eprt"],
      "passive, EPSV": ["--ftp-pasv"],
      "passive, PASV": ["--ftp-pasv", "--disable-epsv", "--no-ftp-skip-pasv-ip"],
    };
    for (const [mode, args] of Object.entries(modes)) {
      const ends: [string, Namespace, string][] = [
        ["client inside", b, `ftp://${SERVER}/file`],
        ["server inside", server, `ftp://${EXTERNAL}:${FTP_PORT}/file`],
      ];
      for (const [who, at, url] of ends) {
        const got = join(folder, "ftp");
        const { status, stderr } = await at.run("curl", [
          "-sS",
          "--max-time",
          "10",
          "-o",
          got,
          ...args,
          url,
        ]);
        t.equal(status, 0, `${mode}, ${who}: ${stderr}`);
        if (status === 0)
          t.ok(readFileSync(got).equals(file), `${mode}, ${who}: the file is whole`);
      }
    }
  });

  await t.test("TFTP, whose server answers from another port", async (t) => {
    serve(server, "in.tftpd", "-L", "-4", "-a", `${SERVER}:69`, "-s", folder);
    await listening(server, 69, "u");
    for (const tenant of [a, b]) {
      const got = join(folder, `tftp-${tenant.name}`);
      await tenant.must("curl", ["-sS", "--max-time", "10", "-o", got, `tftp://${SERVER}/file`]);
      t.ok(readFileSync(got).equals(file), tenant.name);
    }
  });

  await t.test("a flood of one tenant leaves the other its share", async (t) => {
    const flood = serve(a, PYTHON, "-c", FLOOD, SERVER);
    await flood.line("stdout", /^flooding/);
    await sleep(500);
    const ping = await b.run("ping", ["-c20", "-i0.1", "-W2", SERVER]);
    t.match(ping.stdout, /20 packets transmitted, 20 received/);
    for (let i = 0; i < 20; i++) {
      const { status } = await b.run("curl", [
        "-sS",
        "--max-time",
        "5",
        "-o",
        "/dev/null",
        `ftp://${SERVER}/`,
      ]);
      t.equal(status, 0, `a new connection, ${i + 1}`);
    }
    t.equal(flood.stderr, "", "and the flood went on all the time");
    await flood.stop("SIGKILL");
    const conns = await site.gateway.conns();
    const ofA = conns.filter(({ original }) => original.zone === 10).length;
    t.ok(ofA <= CONNS_OF_A, `${ofA} conns of tenant a`);
    t.ok(ofA > CONNS_OF_A * 0.9, `${ofA}: its limit was reached`);
    t.match(site.gateway.child.stderr, /zone a: ZoneConnLimit reached/, "and an event says so");
  });

  await t.test("the provider's connection tracking took nothing for invalid", async (t) => {
    t.equal(await invalidPackets(site), 0);
    const { stdout } = await provider.run("conntrack", ["-L"]);
    const originals = [...stdout.matchAll(/^\w+ .*?src=([\d.]+)/gm)].map(([, source]) => source);
    t.ok(originals.length > 5, `${originals.length} entries`);
    const strange = originals.filter((source) => source !== EXTERNAL && source !== SERVER);
    t.same(strange, [], "it knows the external address and the server, and no tenant");
  });
});

/** Datagrams from ever other ports, as fast as a program can. */
const FLOOD = `
import socket, sys
print("flooding", flush=True)
while True:
    for port in range(20000, 60000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("", port))
            try:
                s.sendto(b"flood", (sys.argv[1], 9))
            except OSError:
                pass
`;
