/**
 * The program by which the kernel shares out packets says of each what the datapath says: steered by it, nothing crosses
 * from one worker to another but what cannot be told from the packet.
 */

import t from "tap";
import { shareShiftOf } from "../../../host/config/shares.js";
import { encode, jump, jumpIf, label, Operation } from "../../../host/device/classicbpf.js";
import { buildSteering, type Steering } from "../../../host/device/steering.js";
import { Steerer } from "../../../host/workers/steerer.js";
import { runProgram, type Steered } from "../../harness/classicbpf.js";
import { echoReply, echoRequest, udp } from "../../harness/frame.js";
import { around, EXTERNAL, edge, SERVER } from "../../harness/host.js";
import { steered, steeredRouter } from "../../harness/steer.js";

const hosts = Array.from({ length: 60 }, (_, n) => `192.168.0.${n + 20}`);

t.test("outwards and back, nothing crosses", async (t) => {
  for (const workers of [2, 3, 7]) {
    const router = steeredRouter(edge({ workers }));
    const { a, b, server } = around(router);
    for (const [n, source] of hosts.entries()) {
      for (const host of [a, b]) {
        const [sent] = host.send(SERVER, echoRequest(n), { source });
        const reply = echoReply(sent?.ip?.identifier ?? 0);
        t.equal(server.send(EXTERNAL, reply)[0]?.device, host.device);
      }
    }
    for (let port = 1; port <= 60; port++) {
      for (const host of [a, b]) {
        const [sent] = host.udp(SERVER, port, 53);
        t.equal(server.udp(EXTERNAL, 53, sent?.ip?.sourcePort ?? 0)[0]?.device, host.device);
      }
    }
    t.equal(router.crossed, 0, `${workers} workers`);
  }
});

t.test("what a program cannot tell goes to some worker all the same", async (t) => {
  const router = steeredRouter(edge({ workers: 2 }));
  const { a } = around(router);
  const { config } = router;
  const program = buildSteering(
    new Steerer(config.workers, shareShiftOf(config)).of("eth1", config) as Steering,
  );
  const packet = steered(a.frame(SERVER, udp({ sourcePort: 1, destinationPort: 2, data: "" })));
  const unknown = (vlanTci?: number) => runProgram(program, { ...packet, vlanTci });
  const found = Array.from({ length: 100 }, (_, n) => unknown(1000 + n));
  t.same(new Set(found), new Set([0, 1]), "a VLAN that is no device's");
  t.ok([0, 1].includes(unknown()), "nor are untagged frames");
  t.equal(runProgram(program, { ...packet, protocol: 0x0806 }), 0, "ARP");
  t.equal(runProgram(program, { ...packet, network: new Uint8Array(3) }), 0, "hardly anything");
});

/** A packet of a host, with a tag. */
function fromHost(vlanTci: number | undefined, host = 10): Steered {
  const header = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 0, host, 8, 8, 8, 8];
  return {
    protocol: 0x0800,
    vlanTci,
    network: Uint8Array.from([...header, 0, 1, 0, 2, 0, 8, 0, 0]),
  };
}

/** The worker of that host where its zone has no tag. */
function alone(zone: number, workers: number, host = 10): number {
  const devices = [{ vlan: undefined, zone, externals: [] }];
  return runProgram(buildSteering({ workers, shareShift: 6, devices }), fromHost(undefined, host));
}

t.test("of hundreds of VLANs each has its own zone", async (t) => {
  const zones = Array.from({ length: 300 }, (_, n) => n + 1);
  const devices = zones.map((zone) => ({ vlan: 13 * zone, zone, externals: [] }));
  const program = buildSteering({ workers: 16, shareShift: 6, devices });
  const found = zones.map((zone) => runProgram(program, fromHost((13 * zone) | 0x6000)));
  t.same(
    found,
    zones.map((zone) => alone(zone, 16)),
  );
  t.equal(new Set(found).size, 16, "and all workers have some of them");
});

t.test("of a thousand VLANs that follow each other, too", async (t) => {
  const zones = Array.from({ length: 1000 }, (_, n) => n + 2);
  const devices = zones.map((zone) => ({ vlan: zone - 1, zone, externals: [] }));
  const program = buildSteering({ workers: 16, shareShift: 6, devices });
  t.same(
    zones.map((zone) => runProgram(program, fromHost(zone - 1))),
    zones.map((zone) => alone(zone, 16)),
  );
  t.ok(program.length / 8 <= 4096);
});

t.test("VLANs that find no place are spread over all workers", async (t) => {
  const zones = Array.from({ length: 2000 }, (_, n) => n + 1);
  const devices = zones.map((zone) => ({ vlan: 2 * zone, zone, externals: [] }));
  const program = buildSteering({ workers: 2, shareShift: 6, devices });
  const own = zones.filter((zone) => runProgram(program, fromHost(2 * zone)) === alone(zone, 2));
  t.ok(own.length > 1300, `${own.length} have what is their own, of others half`);
  for (const zone of [1, 1999, 2000]) {
    const hosts = Array.from({ length: 100 }, (_, host) => fromHost(2 * zone, host));
    const found = hosts.map((packet) => runProgram(program, packet));
    const second = found.reduce((sum, worker) => sum + worker);
    t.ok(second > 20 && second < 80, `${second} of 100 hosts of zone ${zone} at the second`);
  }
});

t.test("zones with external addresses have a place before others", async (t) => {
  const externals = Array.from({ length: 64 }, (_, n) => ({
    first: 0x08080000 + 2 * n,
    last: 0x08080000 + 2 * n,
  }));
  const inside = Array.from({ length: 1500 }, (_, n) => ({
    vlan: n + 1,
    zone: n + 1,
    externals: [],
  }));
  const outside = { vlan: 4000, zone: 4000, externals };
  const steering = { workers: 2, shareShift: 6, devices: [...inside, outside] };
  const only = { ...steering, devices: [outside] };
  const [among, alone] = [buildSteering(steering), buildSteering(only)];
  for (let port = 0; port < 4096; port += 64) {
    const packet = fromHost(4000);
    packet.network.set([8, 8, 0, 126], 16);
    packet.network.set([port >> 8, port & 0xff], 22);
    t.equal(runProgram(among, packet), runProgram(alone, packet));
  }
});

t.test("many zones with many addresses each still make a program", async (t) => {
  const externals = Array.from({ length: 64 }, (_, n) => ({ first: 4 * n, last: 4 * n + 1 }));
  const devices = Array.from({ length: 200 }, (_, n) => ({ vlan: n + 1, zone: n, externals }));
  const program = buildSteering({ workers: 2, shareShift: 6, devices });
  t.ok(program.length / 8 > 3000 && program.length / 8 <= 4096);
  t.equal(runProgram(program, fromHost(1)), alone(0, 2));
});

t.test("a jump to nowhere is a fault of the program, and no reason to steer nothing", async (t) => {
  t.throws(() => encode([jump("nowhere")]), /no way from 0 to nowhere/);
  t.throws(() => encode([label("back"), jumpIf(Operation.JumpEqual, 0, "back")]), /no way/);
});
