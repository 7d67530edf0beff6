import { execFileSync } from "node:child_process";
import t from "tap";

t.test("a process that a test starts gets nothing of tap's", async (t) => {
  const script = "process.env.NODE_OPTIONS ?? 'nothing'";
  const said = execFileSync(process.execPath, ["-p", script], { encoding: "utf8" });
  t.match(process.execArgv.join(), /processinfo/, "the test itself has tap's hooks");
  t.equal(said, "nothing\n");
});
