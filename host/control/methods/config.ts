/** Configurations as revisions. */

import { ConfigError } from "../../config/error.js";
import { parseJson } from "../../config/json.js";
import { parseConfig } from "../../config/parse.js";
import { isRecord } from "../../config/shape.js";
import { canonicalText } from "../../state/canonical.js";
import { diffTexts } from "../../state/diff.js";
import { StaleBase } from "../../state/refusal.js";
import type { ApplyRequest } from "../../state/request.js";
import type { Revision } from "../../state/revisions.js";
import { faultOf } from "../errors.js";
import { RpcCode, RpcError } from "../protocol/rpc.js";
import { type Router, SwitchError } from "../router.js";
import type { Call, Some } from "./handlers.js";

/** A configuration as it comes: a value, or a text that is kept as it was written. */
type Given = string | Readonly<Record<string, unknown>>;

export const configMethods: Some<
  | "config.get"
  | "config.check"
  | "config.apply"
  | "config.confirm"
  | "config.rollback"
  | "config.history"
  | "config.diff"
  | "flows.add"
  | "flows.remove"
> = {
  "config.get"({ revision }, { house: { router } }) {
    const found = revision === undefined ? router.revision : router.revisionOf(revision);
    return { revision: infoOf(found), text: found.text, config: parseJson(found.text) };
  },

  async "config.check"({ config }, { house: { router } }) {
    const { number: base, text: inForce } = router.revision;
    const text = textOf(config);
    const verdict = {
      base,
      problems: [],
      isUnchanged: canonicalText(text) === canonicalText(inForce),
    };
    try {
      const ends = await examine(router, text);
      return { ...verdict, isGood: true, ends };
    } catch (error) {
      if (error instanceof ConfigError) {
        return { ...verdict, isGood: false, problems: error.problems.map(faultOf) };
      }
      if (error instanceof SwitchError) {
        return { ...verdict, isGood: false, refusal: error.message };
      }
      throw error;
    }
  },

  async "config.apply"({ config, base, confirmWithinSec, note }, call) {
    return await apply(call, { text: textOf(config), base, confirmWithinSec, note });
  },

  "config.confirm"({ revision }, { house: { router }, connection, who }) {
    return { revision: infoOf(router.confirm({ revision, connection, who })) };
  },

  async "config.rollback"({ to, base, confirmWithinSec, note }, call) {
    const { router } = call.house;
    if (to === undefined) {
      if (base !== undefined && base !== router.revision.number) {
        throw new StaleBase(base, router.revision.number);
      }
      // At once: nothing that could be counted before is worth waiting for.
      return { revision: infoOf(await router.takeBack(call.who, note)) };
    }
    const { number } = router.revision;
    const ends = await examine(router, router.revisionOf(to, "to").text);
    const connection = call.connection.id;
    // What was in force when it was asked for: nobody undoes what has come meanwhile.
    const request = { to, base: base ?? number, confirmWithinSec, note, who: call.who, connection };
    return { revision: infoOf(await router.rollback(request)), ends };
  },

  "config.history"(_params, { house: { router } }) {
    return { revisions: router.history() };
  },

  "config.diff"({ from, to, config }, { house: { router } }) {
    if (to !== undefined && config !== undefined) {
      throw new RpcError(RpcCode.InvalidParams, "to: not beside config");
    }
    const revision = (number: number | undefined, path: string) =>
      number === undefined ? router.revision : router.revisionOf(number, path);
    const after = config === undefined ? revision(to, "to").text : textOf(config);
    return diffTexts(revision(from, "from").text, after);
  },

  async "flows.add"({ flow, index, base, confirmWithinSec, note }, call) {
    const { number, text } = call.house.router.revision;
    const edited = editFlows(text, (flows) => {
      const at = index ?? flows.length;
      if (at > flows.length) {
        const message = `index: expected a place from 0 to ${flows.length}, found ${at}`;
        throw new RpcError(RpcCode.InvalidParams, message);
      }
      return [...flows.slice(0, at), flow, ...flows.slice(at)];
    });
    return await apply(call, {
      text: edited,
      base: base ?? number,
      confirmWithinSec,
      note: note === "" ? `flow added: ${shown(flow)}` : note,
    });
  },

  async "flows.remove"({ flow, base, confirmWithinSec, note }, call) {
    const { router } = call.house;
    const { number, text } = router.revision;
    const wanted = squeezed(flow);
    // As it was written, or as flows.list shows it.
    const meant = router.running.flows.filter((rule) => squeezed(rule.text) === wanted);
    const origins = new Set(meant.map(({ origin }) => origin));
    const edited = editFlows(text, (flows) => {
      const left = flows.filter(
        (each, i) => squeezed(String(each)) !== wanted && !origins.has(`flows[${i}]`),
      );
      if (left.length < flows.length) return left;
      const why = meant[0] === undefined ? "" : `: it comes from ${meant[0].origin}`;
      throw new RpcError(RpcCode.NotFound, `flow: no written flow is '${shown(flow)}'${why}`);
    });
    return await apply(call, {
      text: edited,
      base: base ?? number,
      confirmWithinSec,
      note: note === "" ? `flow removed: ${shown(flow)}` : note,
    });
  },
};

/** Says what would end, then applies. */
async function apply(
  { house: { router }, connection, who }: Call,
  wanted: Pick<ApplyRequest, "text" | "base" | "confirmWithinSec" | "note">,
) {
  const request = { ...wanted, who, connection: connection.id };
  router.examine(request);
  const ends = await examine(router, wanted.text);
  return { revision: infoOf(await router.apply(request)), ends };
}

async function examine(router: Router, text: string) {
  return await router.examineConfig(parseConfig(text, "config"));
}

/** Line by line, so that a value reads like a file when it is shown or compared. */
function textOf(config: Given): string {
  return typeof config === "string" ? config : `${JSON.stringify(config, undefined, 2)}\n`;
}

function infoOf({ text: _text, ...info }: Revision): Omit<Revision, "text"> {
  return info;
}

/** The configuration with other written flows. Comments there are none; white space is not kept. */
function editFlows(text: string, edit: (flows: readonly unknown[]) => readonly unknown[]): string {
  const document = parseJson(text);
  const { flows } = isRecord(document) ? document : {};
  return textOf({ ...(document as object), flows: edit(Array.isArray(flows) ? flows : []) });
}

function squeezed(flow: string): string {
  return flow.replace(/\s+/g, "");
}

function shown(flow: string): string {
  return flow.length > 200 ? `${flow.slice(0, 200)}…` : flow;
}
