import t from "tap";
import { start } from "../harness/transport.js";
import { loadReason, transportSuite } from "./transportsuite.js";

const reason = await loadReason();
if (reason !== false) {
  t.plan(0, reason);
} else {
  transportSuite("uws");
  t.test("it is what is taken where it loads", async (t) => {
    const { server, notices } = await start(t, undefined);
    t.equal(server.implementation, "uws");
    t.same(notices, []);
  });
}
