/** docs/protocol.schema.json: what every method takes and answers, for programs. */

import { toJsonSchema } from "@valibot/to-json-schema";
import { METHOD_NAMES, METHODS, NOTIFICATIONS } from "./methods.js";
import { PROTOCOL } from "./names.js";
import { RpcCode } from "./rpc.js";

/** What a schema cannot say is any value. */
const OPTIONS = { errorMode: "ignore", target: "draft-2020-12" } as const;

export function protocolSchema() {
  const methods = METHOD_NAMES.map((name) => {
    const { summary, role, params, result } = METHODS[name];
    const given = toJsonSchema(params, { ...OPTIONS, typeMode: "input" });
    return [name, { summary, role, params: given, result: toJsonSchema(result, OPTIONS) }] as const;
  });
  const notifications = Object.entries(NOTIFICATIONS).map(([name, { summary, params }]) => {
    return [name, { summary, params: toJsonSchema(params, OPTIONS) }] as const;
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: `crosszone's control plane, ${PROTOCOL}`,
    methods: Object.fromEntries(methods),
    notifications: Object.fromEntries(notifications),
    errors: Object.fromEntries(
      Object.entries(RpcCode).filter(([, code]) => typeof code === "number"),
    ),
  };
}

/** docs/protocol.schema.json, to the byte. */
export function protocolSchemaText(): string {
  return `${JSON.stringify(protocolSchema(), undefined, 2)}\n`;
}
