/** `crosszone flow`: the flows of the running router, and changes of those that are written in its configuration. */

import { print } from "../command.js";
import { askingVerb } from "../connection.js";
import { type Command, wholeNumber } from "../definition.js";
import { JSON_OPTION, pagesOf, printPages } from "../look/listing.js";
import { CHANGE_OPTIONS, changeParams, checkChange, settle } from "./change.js";
import { endsText } from "./words.js";

const FLOW = { name: "FLOW", help: "as it would stand in the configuration's flows" } as const;

const PARAMETERS: Readonly<Record<string, string>> = {
  flow: "FLOW",
  index: "--index",
  base: "--base",
  confirmWithinSec: "--confirm",
  note: "--note",
};

const list = askingVerb({
  name: "list",
  summary: "print all flows in the order they are asked, with their counters",
  text:
    "Prints all flows in the order in which they are asked, those made of nat and forwards included: what they spoke for " +
    "(every packet of a conn in the direction that it decided, and packets without one), and where in the configuration they come from.",
  options: JSON_OPTION,
  examples: ["flow list"],

  async ask({ client, values: { json } }) {
    return await printPages(pagesOf(client, "flows.list", {}), {
      json,
      heading: ["PACKETS", "BYTES", "ORIGIN", "FLOW"],
      cells: ({ packets, bytes, origin, flow }) => [packets, bytes, origin, flow],
    });
  },
});

const add = askingVerb({
  name: "add",
  summary: "add a flow: a revision of its own",
  text: "Adds a flow to those that are written in the configuration. It is a change like any other: docs/config.md, flows.",
  args: [FLOW],
  options: {
    index: {
      type: "string",
      value: "N",
      help: "its place among the written flows, from 0; behind the last if not given",
    },
    ...CHANGE_OPTIONS,
  },
  parameters: PARAMETERS,
  examples: ["flow add 'priority=50,in_port(1),udp,tp_dst=25 actions=drop' --confirm 60"],

  check({ values }) {
    checkChange(values);
    indexOf(values.index);
  },

  async ask({ values, args: [flow = ""], ...reach }) {
    const index = indexOf(values.index);
    const changed = await reach.client.call("flows.add", {
      flow,
      ...(index === undefined ? {} : { index }),
      ...changeParams(values),
    });
    if (changed.ends !== undefined) print(endsText(changed.ends));
    return await settle(changed, reach, values.yes);
  },
});

function indexOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber("--index", text, 0, 65535);
}

const del = askingVerb({
  name: "del",
  summary: "remove a written flow: a revision of its own",
  text:
    "Removes a flow that is written in the configuration; FLOW is its text, in which spaces do not count. Those made of nat " +
    "and forwards go with what they are made of: crosszone config apply.",
  args: [FLOW],
  options: CHANGE_OPTIONS,
  parameters: PARAMETERS,
  examples: ["flow del 'priority=50,in_port(1),udp,tp_dst=25 actions=drop'"],

  check({ values }) {
    checkChange(values);
  },

  async ask({ values, args: [flow = ""], ...reach }) {
    const changed = await reach.client.call("flows.remove", { flow, ...changeParams(values) });
    if (changed.ends !== undefined) print(endsText(changed.ends));
    return await settle(changed, reach, values.yes);
  },
});

export const flow: Command = {
  name: "flow",
  group: "Configuration",
  summary: "list flows with their counters, add and remove written ones",
  verbs: [list, add, del],
};
