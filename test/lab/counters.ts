/**
 * The kernel's own counts on the interfaces. nft counts where frames enter (hook ingress), by kind, so
 * that ARP does not disturb; the interface's counter says that there was nothing else.
 */
import type { Namespace } from "../../host/demo/lab.js";

export interface Count {
  packets: number;
  bytes: number;
}

export interface Arrivals {
  /** The echo messages that were looked for; bytes from the IP header on. */
  echo: Count;
  arp: Count;
  other: Count;
  /** As the interface counts: frames, with their link header. */
  interface: Count;
}

interface NamedCounter {
  counter?: { name: string; packets: number; bytes: number };
}

/** Counts what enters through eth0; `match` says which ICMP messages are looked for. */
export async function countArrivals(
  at: Namespace,
  match: string,
): Promise<() => Promise<Arrivals>> {
  const rules = `
table netdev arrivals {
  counter echoes {}
  counter arps {}
  counter others {}
  chain eth0 {
    type filter hook ingress device eth0 priority 0;
    ${match} counter name echoes accept
    meta protocol arp counter name arps accept
    counter name others
  }
}`;
  const before = await interfaceCount(at);
  await at.must("nft", ["-f", "-"], { input: rules });
  const read = async (): Promise<Arrivals> => {
    const said = JSON.parse(await at.must("nft", ["-j", "list", "counters"])) as {
      nftables: NamedCounter[];
    };
    const named = (name: string): Count => {
      const found = said.nftables.find((each) => each.counter?.name === name)?.counter;
      return { packets: found?.packets ?? -1, bytes: found?.bytes ?? -1 };
    };
    const { packets, bytes } = await interfaceCount(at);
    return {
      echo: named("echoes"),
      arp: named("arps"),
      other: named("others"),
      interface: { packets: packets - before.packets, bytes: bytes - before.bytes },
    };
  };
  return async () => {
    let found = await read();
    // A question of ARP may come between the two; what does not belong here stays.
    for (let again = 0; again < 3 && !agrees(found); again++) found = await read();
    await at.must("nft", ["delete", "table", "netdev", "arrivals"]);
    return found;
  };
}

/** Whether nft and the interface have counted the same frames. */
function agrees({ echo, arp, other, interface: all }: Arrivals): boolean {
  return echo.packets + arp.packets + other.packets === all.packets;
}

async function interfaceCount(at: Namespace): Promise<Count> {
  const said = await at.must("ip", ["-s", "-j", "link", "show", "eth0"]);
  const [link] = JSON.parse(said) as { stats64: { rx: Count } }[];
  return link?.stats64.rx ?? { packets: -1, bytes: -1 };
}
