/** What a switch would find of the interfaces that it has to open, asked before. */

import { Driver } from "../../assembly/abi.js";
import { describe, type Problem, problem } from "../config/error.js";
import type { Config } from "../config/model.js";
import { kernelMac } from "../device/open.js";

/**
 * Problems with those that a configuration has and the one in force has not, by each device on them. One that both have
 * may be gone: the switch waits for it to return, as the router does without a switch.
 */
export function problemsOfInterfaces({ interfaces, devices }: Config, inForce: Config): Problem[] {
  const opened = interfaces.filter(({ name, driver }) => {
    return !inForce.interfaces.some((each) => each.name === name && each.driver === driver);
  });
  return opened.flatMap(({ name, driver }) => {
    const made = (key: string, expected: string, found: string) =>
      devices.flatMap(({ interface: carrier }, i) =>
        carrier.name === name ? [problem(`devices[${i}].${key}`, expected, describe(found))] : [],
      );
    if (driver !== Driver.Afpacket && driver !== Driver.Afxdp) {
      return made("driver", "one that runs live: afpacket, afxdp", Driver[driver].toLowerCase());
    }
    if (kernelMac(name) !== undefined) return [];
    return made("interface", "an interface of this machine", name);
  });
}
