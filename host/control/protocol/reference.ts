/** docs/protocol-reference.md: the schemas of all methods as tables for people. */

import { protocolSchema } from "./schema.js";

/** What of JSON Schema the protocol's schemas use. */
interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly default?: unknown;
  readonly description?: string;
}

interface Row {
  readonly path: string;
  readonly type: string;
  readonly isOptional: boolean;
  readonly standard: unknown;
  readonly description: string;
}

/** docs/protocol-reference.md, to the byte. */
export function protocolReference(): string {
  const { methods, notifications, errors } = protocolSchema();
  const lines = [
    "# The protocol's methods",
    "",
    "Made from the schemas (`crosszone schema protocol --markdown`); for programs they are in",
    "[protocol.schema.json](protocol.schema.json). How the protocol works says [protocol.md](protocol.md).",
    "",
    "| method | role | |",
    "|---|---|---|",
  ];
  for (const [name, { role, summary }] of Object.entries(methods)) {
    lines.push(`| [\`${name}\`](#${anchor(name)}) | ${role} | ${summary} |`);
  }
  for (const [name, { role, summary, params, result }] of Object.entries(methods)) {
    lines.push("", `## ${name}`, "", `${sentence(summary)} For ${role}s.`);
    lines.push(...table("Parameters", params as Schema), ...table("Result", result as Schema));
  }
  lines.push("", "# Notifications");
  for (const [name, { summary, params }] of Object.entries(notifications)) {
    lines.push("", `## ${name}`, "", summary, ...table("Parameters", params as Schema));
  }
  lines.push("", "# Errors", "", "| code | |", "|--:|---|");
  for (const [name, code] of Object.entries(errors)) lines.push(`| ${code} | ${name} |`);
  return `${lines.join("\n")}\n`;
}

/** GitHub's: letters, digits, hyphens. */
function anchor(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9-]/g, "");
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function table(title: string, schema: Schema): string[] {
  const rows = rowsOf("", schema);
  if (rows.length === 0) return ["", `${title}: none.`];
  return [
    "",
    `| ${title} | type | |`,
    "|---|---|---|",
    ...rows.map(({ path, type, isOptional, standard, description }) => {
      const given = standard === undefined ? "" : ` If not given, ${JSON.stringify(standard)}.`;
      const mark = isOptional ? "?" : "";
      return `| \`${path}\`${mark} | ${escaped(type)} | ${escaped(description)}${escaped(given)} |`;
    }),
  ];
}

/** Depth first: an object's keys behind it, `rows[].original.zone`. */
function rowsOf(path: string, schema: Schema): Row[] {
  const { properties, required = [] } = schema;
  return Object.entries(properties ?? {}).flatMap(([key, value]) => {
    const at = path === "" ? key : `${path}.${key}`;
    const row: Row = {
      path: at,
      type: typeOf(value),
      isOptional: !required.includes(key),
      standard: value.default,
      description: value.description ?? "",
    };
    return [row, ...inside(at, value)];
  });
}

function inside(path: string, schema: Schema): Row[] {
  if (schema.properties !== undefined) return rowsOf(path, schema);
  if (schema.items !== undefined) return inside(`${path}[]`, schema.items);
  const { additionalProperties } = schema;
  return typeof additionalProperties === "object" ? inside(`${path}{}`, additionalProperties) : [];
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((each) => JSON.stringify(each)).join(", ");
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(" or ");
  if (schema.type === "array") return `array of ${typeOf(schema.items ?? {})}`;
  if (schema.type === "object") {
    const isMap = typeof schema.additionalProperties === "object";
    return isMap ? "object by name" : "object";
  }
  const { minimum, maximum } = schema;
  const type = schema.type ?? "any";
  if (minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER) {
    return `${type}, ${minimum} to ${maximum}`;
  }
  return type;
}

function escaped(text: string): string {
  return text.replaceAll("|", "\\|");
}
