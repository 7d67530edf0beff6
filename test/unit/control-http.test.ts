/** Files of a dashboard, and what is there without them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Access } from "../../host/control/access.js";
import { Pages } from "../../host/control/http.js";
import type { House } from "../../host/control/methods/handlers.js";
import type { Answer } from "../../host/control/server.js";

function pagesOf(directory: string, health = async () => {}) {
  const house = { version: "1.2.3", logbook: { debug: () => {} } } as unknown as House;
  const asked = { metrics: async () => "m 1\n", health };
  const pages = new Pages(house, new Access(undefined, false), asked, directory);
  return async (path: string): Promise<Answer> => {
    const peer = { address: "127.0.0.1", isLocalSocket: false };
    return await pages.answer({ method: "GET", path, query: "", headers: new Map(), peer });
  };
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), "crosszone-pages-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

t.test("without files, a few lines say what there is", async (t) => {
  const get = pagesOf(join(folder(t), "nothing"));
  const welcome = await get("/");
  t.equal(welcome.status, 200);
  t.match(String(welcome.body), /^crosszone 1\.2\.3\n\n\/rpc .*crosszone\.v1/);
  t.equal((await get("/index.html")).status, 404);
  t.match(await get("/metrics"), { status: 200, body: "m 1\n", type: /version=0\.0\.4/ });
});

t.test("files, by their path and with their type", async (t) => {
  const path = folder(t);
  mkdirSync(join(path, "parts"));
  writeFileSync(join(path, "index.html"), "<p>hello");
  writeFileSync(join(path, "parts", "page.js"), "1;");
  writeFileSync(join(path, "secret.pem"), "key");
  const get = pagesOf(path);
  for (const each of ["/", "/index.html"]) {
    const page = await get(each);
    t.match(page, { status: 200, type: "text/html; charset=utf-8" });
    t.equal(String(page.body), "<p>hello");
  }
  t.match(await get("/parts/page.js"), { status: 200, type: "text/javascript; charset=utf-8" });
  for (const each of ["/secret.pem", "/parts", "/parts/", "/../package.json", "/toString"]) {
    t.equal((await get(each)).status, 404, each);
  }
});

t.test("whether the router is well", async (t) => {
  const path = join(folder(t), "nothing");
  t.match(await pagesOf(path)("/healthz"), { status: 200, body: "ok\n" });
  const ill = pagesOf(path, async () => {
    throw new Error("the forwarding thread did not answer: done");
  });
  t.match(await ill("/healthz"), { status: 503, body: "the workers do not answer\n" });
});
