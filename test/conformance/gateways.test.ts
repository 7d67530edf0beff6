/**
 * Application gateways: FTP (RFC 959, RFC 2428) and TFTP (RFC 1350), off unless switched on (RFC 4787 REQ-10,
 * RFC 5382 REQ-6). Windows are judged strictly throughout, so a number that is off by one does not arrive.
 */

import t from "tap";
import { hear } from "../harness/conversation.js";
import { TcpFlags, udp } from "../harness/frame.js";
import { around, EXTERNAL, edge, Host, SERVER, staticNeighbor, TENANT } from "../harness/host.js";
import { type Document, Router, type Sent } from "../harness/router.js";

const { Syn, Ack, Psh, Fin } = TcpFlags;
const CONTROL = 2000;
const STRANGER = "203.0.113.77";

/** An edge with gateways, and one pool of one's own. */
function gateways(on: Document, pool: Document = {}, changes: Document = {}): Document {
  return edge({
    gateways: on,
    pools: [{ name: "p1", zone: "public", addresses: [EXTERNAL], ...pool }],
    ...changes,
  });
}

/** The forward to the FTP server that a tenant has. */
function toServer(zone: string): Document {
  const to = { zone, address: TENANT, port: 21 };
  return { protocol: "tcp", zone: "public", address: EXTERNAL, port: 21, to };
}

/** A control conn between a client and a server, each as it sees the other. */
class Control {
  /** What the server knows of the client. */
  seen = { address: "", port: 0 };

  constructor(
    readonly client: Host,
    readonly server: Host,
    readonly port = CONTROL,
    /** What the client knows the server by. */
    readonly known: string = server.address,
  ) {}

  open(): this {
    const [syn] = this.client.tcp(this.known, this.port, 21, Syn);
    this.seen = { address: syn?.ip?.source ?? "", port: syn?.ip?.sourcePort ?? 0 };
    this.server.tcp(this.seen.address, 21, this.seen.port, Syn | Ack);
    this.client.tcp(this.known, this.port, 21, Ack);
    return this;
  }

  /** The client says a line, the server acknowledges it; what the server reads. */
  command(text: string, segment = {}): string {
    const sent = this.client.tcp(this.known, this.port, 21, Ack | Psh, { data: text, ...segment });
    const back = this.server.tcp(this.seen.address, 21, this.seen.port, Ack);
    return back.length === 1 ? textOf(sent) : `${textOf(sent)} (its acknowledgment is lost)`;
  }

  /** The server says a line, the client acknowledges it; what the client reads. */
  answer(text: string, segment = {}): string {
    const { address, port } = this.seen;
    const sent = this.server.tcp(address, 21, port, Ack | Psh, { data: text, ...segment });
    const back = this.client.tcp(this.known, this.port, 21, Ack);
    return back.length === 1 ? textOf(sent) : `${textOf(sent)} (its acknowledgment is lost)`;
  }

  close(): void {
    this.client.tcp(this.known, this.port, 21, Fin | Ack);
    this.server.tcp(this.seen.address, 21, this.seen.port, Fin | Ack);
    this.client.tcp(this.known, this.port, 21, Ack);
  }
}

function textOf(sent: readonly Sent[]): string {
  return sent.map(({ ip }) => ip?.data.toString("latin1")).join("");
}

function numbers(address: string, port: number): string {
  return `${address.replaceAll(".", ",")},${port >> 8},${port & 255}`;
}

/** The endpoint that a line names, in either form. */
function endpointOf(text: string): { address: string; port: number } {
  const plain = /(\d+,\d+,\d+,\d+),(\d+),(\d+)/.exec(text);
  if (plain) {
    const [, address = "", high, low] = plain;
    return { address: address.replaceAll(",", "."), port: Number(high) * 256 + Number(low) };
  }
  const [, address = "", port] = /\|1?\|([\d.]*)\|(\d+)\|/.exec(text) ?? [];
  return { address, port: Number(port) };
}

/** The three segments that open a conn, and one of data; whether all arrive. */
function transfers(from: Host, port: number, to: { address: string; port: number }, at: Host) {
  const [syn] = from.tcp(to.address, port, to.port, Syn);
  if (syn?.device !== at.device || syn.ip?.destination !== at.address) return false;
  const { source, sourcePort, destinationPort } = syn.ip;
  const back = at.tcp(source, destinationPort, sourcePort, Syn | Ack);
  const data = from.tcp(to.address, port, to.port, Ack | Psh, { data: "data" });
  return back.length === 1 && back[0]?.ip?.destination === from.address && data.length === 1;
}

t.test(
  "RFC 5382 R6: the gateway of FTP is off by default, and with that of TFTP alone",
  async (t) => {
    for (const on of [undefined, {}, { tftp: true }]) {
      const router = new Router(on === undefined ? edge() : gateways(on));
      const { a, server } = around(router);
      const control = new Control(a, server).open();
      const line = `PORT ${numbers(TENANT, 3000)}\r\n`;
      t.equal(control.command(line), line);
      t.equal(router.mappings().length, 1, "nothing is prepared");
      t.same(server.tcp(EXTERNAL, 20, 3000, Syn), []);
    }
  },
);

t.test(
  "RFC 4787 R10: the gateway of TFTP is off by default, and with that of FTP alone",
  async (t) => {
    for (const on of [{}, { ftp: true }]) {
      const router = new Router(gateways(on, { filtering: "address-and-port-dependent" }));
      const { a, server } = around(router);
      const [request] = a.udp(SERVER, 3000, 69, "\0\x01file\0octet\0");
      server.udp(EXTERNAL, 40000, request?.ip?.sourcePort ?? 0);
      t.same(router.ended, { Filtered: 1 });
    }
  },
);

t.test(
  "RFC 5382 R6: PORT names the external endpoint, and the server's data arrives",
  async (t) => {
    for (const filtering of [
      "endpoint-independent",
      "address-dependent",
      "address-and-port-dependent",
    ]) {
      const router = new Router(gateways({ ftp: true }, { filtering }));
      const { a, server } = around(router);
      const control = new Control(a, server).open();
      const text = control.command(`port ${numbers(TENANT, 3000)}\r\n`);
      const shown = endpointOf(text);
      t.equal(text, `port ${numbers(EXTERNAL, shown.port)}\r\n`);
      t.equal(control.answer("200 PORT command successful\r\n"), "200 PORT command successful\r\n");
      t.equal(router.mappings().length, 2);
      if (filtering !== "endpoint-independent") {
        const stranger = new Host(router, "wan", STRANGER);
        t.same(stranger.tcp(EXTERNAL, 20, shown.port, Syn), [], "a stranger is not let in");
      }
      t.ok(transfers(server, 20, shown, a), filtering);
      t.equal(control.command("NOOP\r\n"), "NOOP\r\n");
      if (filtering === "address-and-port-dependent") {
        t.same(server.tcp(EXTERNAL, 22, shown.port, Syn), [], "one conn for each command");
      }
      const [out] = a.tcp(SERVER, 3000, 80, Syn);
      t.equal(out?.ip?.sourcePort, shown.port, "the port is the inside endpoint's own");
    }
  },
);

t.test("RFC 5382 R6: EPRT names the external endpoint", async (t) => {
  const router = new Router(gateways({ ftp: true }));
  const { a, server } = around(router);
  const control = new Control(a, server).open();
  const text = control.command(`EPRT |1|${TENANT}|3000|\r\n`);
  const shown = endpointOf(text);
  t.equal(text, `EPRT |1|${EXTERNAL}|${shown.port}|\r\n`);
  t.ok(transfers(server, 20, shown, a));
  const other = control.command(`eprt !1!${TENANT}!3001!\r\n`);
  t.match(other, new RegExp(`^eprt !1!${EXTERNAL}!\\d+!\r\n$`));
  const sixth = "EPRT |2|fd00::1|3002|\r\n";
  t.equal(control.command(sixth), sixth, "RFC 2428: protocol 2 is not IPv4");
});

t.test("RFC 5382 R6: text that grows and shrinks: numbers, ACK and SACK follow", async (t) => {
  const longest = "192.168.100.200";
  const router = new Router(
    gateways(
      { ftp: true },
      { addresses: ["203.0.113.7"], ports: "1024-1033" },
      {
        neighbors: [
          staticNeighbor("a", 10, "192.168.0.5"),
          staticNeighbor("a", 10, longest),
          staticNeighbor("public", 20, SERVER),
        ],
        devices: [
          {
            name: "lan-a",
            zone: "a",
            interface: "eth1",
            vlan: 10,
            addresses: ["192.168.0.1/16"],
          },
          { name: "lan-b", zone: "b", interface: "eth1", vlan: 11, addresses: ["192.168.0.1/24"] },
          { name: "wan", zone: "public", interface: "eth0", addresses: ["203.0.113.2/24"] },
        ],
      },
    ),
  );
  const { server } = around(router);
  for (const [address, port] of [
    ["192.168.0.5", 3000],
    [longest, 60000],
  ] as const) {
    const host = new Host(router, "lan-a", address);
    const control = new Control(host, server).open();
    let shift = 0;
    for (const each of [port, port + 1]) {
      const line = `PORT ${numbers(address, each)}\r\n`;
      const text = control.command(line);
      t.match(text, /^PORT 203,0,113,7,4,[0-9]\r\n$/);
      shift += text.length - line.length;
      t.equal(control.answer("200 OK\r\n"), "200 OK\r\n");
    }
    t.not(shift, 0, `${shift} bytes`);
    const [data] = host.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: "LIST\r\n" });
    const shown = data?.ip?.payload.readUInt32BE(4) ?? 0;
    // The server has the first half of it, out of order.
    const sack = Buffer.alloc(12);
    sack.writeUInt16BE(0x0101, 0);
    sack.writeUInt16BE(0x050a, 2);
    sack.writeUInt32BE(shown + 2, 4);
    sack.writeUInt32BE(shown + 4, 8);
    for (const odd of [false, true]) {
      const options = odd
        ? Buffer.concat([sack.subarray(0, 1), sack.subarray(2), sack.subarray(0, 1)])
        : sack;
      const [back] = server.tcp(EXTERNAL, 21, control.seen.port, Ack, {
        acknowledgment: shown,
        options,
      });
      const payload = back?.ip?.payload ?? Buffer.alloc(40);
      const meant = payload.readUInt32BE(8);
      t.equal(shown - meant, shift, "the acknowledgment");
      const at = odd ? 23 : 24;
      t.equal(payload.readUInt32BE(at), meant + 2, "the edges of the block");
      t.equal(payload.readUInt32BE(at + 4), meant + 4);
    }
    control.close();
    t.same(router.ended, { Forwarded: 1 });
  }
});

t.test(
  "RFC 5382 R6: a line that is sent again is rewritten the same, and shifts once",
  async (t) => {
    for (const behaviour of ["endpoint-independent", "address-and-port-dependent"]) {
      const pool = { mapping: behaviour, filtering: "address-and-port-dependent" };
      const router = new Router(gateways({ ftp: true }, pool));
      const { a, server } = around(router);
      const control = new Control(a, server).open();
      const line = `PORT ${numbers(TENANT, 3000)}\r\n`;
      const [first] = a.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: line });
      const sequence = first?.ip?.payload.readUInt32BE(4) ?? 0;
      const said = textOf(first ? [first] : []);
      for (let again = 0; again < 3; again++) {
        const [next] = a.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: line, sequence });
        t.equal(textOf(next ? [next] : []), said);
        t.equal(next?.ip?.payload.readUInt32BE(4), sequence);
      }
      t.ok(transfers(server, 20, endpointOf(said), a), behaviour);
      const [late] = a.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: line, sequence });
      t.equal(textOf(late ? [late] : []), said, "also when its conn is there already");
      t.equal(control.command("NOOP\r\n"), "NOOP\r\n");
      t.equal(control.answer("200 OK\r\n"), "200 OK\r\n");
    }
  },
);

t.test("RFC 5382 R6: nobody else's address, no port below 1024", async (t) => {
  const router = new Router(gateways({ ftp: true }));
  const { a, server } = around(router);
  const control = new Control(a, server).open();
  for (const line of [
    `PORT ${numbers("192.168.0.11", 3000)}\r\n`,
    `PORT ${numbers(SERVER, 3000)}\r\n`,
    `PORT ${numbers(TENANT, 1023)}\r\n`,
    `EPRT |1|192.168.0.11|3000|\r\n`,
    `EPRT |1|${TENANT}|22|\r\n`,
  ]) {
    t.equal(control.command(line), line);
  }
  t.equal(router.mappings().length, 1);
});

t.test("RFC 5382 R6: what is no whole line of its own passes as it is", async (t) => {
  const router = new Router(gateways({ ftp: true }));
  const { a, server } = around(router);
  const control = new Control(a, server).open();
  const port = numbers(TENANT, 3000);
  for (const line of [
    `PORT ${port}`,
    `PORT ${port}\r\n`,
    "POST / HTTP/1.1",
    `PORT ${port}\r\n`,
    `XPORT ${port}\r\n`,
    `PORT ${port},1,2,3\r\n`.replace(",1,2,3", "1"),
    `PORT 192,168,0,10,11\r\n`,
    "PORT \r\n",
    `PORT 192,168,0,256,11,1\r\n`,
    `EPRT |1|${TENANT}|70000|\r\n`,
    `EPRT |1|${TENANT}|3000\r\n`,
    `227 Entering (${port})\r\n`,
    "\r\n",
  ]) {
    t.equal(control.command(line), line);
  }
  t.equal(router.mappings().length, 1);
  const text = control.command(`NOOP\r\nPORT ${port}\r\nLIST\r\n`);
  t.match(text, /^NOOP\r\nPORT 203,0,113,7,\d+,\d+\r\nLIST\r\n$/, "a line among others counts");
});

t.test("RFC 5382 R6: a server inside says 227 and 229 of the external endpoint", async (t) => {
  const forwards = [toServer("a")];
  const router = new Router(gateways({ ftp: true }, {}, { forwards }));
  const { a, server: client } = around(router);
  const control = new Control(client, a, CONTROL, EXTERNAL).open();
  for (const line of [
    `227 Entering Passive Mode (${numbers(TENANT, 5000)}).\r\n`,
    `227 Entering Passive Mode ${numbers(TENANT, 5001)}\r\n`,
    "229 Entering Extended Passive Mode (|||5002|)\r\n",
  ]) {
    t.equal(control.command("PASV\r\n"), "PASV\r\n");
    const shown = endpointOf(control.answer(line));
    if (line.startsWith("227")) t.equal(shown.address, EXTERNAL);
    t.not(shown.port, endpointOf(line).port);
    const stranger = new Host(router, "wan", STRANGER);
    t.same(stranger.tcp(EXTERNAL, 4000, shown.port, Syn), [], "a stranger is not let in");
    t.ok(transfers(client, 4000, { address: EXTERNAL, port: shown.port }, a), line);
  }
  const bounce = `227 Entering Passive Mode (${numbers("192.168.0.11", 5000)}).\r\n`;
  t.equal(control.answer(bounce), bounce);
  const active = `PORT ${numbers(SERVER, 5000)}\r\n`;
  t.equal(control.command(active), active, "a client outside is seen as it is");
  t.ok(transfers(a, 20, { address: SERVER, port: 5000 }, client), "its data goes out");
});

t.test("RFC 5382 R6: a whole forwarded address keeps the port", async (t) => {
  const to = { zone: "a", address: TENANT };
  const forwards = [{ protocol: "any", zone: "public", address: "203.0.113.8", to }];
  const router = new Router(gateways({ ftp: true }, {}, { forwards }));
  const { a, server } = around(router);
  const inward = new Control(server, a, CONTROL, "203.0.113.8").open();
  t.equal(
    inward.answer(`227 Entering (${numbers(TENANT, 5000)})\r\n`),
    `227 Entering (${numbers("203.0.113.8", 5000)})\r\n`,
  );
  t.ok(transfers(server, 4000, { address: "203.0.113.8", port: 5000 }, a));
  const outward = new Control(a, server, CONTROL + 1).open();
  t.equal(
    outward.command(`PORT ${numbers(TENANT, 5001)}\r\n`),
    `PORT ${numbers("203.0.113.8", 5001)}\r\n`,
  );
  t.ok(transfers(server, 20, { address: "203.0.113.8", port: 5001 }, a));
});

t.test("RFC 5382 R6: a server in another zone, by its external address", async (t) => {
  const forwards = [toServer("b")];
  const router = new Router(gateways({ ftp: true }, {}, { forwards }));
  const { a, b } = around(router);
  const control = new Control(a, b, CONTROL, EXTERNAL).open();
  t.equal(control.seen.address, EXTERNAL);
  const passive = endpointOf(control.answer(`227 Passive (${numbers(TENANT, 5000)})\r\n`));
  t.equal(passive.address, EXTERNAL);
  t.ok(transfers(a, 4000, passive, b));
  const active = endpointOf(control.command(`PORT ${numbers(TENANT, 5001)}\r\n`));
  t.equal(active.address, EXTERNAL);
  t.ok(transfers(b, 20, active, a));
});

t.test("RFC 5382 R6: two tenants with one address, each with its own data", async (t) => {
  for (const behaviour of ["endpoint-independent", "address-and-port-dependent"]) {
    for (const allocation of ["random", "preserve"]) {
      const pool = { mapping: behaviour, filtering: "address-and-port-dependent", allocation };
      const router = new Router(gateways({ ftp: true }, pool));
      const { a, b, server } = around(router);
      const controls = [a, b].map((host) => new Control(host, server).open());
      const shown = controls.map((control) =>
        endpointOf(control.command(`PORT ${numbers(TENANT, 3000)}\r\n`)),
      );
      t.not(shown[0]?.port, shown[1]?.port);
      for (const [i, host] of [b, a].entries()) {
        const to = shown[1 - i] ?? { address: "", port: 0 };
        t.ok(transfers(server, 20, to, host), `${behaviour} ${allocation} ${host.device}`);
      }
    }
  }
});

t.test("RFC 4787 R10: what is foreseen is forgotten, and its port given back", async (t) => {
  for (const how of ["time", "end", "revoked"]) {
    const document = gateways({ ftp: true });
    const router = new Router(document);
    const { a, server } = around(router);
    const control = new Control(a, server).open();
    const shown = endpointOf(control.command(`PORT ${numbers(TENANT, 3000)}\r\n`));
    t.equal(router.mappings().length, 2);
    if (how === "time") router.wait(120_001);
    if (how === "end") {
      control.close();
      router.wait(241_000);
    }
    if (how === "revoked") {
      router.reconfigure({ ...document, nat: [{ from: ["b"], to: "public", pool: "p1" }] });
      router.wait(10);
    }
    t.same(server.tcp(EXTERNAL, 20, shown.port, Syn), [], how);
    if (how === "time") router.wait(7_500_000);
    t.same([router.mappings(), router.conns(), router.hosts()], [[], [], []], how);
    const [again] = how === "revoked" ? [] : a.tcp(SERVER, 3000, 80, Syn);
    if (how !== "revoked") t.not(again, undefined);
  }
});

t.test(
  "RFC 4787 R10: switched off, a gateway reads no more, and numbers stay shifted",
  async (t) => {
    const router = new Router(gateways({ ftp: true }));
    const { a, server } = around(router);
    const control = new Control(a, server).open();
    const line = `PORT ${numbers(TENANT, 3000)}\r\n`;
    t.not(control.command(line).length, line.length);
    router.reconfigure(gateways({}));
    t.equal(control.command(line), line);
    t.equal(control.answer("200 OK\r\n"), "200 OK\r\n");
    t.equal(control.command("NOOP\r\n"), "NOOP\r\n");
  },
);

t.test("RFC 5382 R6: the same endpoints open anew, and nothing is shifted", async (t) => {
  const router = new Router(gateways({ ftp: true }));
  const { a, server } = around(router);
  const control = new Control(a, server).open();
  control.command(`PORT ${numbers(TENANT, 3000)}\r\n`);
  control.command("LIST\r\n");
  control.close();
  control.open();
  const [sent] = a.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: "NOOP\r\n" });
  t.equal(sent?.ip?.data.toString(), "NOOP\r\n");
  t.equal(server.tcp(EXTERNAL, 21, control.seen.port, Ack).length, 1);
  const text = control.command(`PORT ${numbers(TENANT, 3001)}\r\n`);
  t.match(text, /^PORT 203,0,113,7,/);
  t.equal(control.command("NOOP\r\n"), "NOOP\r\n");
});

t.test(
  "RFC 4787 R10: one tenant's share of what is foreseen leaves the others theirs",
  async (t) => {
    const capacity = { conns: 4096, neighbors: 256, poolAddresses: 16, imageBytes: 65536 };
    const router = new Router(gateways({ ftp: true }, {}, { capacity }));
    const { a, b, server } = around(router);
    const theirs = new Control(b, server).open();
    const shown = endpointOf(theirs.command(`PORT ${numbers(TENANT, 3000)}\r\n`));
    const last = [];
    for (let n = 0; n < 260; n++) {
      const control = new Control(a, server, CONTROL + n).open();
      const line = `PORT ${numbers(TENANT, 10_000 + n)}\r\n`;
      last.push(control.command(line) === line);
    }
    t.same(last.indexOf(true), 256, "beyond its share lines pass as they are");
    t.equal(last.filter(Boolean).length, 4);
    t.ok(transfers(server, 20, shown, b));
  },
);

t.test("RFC 4787 R10: a line that would outgrow the MTU passes as it is", async (t) => {
  const router = new Router(gateways({ ftp: true }));
  const { a, server } = around(router);
  const control = new Control(a, server).open();
  const line = `PORT ${numbers(TENANT, 3000)}\r\n`;
  const full = `${line + "x".repeat(1460 - line.length - 1)}\n`;
  t.equal(control.command(full), full);
  t.equal(control.command("NOOP\r\n"), "NOOP\r\n");
});

t.test("RFC 4787 R10: TFTP's answers from another port arrive", async (t) => {
  for (const mapping of ["endpoint-independent", "address-and-port-dependent"]) {
    const pool = { mapping, filtering: "address-and-port-dependent" };
    const router = new Router(gateways({ tftp: true }, pool));
    const { a, b, server } = around(router);
    for (const operation of [1, 2]) {
      const request = `\0${String.fromCharCode(operation)}file\0octet\0`;
      const ports = [a, b].map((host) => {
        const [sent] = host.udp(SERVER, 3000 + operation, 69, request);
        return sent?.ip?.sourcePort ?? 0;
      });
      for (const [i, host] of [a, b].entries()) {
        const port = ports[i] ?? 0;
        new Host(router, "wan", STRANGER).udp(EXTERNAL, 40000, port);
        t.same(router.ended, { Filtered: 1 }, "a stranger is not let in");
        const [block] = server.udp(EXTERNAL, 40000 + i, port);
        t.same([block?.device, block?.ip?.destinationPort], [host.device, 3000 + operation]);
        const [ack] = host.udp(SERVER, 3000 + operation, 40000 + i, "\0\x04\0\x01");
        t.same([ack?.ip?.sourcePort, ack?.ip?.source], [port, EXTERNAL], mapping);
        server.udp(EXTERNAL, 41000, port);
        t.same(router.ended, { Filtered: 1 }, "one transfer for each request");
      }
    }
    const [other] = a.udp(SERVER, 3005, 69, "\0\x05\0\0oops\0");
    server.udp(EXTERNAL, 40000, other?.ip?.sourcePort ?? 0);
    t.same(router.ended, { Filtered: 1 }, "an error is no request");
    const short = a.send(SERVER, udp({ sourcePort: 3006, destinationPort: 69, data: "\0" }));
    t.equal(short.length, 1);
    router.wait(700_000);
    t.same([router.mappings(), router.conns(), router.hosts()], [[], [], []]);
  }
});

t.test("RFC 8158 S5: what one tenant announces pushes out nothing of another's", async (t) => {
  const request = "\0\x01file\0octet\0";
  for (const [port, step] of [
    [7000, 0],
    [7000, 1],
  ] as const) {
    const capacity = { conns: 4096, neighbors: 256, poolAddresses: 16, imageBytes: 65_536 };
    const strict = { filtering: "address-and-port-dependent" };
    const router = new Router(gateways({ tftp: true }, strict, { capacity }));
    const { a, b, server } = around(router);
    const [sent] = b.udp(SERVER, 5000, 69, request);
    for (let n = 0; n < 1100; n++) a.udp(SERVER, port + n * step, 69, request);
    const [last] = a.udp(SERVER, 9000, 69, request);
    for (const [{ ip } = {}, device] of [
      [sent, b.device],
      [last, a.device],
    ] as const) {
      const [block] = server.udp(EXTERNAL, 40000, ip?.sourcePort ?? 0);
      t.equal(block?.device, device, `${step === 0 ? "one conn" : "many conns"}`);
    }
  }
});

t.test("RFC 5382 R6: mangled lines do no harm, and the conn goes on", async (t) => {
  const router = new Router(gateways({ ftp: true }));
  const { a, server } = around(router);
  const control = new Control(a, server).open();
  let state = 12345;
  const below = (bound: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) % bound;
  };
  const lines = [
    `PORT ${numbers(TENANT, 3000)}\r\n`,
    `EPRT |1|${TENANT}|3000|\r\n`,
    `NOOP\r\nPORT ${numbers(TENANT, 3001)}\r\n`,
  ];
  let rewritten = 0;
  for (let round = 0; round < 2000; round++) {
    const line = Buffer.from(lines[below(lines.length)] ?? "", "latin1");
    for (let n = below(3); n > 0; n--) line[below(line.length)] = below(256);
    const data = line.subarray(0, line.length - (below(4) === 0 ? below(line.length - 1) : 0));
    const segment = a.segment(SERVER, CONTROL, 21, Ack | Psh, { data });
    const sent = router.sendAtEnd("lan-a", a.frame(SERVER, segment));
    const text = sent[0]?.ip?.data ?? Buffer.alloc(0);
    if (!text.equals(data)) {
      rewritten++;
      const { address, port } = endpointOf(text.toString("latin1"));
      if (address !== EXTERNAL || port < 1024) t.fail(JSON.stringify(text.toString("latin1")));
    }
    // What the server has heard it acknowledges, so that the next one is inside of the window.
    hear(router, sent);
    if (server.tcp(EXTERNAL, 21, control.seen.port, Ack).length !== 1) t.fail(`round ${round}`);
    router.wait(10);
  }
  t.ok(rewritten > 100, `${rewritten} rewritten`);
});

t.test("RFC 5382 R6: segments that are cut anew when they are sent again", async (t) => {
  const router = new Router(gateways({ ftp: true }));
  const { a, server } = around(router);
  const control = new Control(a, server).open();
  const line = `PORT ${numbers(TENANT, 3000)}\r\n`;
  const [user] = a.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: "NOOP\r\n" });
  const sequence = user?.ip?.payload.readUInt32BE(4) ?? 0;
  const first = textOf(a.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: line }));
  const again = a.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: `NOOP\r\n${line}`, sequence });
  t.equal(textOf(again), `NOOP\r\n${first}`);
  t.equal(again[0]?.ip?.payload.readUInt32BE(4), sequence);
  t.equal(control.command("LIST\r\n"), "LIST\r\n");
  t.ok(transfers(server, 20, endpointOf(first), a));
});

t.test("RFC 4787 R10: what has passed as it was is not rewritten later", async (t) => {
  const document = gateways({ ftp: true });
  const router = new Router(document);
  const { a, server } = around(router);
  const control = new Control(a, server).open();
  router.reconfigure(gateways({}));
  const line = `PORT ${numbers(TENANT, 3000)}\r\n`;
  const [sent] = a.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: line });
  const sequence = sent?.ip?.payload.readUInt32BE(4) ?? 0;
  router.reconfigure(document);
  t.equal(textOf(a.tcp(SERVER, CONTROL, 21, Ack | Psh, { data: line, sequence })), line);
  t.not(control.command(line), line, "but the next one is");
  t.equal(control.command("LIST\r\n"), "LIST\r\n");
});

t.test("RFC 4787 R10: a host at its limit of ports announces nothing", async (t) => {
  const zones = [
    { id: 10, name: "a", limits: { portsPerHost: { tcp: 1 } } },
    { id: 11, name: "b" },
    { id: 20, name: "public" },
  ];
  const router = new Router(gateways({ ftp: true }, {}, { zones }));
  const { a, server } = around(router);
  const control = new Control(a, server).open();
  const line = `PORT ${numbers(TENANT, 3000)}\r\n`;
  t.equal(control.command(line), line);
  t.equal(router.mappings().length, 1);
});

t.test("RFC 4787 R10: the port is one that the pool has for the host", async (t) => {
  const hosts = [
    { zone: "a", prefix: "192.168.0.0/28" },
    { zone: "b", prefix: "192.168.0.0/28" },
  ];
  const deterministic = { hosts, portsPerHost: 100 };
  for (const pool of [
    { allocation: "block", block: { ports: 64, perHost: 1 } },
    { allocation: "deterministic", deterministic },
    { allocation: "preserve" },
    { mapping: "address-dependent", parity: true },
    { mapping: "address-and-port-dependent", filtering: "endpoint-independent" },
    { allocation: "deterministic", deterministic, mapping: "address-and-port-dependent" },
  ]) {
    const document = gateways({ ftp: true }, pool);
    const router = new Router(document);
    const { a, b, server } = around(router);
    for (const host of [a, b]) {
      const control = new Control(host, server).open();
      const shown = endpointOf(control.command(`PORT ${numbers(TENANT, 3001)}\r\n`));
      t.equal(shown.address, EXTERNAL);
      if (pool.parity) t.equal(shown.port & 1, 1);
      if (pool.block) t.equal(shown.port >> 6, control.seen.port >> 6);
      if (pool.deterministic) t.ok(Math.abs(shown.port - control.seen.port) < 100);
      router.reconfigure(document);
      t.ok(transfers(server, 20, shown, host), JSON.stringify(pool));
      router.reconfigure(document);
      router.wait(10);
      t.equal(router.conns().length, host === a ? 2 : 4);
    }
  }
});
