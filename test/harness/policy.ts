/** Switches of the image (Policy of abi.ts), set where a test wants them whatever the configuration says. */

import { ImageAt } from "../../assembly/abi.js";
import { compileImage } from "../../host/config/compile.js";
import { fnv1a } from "../../host/config/layout.js";
import type { Router } from "./router.js";

/** Takes the router's configuration into force again, with these bits of Policy. */
export function setPolicy(router: Router, bits: number): void {
  const image = compileImage(router.config);
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  view.setUint32(ImageAt.Policy, bits, true);
  view.setUint32(ImageAt.Sum, fnv1a(image.subarray(ImageAt.Policy)), true);
  router.install(image);
}
