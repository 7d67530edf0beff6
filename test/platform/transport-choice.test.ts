/** Which implementation serves where uWebSockets.js does not load. */
import t from "tap";
import { type ServeOptions, serve } from "../../host/control/server.js";
import { Desk, start } from "../harness/transport.js";

// There is no binary for this one, as there is none for musl.
Object.defineProperty(process, "arch", { value: "pdp11" });
const listen = [{ host: "127.0.0.1", port: 0 }];

t.test("ws serves, and the log says why", async (t) => {
  const { server, notices } = await start(t, undefined);
  t.equal(server.implementation, "ws");
  t.match(notices, [/^control: ws serves, since uWebSockets\.js does not load: /]);
  t.equal(notices.length, 1);
});

t.test("what was asked for is not replaced", async (t) => {
  const options: ServeOptions = { listen, implementation: "uws" };
  await t.rejects(serve(options, new Desk()), /^uWebSockets\.js: does not load: /);
  const { server, notices } = await start(t, "ws");
  t.equal(server.implementation, "ws");
  t.same(notices, []);
});

t.test("the environment asks, too", async (t) => {
  t.teardown(() => {
    delete process.env.CROSSZONE_TRANSPORT;
  });
  process.env.CROSSZONE_TRANSPORT = "ws";
  t.same((await start(t, undefined)).notices, []);
  process.env.CROSSZONE_TRANSPORT = "uws";
  await t.rejects(serve({ listen }, new Desk()), /does not load/);
  process.env.CROSSZONE_TRANSPORT = "carrier pigeon";
  await t.rejects(serve({ listen }, new Desk()), /expected uws or ws, found carrier pigeon/);
});
