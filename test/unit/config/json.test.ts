/** JSON with places: the runtime's parser is the model, and errors say where. */

import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import { parseJson } from "../../../host/config/json.js";
import { holds, linesOf } from "./fixture.js";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

t.test("any value reads as the runtime reads it", async (t) => {
  holds(
    t,
    fc.property(fc.jsonValue(), fc.constantFrom(0, 2, "\t"), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      return isDeepStrictEqual(parseJson(text), JSON.parse(text));
    }),
    500,
  );
});

t.test("any text is refused exactly when the runtime refuses it", async (t) => {
  const piece = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"b',
    '"',
    "\\u00e9",
    "\\",
    "1",
    "-",
    "0",
    ".5",
    "e9",
    "E+",
    "true",
    "null",
    "nul",
    " ",
    "\n",
    "\t",
    "\u0000",
    "é",
    "+",
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 12 }).map((all) => all.join("")),
  );
  holds(
    t,
    fc.property(text, (written) => {
      const twice = linesOf(() => parseJson(written)).filter((line) => !line.includes("every key"));
      return (twice.length === 0) === isJson(written);
    }),
    5000,
  );
});

t.test("an error says where", async (t) => {
  const table: readonly (readonly [string, string])[] = [
    ["", "line 1 column 1: expected a value, found the end of the document"],
    ['{"a": 1,\n  b: 2}', 'line 2 column 3: expected a key in double quotes, found "b"'],
    ['{"a": 1,\n  "b" 2}', 'line 2 column 7: expected ":", found "2"'],
    ['{"a": 1\n "b": 2}', 'line 2 column 2: expected "," or "}", found "\\""'],
    ["[1, 2,]", 'line 1 column 7: expected a value, found "]"'],
    ["[1 2]", 'line 1 column 4: expected "," or "]", found "2"'],
    ["{} x", 'line 1 column 4: expected the end of the document, found "x"'],
    ["[truth]", 'line 1 column 2: expected a value, found "truth"'],
    ["[010]", 'line 1 column 3: expected "," or "]", found "10"'],
    [
      '["a\nb"]',
      'line 1 column 2: expected a string that ends on its line, with JSON\'s escapes, found "\\""',
    ],
    ['{"a": 1, "b": 1,\n "a": 2}', 'line 2 column 2: expected every key once, found "a" again'],
    [
      '{"__proto__": 1, "__proto__": 2}',
      'line 1 column 18: expected every key once, found "__proto__" again',
    ],
    ["[".repeat(70), 'line 1 column 66: expected at most 64 levels, found "["'],
  ];
  for (const [text, line] of table)
    t.same(
      linesOf(() => parseJson(text)),
      [line],
      line,
    );
});

t.test("a byte order mark is not part of the document", async (t) => {
  t.same(parseJson("\ufeff{}"), {});
});

t.test("the source stands in front of every line", async (t) => {
  t.throws(() => parseJson('{"a":1,"a":2,}', "lab.json"), {
    message:
      'lab.json: line 1 column 8: expected every key once, found "a" again\n' +
      'lab.json: line 1 column 14: expected a key in double quotes, found "}"',
  });
});
