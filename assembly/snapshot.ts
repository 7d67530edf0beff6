/** What goes on in another process, for hosts: written by nat/save.ts, read by nat/restore.ts. */

export { movePorts } from "./nat/external";
export {
  continueEpoch,
  finishRestoring,
  restoreRecords,
  startRestoring,
  stoppedFor,
} from "./nat/restore";
export { continueSaving, isSaved, startSaving } from "./nat/save";
