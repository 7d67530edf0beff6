/**
 * The program by which the kernel shares out packets says of each what the datapath says: steered by it, nothing crosses
 * from one worker to another but what cannot be told from the packet.
 */

import t from "tap";
import { shareShiftOf } from "../../../host/config/shares.js";
import { encode, jump, jumpIf, label, Operation } from "../../../host/device/classicbpf.js";
import { buildSteering, type Steering } from "../../../host/device/steering.js";
import { Steerer } from "../../../host/workers/steerer.js";
import { runProgram } from "../../harness/classicbpf.js";
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
  t.equal(runProgram(program, { ...packet, vlanTci: 99 }), 0, "a VLAN that is no device's");
  t.equal(runProgram(program, { ...packet, vlanTci: undefined }), 0, "nor are untagged frames");
  t.equal(runProgram(program, { ...packet, protocol: 0x0806 }), 0, "ARP");
  t.equal(runProgram(program, { ...packet, network: new Uint8Array(3) }), 0, "hardly anything");
});

t.test("of hundreds of VLANs each has its own zone", async (t) => {
  const numbers = Array.from({ length: 300 }, (_, n) => n + 1);
  const devices = numbers.map((n) => ({ vlan: 13 * n, zone: n, externals: [] }));
  const steering = { workers: 16, group: 1, xdpWorker: 0, shareShift: 6, devices };
  const program = buildSteering(steering);
  const source = Uint8Array.from([
    0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 0, 10, 8, 8, 8, 8,
  ]);
  const network = Uint8Array.from([...source, 0, 1, 0, 2, 0, 8, 0, 0]);
  const alone = (zone: number) => {
    const only = [{ vlan: undefined, zone, externals: [] }];
    const untagged = { protocol: 0x0800, vlanTci: undefined, network };
    return runProgram(buildSteering({ ...steering, devices: only }), untagged);
  };
  const found = numbers.map((n) =>
    runProgram(program, { protocol: 0x0800, vlanTci: (13 * n) | 0x6000, network }),
  );
  t.same(found, numbers.map(alone));
  t.equal(new Set(found).size, 16, "and all workers have some of them");
});

t.test("more than the kernel takes goes to one worker", async (t) => {
  const externals = Array.from({ length: 64 }, (_, n) => ({ first: 4 * n, last: 4 * n + 1 }));
  const devices = Array.from({ length: 200 }, (_, n) => ({ vlan: n + 1, zone: n, externals }));
  const steering = { workers: 2, group: 1, xdpWorker: 0, shareShift: 6, devices };
  t.equal(buildSteering(steering).length, 8);
});

t.test("a jump to nowhere is a fault of the program, and no reason to steer nothing", async (t) => {
  t.throws(() => encode([jump("nowhere")]), /no way from 0 to nowhere/);
  t.throws(() => encode([label("back"), jumpIf(Operation.JumpEqual, 0, "back")]), /no way/);
});
