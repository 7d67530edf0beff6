import t from "tap";
import { protocolSuite } from "./protocolsuite.js";
import { loadReason } from "./transportsuite.js";

const reason = await loadReason();
if (reason === false) protocolSuite("uws");
else t.plan(0, reason);
