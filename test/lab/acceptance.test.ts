/**
 * The acceptance scenario in its default amount: both forms with a hundred tenants, once by the `nat`
 * shorthand and once by the two flows; the other two pairings with a few; by either driver. repeat.ts runs it
 * more often.
 */
import t from "tap";
import { accept, type Options } from "./acceptance.js";
import { skipReason } from "./tools.js";

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

for (const driver of ["afpacket", "afxdp"] as const) {
  accepts(`${driver}: 100 interfaces, nat`, {
    form: "interfaces",
    gateway: "nat",
    driver,
    tenants: ALL,
  });
  accepts(`${driver}: 100 VLANs on one trunk, two flows`, {
    form: "vlans",
    gateway: "flows",
    driver,
    tenants: ALL,
  });
  accepts(`${driver}, two workers: 100 interfaces, nat`, {
    form: "interfaces",
    gateway: "nat",
    driver,
    workers: 2,
    tenants: ALL,
  });
  accepts(`${driver}, two workers: 100 VLANs on one trunk, two flows`, {
    form: "vlans",
    gateway: "flows",
    driver,
    workers: 2,
    tenants: ALL,
  });
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
