/**
 * The server's end as a process in its namespace: counts what arrives, or echoes it.
 *
 *     node sink.js INTERFACE sink|echo
 */

import { assemble } from "../../../host/device/bpf/assembler.js";
import {
  AttachType,
  createLink,
  createMap,
  loadProgram,
  MapType,
  ProgramType,
} from "../../../host/device/bpf/system.js";
import { Link } from "../../../host/device/link.js";
import { sumWords } from "./kernel.js";
import { echoProgram, Seen, sinkProgram } from "./sinkprogram.js";
import { answerOrders } from "./station.js";

const [, , interfaceName = "", kind = "sink"] = process.argv;
const map = createMap("sink", MapType.PerCpuArray, 4, Seen.Words * 8, 1);
const code = assemble(kind === "echo" ? echoProgram() : sinkProgram(map));
const program = loadProgram("sink", ProgramType.TrafficClass, code, { name: kind });
const index = new Link("sink", interfaceName).index();
createLink("sink", program, index, AttachType.TrafficIngress);
answerOrders(() => sumWords(map, Seen.Words));
