/** `npm run docs`: writes the pages that are made of the code. A test holds that they are as they should be. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { madePages, ROOT } from "./pages.js";

for (const [path, text] of madePages()) writeFileSync(join(ROOT, path), text);
