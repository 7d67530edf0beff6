/** The exported schema and the page about the configuration are those of the code. */

import { readFileSync } from "node:fs";
import t from "tap";
import { parseFlow } from "../../../host/config/flow.js";
import { checkConfig } from "../../../host/config/parse.js";
import { configSchemaJson, configSchemaText } from "../../../host/config/schema.js";

/** Tests run from dist/test/unit/config. */
const docs = new URL("../../../../docs/", import.meta.url);
const page = readFileSync(new URL("config.md", docs), "utf8");

t.test("docs/config.schema.json is what the code exports", async (t) => {
  const file = readFileSync(new URL("config.schema.json", docs), "utf8");
  t.equal(file, configSchemaText(), "to renew it: crosszone schema > docs/config.schema.json");
});

/** Every key of an object anywhere in a JSON schema. */
function keysOf(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  const properties: unknown = Reflect.get(schema, "properties");
  const own = typeof properties === "object" && properties !== null ? Object.keys(properties) : [];
  return [...own, ...Object.values(schema).flatMap(keysOf)];
}

t.test("docs/config.md has every key", async (t) => {
  const keys = keysOf(configSchemaJson());
  t.ok(keys.length > 50);
  t.same(
    keys.filter((key) => !page.includes(`\`${key}\``)),
    [],
  );
});

t.test("every example of docs/config.md is accepted", async (t) => {
  const blocks = [...page.matchAll(/```(\w+)\n(.*?)```/gsu)];
  const documents = blocks.filter(([, kind]) => kind === "json");
  t.ok(documents.length > 0);
  for (const [, , text = ""] of documents) t.ok(checkConfig(JSON.parse(text)));
  const flows = blocks
    .filter(([, kind]) => kind === "flow")
    .flatMap(([, , text]) => text?.split("\n") ?? []);
  t.ok(flows.length > 5);
  for (const flow of flows) if (flow !== "") t.ok(parseFlow(flow), flow);
});
