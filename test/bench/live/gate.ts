/**
 * An XDP program on the candidate's interface, as a process in its namespace. A veth interface takes frames of
 * XDP only when its other end has NAPI, and it has NAPI with a program of its own.
 *
 *     node gate.js INTERFACE pass|drop
 *
 *     pass  leaves every frame to the kernel
 *     drop  drops every frame: what the generator makes when nothing else is done
 */

import {
  assemble,
  Compare,
  callHelper,
  compute,
  copy,
  exit,
  type Instruction,
  jumpIf,
  label,
  load,
  loadMap,
  Operation,
  Register,
  Size,
  set,
  store,
  storeValue,
} from "../../../host/device/bpf/assembler.js";
import {
  AttachType,
  createLink,
  createMap,
  loadProgram,
  MapType,
  ProgramType,
  XdpMode,
} from "../../../host/device/bpf/system.js";
import { Link } from "../../../host/device/link.js";
import { sumWords } from "./kernel.js";
import { Helper } from "./plan.js";
import { answerOrders } from "./station.js";

const { R0, R1, R2, R10 } = Register;

/** enum xdp_action */
const VERDICTS: Record<string, number> = { drop: 1, pass: 2 };

/** Counts the frame. */
function gateProgram(map: number, verdict: number): Instruction[] {
  return [
    storeValue(Size.Word, R10, -4, 0),
    ...loadMap(R1, map),
    copy(R2, R10),
    compute(Operation.Add, R2, -4),
    callHelper(Helper.MapLookup),
    jumpIf(R0, Compare.Equal, 0, "verdict"),
    load(Size.Long, R1, R0, 0),
    compute(Operation.Add, R1, 1),
    store(Size.Long, R0, 0, R1),
    label("verdict"),
    set(R0, verdict),
    exit(),
  ];
}

const [, , interfaceName = "", verdict = ""] = process.argv;
const map = createMap("gate", MapType.PerCpuArray, 4, 8, 1);
const code = assemble(gateProgram(map, VERDICTS[verdict] ?? 0));
const program = loadProgram("gate", ProgramType.Xdp, code, { name: "gate" });
const index = new Link("gate", interfaceName).index();
createLink("gate", program, index, AttachType.Xdp, XdpMode.Native);
answerOrders(() => sumWords(map, 1)[0]);
