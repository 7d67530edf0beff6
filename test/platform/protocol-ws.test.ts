import { protocolSuite } from "./protocolsuite.js";

protocolSuite("ws");
