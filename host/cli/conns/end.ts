/** `crosszone count`, `delete` and `flush`: how many conns there are, and fewer of them. */

import { Exit, print, UsageError } from "../command.js";
import { askingVerb } from "../connection.js";
import { command } from "../definition.js";
import { hasSomebody, isYes } from "../question.js";
import { FILTER_OPTIONS, FILTER_PARAMETERS, filterOf, STRANGERS } from "./filter.js";

export const count = command(
  "Look",
  askingVerb({
    name: "count",
    summary: "print how many conns there are, or fit",
    text: "Prints how many conns fit all of the conditions; without any, how many there are.",
    options: { ...FILTER_OPTIONS, json: { type: "boolean", help: 'an object: {"conns":7}' } },
    usage: ["[CONDITION]... [--json]"],
    parameters: FILTER_PARAMETERS,
    strangers: STRANGERS,
    examples: ["count", "count -w a -p udp --dport 53"],

    check({ values }) {
      filterOf(values);
    },

    async ask({ client, values }) {
      const counted = await client.call("conns.count", { filter: filterOf(values) });
      print(values.json ? JSON.stringify(counted) : String(counted.conns));
      return Exit.Ok;
    },
  }),
);

export const del = command(
  "Change",
  askingVerb({
    name: "delete",
    summary: "end the conns that fit",
    text:
      "Ends the conns that fit all of the conditions, of which there must be one, and prints how many. Their next packet " +
      "begins a new conn, where the configuration allows that.",
    options: {
      ...FILTER_OPTIONS,
      "dry-run": { type: "boolean", help: "only print how many it would end" },
    },
    usage: ["CONDITION... [--dry-run]"],
    parameters: FILTER_PARAMETERS,
    strangers: STRANGERS,
    examples: ["delete -w a -s 192.168.0.10", "delete -p udp --dport 53 --dry-run"],
    exits: "1 also where nothing fits, as conntrack -D has it.",

    check({ values }) {
      if (Object.keys(filterOf(values)).length > 0) return;
      throw new UsageError("a condition is missing; crosszone flush ends everything");
    },

    async ask({ client, values }) {
      const dryRun = values["dry-run"];
      const { conns } = await client.call("conns.delete", { filter: filterOf(values), dryRun });
      print(`${connsText(conns)} ${dryRun ? "would end" : "ended"}`);
      return conns === 0 ? Exit.Failure : Exit.Ok;
    },
  }),
);

export const flush = command(
  "Change",
  askingVerb({
    name: "flush",
    summary: "end all conns, or those of a zone or a host",
    text:
      "Ends all conns, all that a zone has part in, or those of one of its hosts, and prints how many. It asks before it " +
      "does; where there is no terminal to ask on, it does nothing without --yes.",
    options: {
      zone: FILTER_OPTIONS.zone,
      host: { type: "string", value: "ADDRESS", help: "an inside host of the zone, or a prefix" },
      yes: { type: "boolean", help: "ask nothing" },
      "dry-run": { type: "boolean", help: "only print how many it would end" },
    },
    parameters: { zone: "--zone", host: "--host" },
    examples: ["flush --zone a --host 192.168.0.10", "flush --yes"],

    check({ values }) {
      if (values.host !== undefined && values.zone === undefined) {
        throw new UsageError("--host goes with --zone: another zone may have the same address");
      }
      if (!values.yes && !values["dry-run"] && !hasSomebody()) {
        throw new UsageError("it ends conns: say --yes where nobody can be asked");
      }
    },

    async ask({ client, values: { zone, host, yes, ...others } }) {
      const scope = {
        ...(zone === undefined ? {} : { zone }),
        ...(host === undefined ? {} : { host }),
      };
      if (others["dry-run"]) {
        const { conns } = await client.call("conns.flush", { ...scope, dryRun: true });
        print(`${connsText(conns)} would end`);
        return Exit.Ok;
      }
      const whose =
        zone === undefined
          ? "all conns"
          : host === undefined
            ? `all conns of zone ${zone}`
            : `all conns of ${host} in zone ${zone}`;
      if (!yes && !(await isYes(`End ${whose}?`))) {
        print("nothing was ended");
        return Exit.Failure;
      }
      const { conns } = await client.call("conns.flush", scope);
      print(`${connsText(conns)} ended`);
      return Exit.Ok;
    },
  }),
);

export function connsText(count: number): string {
  return count === 1 ? "1 conn" : `${count} conns`;
}
