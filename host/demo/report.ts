/** The demo's tables. */
import { type ConnView, formatTuple } from "../telemetry/conn.js";
import type { Answer } from "./endpoint.js";
import { type Outcome, PUBLIC_ADDRESS, TENANT_ADDRESS } from "./scenario.js";

/** Columns as wide as their widest cell. */
export function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function roundTrip({ ms }: Answer): string {
  if (ms.length === 0) return "–";
  const sorted = [...ms].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return `${median.toFixed(2)} ms`;
}

function verdict(answer: Answer): string {
  if (answer.error !== undefined) return `no: ${answer.error}`;
  return answer.own ? "yes" : "NO";
}

const SENT = { icmp: "ping", udp: "udp", tcp: "tcp" } as const;

export function results({ rows }: Outcome): string {
  const cells = [
    ["tenant", "zone", "address", "sent", "round trip", "server saw", "own bytes back"],
  ];
  for (const { tenant, probe } of rows) {
    for (const protocol of ["icmp", "udp", "tcp"] as const) {
      const answer = probe[protocol];
      cells.push([
        tenant.name,
        String(tenant.zone),
        TENANT_ADDRESS,
        SENT[protocol],
        roundTrip(answer),
        answer.source ?? "–",
        verdict(answer),
      ]);
    }
  }
  return `${table(cells)}\n\n${rows.length} tenants, one address, one public address ${PUBLIC_ADDRESS}, one translation.`;
}

export function connTable(conns: ConnView[]): string {
  const cells = [["protocol", "phase", "original (zone:source→destination)", " ", "reply"]];
  const order = [...conns].sort(
    (a, b) => a.original.zone - b.original.zone || a.protocol.localeCompare(b.protocol),
  );
  for (const { protocol, phase, original, reply } of order) {
    cells.push([protocol, phase, formatTuple(original), "↔", formatTuple(reply)]);
  }
  return table(cells);
}
