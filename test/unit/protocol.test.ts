/** What is written of the protocol is what the code has; and the codec by itself. */
import { readFileSync } from "node:fs";
import t from "tap";
import { METHOD_NAMES } from "../../host/control/protocol/methods.js";
import {
  RpcCode,
  RpcError,
  RpcLimit,
  readFrame,
  writeAnswer,
  writeNotification,
} from "../../host/control/protocol/rpc.js";

const docs = new URL("../../../docs/", import.meta.url);
const text = (name: string) => readFileSync(new URL(name, docs), "utf8");

t.test("docs/protocol.md names every code, and no method that there is not", async (t) => {
  const page = text("protocol.md");
  for (const code of Object.values(RpcCode).filter((each) => typeof each === "number")) {
    t.match(page, new RegExp(`^\\| ${code} \\|`, "m"), `${code}`);
  }
  const named = page.match(/\b(?:config|conns|flows|events|metrics|status|log)\.[a-z]+\b/g) ?? [];
  t.ok(named.length > 10);
  const known = new Set<string>([...METHOD_NAMES, "events.told", "metrics.sample"]);
  t.same(
    named.filter((name) => !known.has(name)),
    [],
  );
});

t.test("a frame: as deep and as long as it may be, and one more", async (t) => {
  const deep = (levels: number) =>
    `{"jsonrpc":"2.0","id":1,"method":"m","params":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`;
  t.match(readFrame(deep(RpcLimit.Depth)).asked, [{ id: 1, method: "m" }]);
  t.match(readFrame(deep(RpcLimit.Depth + 1)).asked, [
    { id: null, error: { code: RpcCode.InvalidRequest } },
  ]);
  const inString = `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"${"[".repeat(500)}\\"${"{".repeat(500)}"}}`;
  t.match(readFrame(inString).asked, [{ id: 1 }], "brackets in strings do not count");
  const request = { jsonrpc: "2.0", id: "x".repeat(RpcLimit.IdChars), method: "m" };
  t.match(readFrame(JSON.stringify(request)).asked, [{ method: "m", params: {} }]);
  const longer = { ...request, id: `${request.id}x` };
  t.match(readFrame(JSON.stringify(longer)).asked, [{ id: null, error: {} }]);
  const batch = Array.from({ length: RpcLimit.Batch }, () => request);
  t.equal(readFrame(JSON.stringify(batch)).asked.length, RpcLimit.Batch);
  t.equal(readFrame(JSON.stringify([...batch, request])).asked.length, 1);
});

t.test("answers", async (t) => {
  t.equal(writeAnswer({ id: 1, result: undefined }), '{"jsonrpc":"2.0","id":1,"result":null}');
  const error = new RpcError(RpcCode.Busy, "later");
  t.equal(
    writeAnswer({ id: "a", error }),
    '{"jsonrpc":"2.0","id":"a","error":{"code":6,"message":"later"}}',
  );
  t.equal(writeNotification("n", { a: 1 }), '{"jsonrpc":"2.0","method":"n","params":{"a":1}}');
});
