/**
 * The acceptance scenario in its default amount: both forms by either driver, with one worker and with two, once by the
 * `nat` shorthand and once by the two flows; the other two pairings of these. A hundred tenants take half a minute, so they
 * are in every pair of driver, workers and form, but not in all triples, which have a few. repeat.ts runs any of it, with as
 * many tenants and as often as one likes.
 */
import t from "tap";
import { accept, type Options } from "./acceptance.js";
import { skipReason } from "./tools.js";
import type { Form } from "./topology.js";

const skip = skipReason("ping", "nft", "tcpdump", "tshark", "python3");
const ALL = 100;
const FEW = 5;
const TIMEOUT_MS = 180_000;

t.setTimeout(8 * TIMEOUT_MS);

const STEPS = {
  ping: "(1) everyone gets its three replies, counted by the kernel in packets and bytes",
  tcp: "(2) over TCP from one source port, at once, everyone gets its own bytes back",
  udp: "(3) the same over UDP",
  captures: "(4) no interface saw a frame that was meant for another tenant",
  checksums: "tshark finds every checksum right in what the gateway sent",
  conns: "every conn names both its zones",
  end: "the gateway ends as it should",
} as const;

function accepts(name: string, options: Options): void {
  t.test(name, { skip, timeout: TIMEOUT_MS }, async (t) => {
    const { wrong, notes } = await accept(options);
    t.comment(JSON.stringify(notes));
    for (const [step, meaning] of Object.entries(STEPS) as [keyof typeof STEPS, string][]) {
      t.strictSame(wrong[step].slice(0, 10), [], meaning);
    }
  });
}

// Virtual cables leave checksums to hardware that is not there, so behind the kernel they are wrong.
t.test("the lab is right about the kernel, and can find a checksum wrong", { skip }, async (t) => {
  const { wrong } = await accept({ form: "interfaces", gateway: "kernel", tenants: 2 });
  for (const step of ["ping", "tcp", "udp", "captures"] as const) {
    t.strictSame(wrong[step], [], STEPS[step]);
  }
  t.match(wrong.checksums.join(), /udp: \d+ checksums are not right/);
});

for (const [driver, many] of [
  ["afpacket", { interfaces: 1, vlans: 2 }],
  ["afxdp", { interfaces: 2, vlans: 1 }],
] as const) {
  for (const workers of [1, 2]) {
    const tenants = (form: Form) => (workers === many[form] ? ALL : FEW);
    const name = `${driver}, ${workers} worker(s)`;
    accepts(`${name}: ${tenants("interfaces")} interfaces, nat`, {
      form: "interfaces",
      gateway: "nat",
      driver,
      workers,
      tenants: tenants("interfaces"),
    });
    accepts(`${name}: ${tenants("vlans")} VLANs on one trunk, two flows`, {
      form: "vlans",
      gateway: "flows",
      driver,
      workers,
      tenants: tenants("vlans"),
    });
  }
  accepts(`${driver}: interfaces, two flows, segments left whole by their senders`, {
    form: "interfaces",
    gateway: "flows",
    driver,
    tenants: FEW,
    senderOffload: true,
  });
  accepts(`${driver}: VLANs on one trunk, nat, segments left whole by their senders`, {
    form: "vlans",
    gateway: "nat",
    driver,
    tenants: FEW,
    senderOffload: true,
  });
}
