/** What an operator may ask of a Router's workers, answered in slices as small as a test likes. */

import { compileImage } from "../../host/config/compile.js";
import { checkConfig } from "../../host/config/parse.js";
import { type Examination, FIRST_CONNS, sumExamined } from "../../host/examination.js";
import type { Answer, Examined } from "../../host/orders.js";
import { type Asked, Tables } from "../../host/tables.js";
import { type JobOrder, Jobs } from "../../host/workers/jobs.js";
import type { Document, Router } from "./router.js";

export interface TablesOptions {
  /** Records that one slice looks at. */
  readonly slice?: number;
  /** Called behind each slice. */
  readonly between?: () => void;
}

/** The number that stands for the configuration in force; whoever switches raises it. */
export interface Standing {
  number: number;
}

export function tablesOf(
  router: Router,
  options: TablesOptions = {},
  standing: Standing = { number: 0 },
): Tables {
  const { slice = 97, between = () => {} } = options;
  const asked = router.datapaths.map((datapath): Asked => {
    let answered: Answer | undefined;
    const take = (answer: Answer) => {
      answered = answer;
    };
    const jobs = new Jobs(datapath, () => standing.number, take, slice);
    return {
      ask: (_kind, make) => {
        answered = undefined;
        jobs.add(make(0) as JobOrder);
        while (jobs.step(router.now)) between();
        // Whoever asks for a kind of answer has asked the question that it belongs to.
        return Promise.resolve(answered as never);
      },
    };
  });
  return new Tables(asked, {
    now: () => performance.timeOrigin + router.now,
    inForce: () => standing.number,
    configOf: () => router.config,
    counters: () => Promise.resolve(router.counters()),
  });
}

/** What each worker says that a switch to another configuration would end. */
export function examined(
  router: Router,
  document: Document,
  options: TablesOptions = {},
): Promise<Examined[]> {
  const image = compileImage(checkConfig(document));
  return tablesOf(router, options).examine(image, FIRST_CONNS);
}

/** The same, added up. */
export async function examination(
  router: Router,
  document: Document,
  options: TablesOptions = {},
): Promise<Examination> {
  return sumExamined(await examined(router, document, options), router.config);
}
