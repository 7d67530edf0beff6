/**
 * One client's conversation: frames become requests, requests become calls of methods, and their results go back in the
 * order in which they are done.
 *
 *     opened ──hello, or nothing is asked for──▶ known ──token removed──▶ over
 *        └──5 s, 3 wrong tokens──▶ over
 *
 * Bounded: SessionLimit, and SubscriptionLimit of subscriptions.ts; what waits to be sent is the channel's business.
 */

import { Problems } from "../config/error.js";
import { readShape } from "../config/shape.js";
import type { Access, Identity } from "./access.js";
import { bearerOf } from "./access.js";
import { errorOf, invalid, traceOf } from "./errors.js";
import type { Call, Handlers, House } from "./methods/handlers.js";
import { isMethod, METHODS, type MethodName, type Role } from "./protocol/methods.js";
import {
  type Answer,
  type Frame,
  type Request,
  RpcCode,
  RpcError,
  readFrame,
  writeAnswer,
} from "./protocol/rpc.js";
import type { Channel, ChannelEvents } from "./server.js";
import { Subscriptions } from "./subscriptions.js";

/** Limits of a session. */
export enum SessionLimit {
  /** Requests at a time. */
  Pending = 32,
  /** Tokens that may be wrong. */
  Tries = 3,
  /** Bytes of an answer. */
  AnswerBytes = 3 * 1024 * 1024,
}

/** RFC 6455 section 7.4.1: a policy was broken. */
const POLICY = 1008;

export class Session implements ChannelEvents, Call {
  readonly subscriptions: Subscriptions;
  private identity: Identity | undefined;
  /** Settles when the token that came with the request has been looked at. */
  private readonly arrival: Promise<void>;
  private pending = 0;
  private tries = 0;
  /** What it calls itself. */
  private client = "";

  constructor(
    /** Names it among all connections, and says since when there is one (`Now.monotonicMs`). */
    readonly connection: { readonly id: string; readonly openedMs: number },
    private readonly channel: Channel,
    private readonly access: Access,
    private readonly handlers: Handlers,
    readonly house: House,
  ) {
    this.subscriptions = new Subscriptions(house, (text) => channel.offer(text));
    this.arrival = this.arrive();
  }

  /** The name by which the history knows it. */
  get who(): string {
    const who = this.identity?.who ?? "";
    return this.client === "" ? who : `${who}, ${this.client}`;
  }

  get role() {
    return this.identity?.role;
  }

  get isOpen(): boolean {
    return this.channel.isOpen;
  }

  private async arrive(): Promise<void> {
    const token = bearerOf(this.channel.headers);
    if (token !== undefined && this.access.needsToken(this.channel.peer)) {
      await this.showToken(token);
      return;
    }
    const identity = this.access.identify(this.channel.peer);
    if (identity !== undefined) this.know(identity);
  }

  /** Says who it is, by a token. @throws RpcError */
  async hello(token: string | undefined, client: string | undefined): Promise<void> {
    if (client !== undefined) this.client = client;
    if (token !== undefined && this.access.needsToken(this.channel.peer)) {
      const error = await this.showToken(token);
      if (error !== undefined) throw error;
    }
    if (this.identity === undefined) throw new RpcError(RpcCode.Unauthenticated, NO_TOKEN);
  }

  private async showToken(token: string): Promise<RpcError | undefined> {
    const admission = await this.access.admit(token, this.house.clock());
    if (admission.identity !== undefined) {
      this.know(admission.identity);
      return undefined;
    }
    if (admission.isBusy) return new RpcError(RpcCode.Busy, admission.why);
    const { address } = this.channel.peer;
    this.house.refused(`${address} is not let in: ${admission.why}`);
    this.tries++;
    // Behind the answer.
    if (this.tries >= SessionLimit.Tries) {
      setImmediate(() => this.channel.close(POLICY, "too many tokens that are not known"));
    }
    return new RpcError(RpcCode.Unauthenticated, admission.why);
  }

  private know(identity: Identity): void {
    this.identity = identity;
    this.channel.authenticated();
  }

  /** Whether it may still be here; to be asked again and again. */
  async renew(): Promise<void> {
    const { identity } = this;
    if (identity === undefined || !this.isOpen) return;
    if (identity.token === undefined) {
      // The first token has been made meanwhile: from here on everybody shows one.
      if (this.access.identify(this.channel.peer) === undefined) {
        this.channel.close(POLICY, "a token is needed now");
      }
      return;
    }
    const admission = await this.access.admit(identity.token, this.house.clock());
    if (admission.identity !== undefined) this.identity = admission.identity;
    else if (!admission.isBusy) this.channel.close(POLICY, admission.why);
  }

  onMessage(text: string): void {
    void this.serve(text).catch((error: unknown) => {
      this.house.logbook.error(`control: ${traceOf(error)}`);
      this.channel.close(1011, "internal error");
    });
  }

  onDrain(): void {
    this.subscriptions.resume();
  }

  onClose(code: number, reason: string): void {
    this.subscriptions.endAll();
    this.house.forget(this);
    const why = reason === "" ? "" : `: ${shown(reason)}`;
    this.house.logbook.debug(`control: connection ${this.connection.id} ended (${code}${why})`);
  }

  private async serve(text: string): Promise<void> {
    const frame = readFrame(text);
    if (this.pending + frame.asked.length > SessionLimit.Pending) {
      this.send(refuseAll(frame), frame.isBatch);
      return;
    }
    this.pending += frame.asked.length;
    try {
      await this.arrival;
      if (!this.isOpen) return;
      const answers = await Promise.all(frame.asked.map((each) => this.answer(each)));
      this.send(
        answers.filter((each) => each !== undefined),
        frame.isBatch,
      );
    } finally {
      this.pending -= frame.asked.length;
    }
  }

  /** Answers beyond the limit are errors instead; so many bytes are put together, and no more. */
  private send(answers: readonly Answer[], isBatch: boolean): void {
    if (answers.length === 0) return;
    let left: number = SessionLimit.AnswerBytes;
    const written = answers.map((answer) => {
      const text = writeAnswer(answer);
      left -= Buffer.byteLength(text);
      return left >= 0 ? text : writeAnswer({ id: answer.id, error: TOO_LONG });
    });
    this.channel.send(isBatch ? `[${written.join(",")}]` : (written[0] ?? ""));
  }

  private async answer(asked: Frame["asked"][number]): Promise<Answer | undefined> {
    if ("error" in asked) return asked;
    const { id } = asked;
    const began = this.house.clock().monotonicMs;
    let outcome: { result: unknown } | { error: RpcError };
    try {
      outcome = { result: await this.call(asked) };
    } catch (thrown) {
      outcome = { error: this.blame(asked.method, thrown) };
    }
    const ms = Math.round(this.house.clock().monotonicMs - began);
    const how = "error" in outcome ? outcome.error.message : "done";
    this.house.logbook.debug(
      `control: connection ${this.connection.id} (${this.who}) ${shown(asked.method)}: ${how}, ${ms} ms`,
    );
    return id === undefined ? undefined : { id, ...outcome };
  }

  /** Checks everything that can be checked before a method begins. */
  private async call({ method, params }: Request): Promise<unknown> {
    if (!isMethod(method)) {
      throw new RpcError(RpcCode.MethodNotFound, `there is no method ${JSON.stringify(method)}`);
    }
    const { role, params: shape } = METHODS[method];
    if (method !== "hello") this.permit(method, role);
    const problems = new Problems();
    const checked = readShape(shape, params, problems);
    if (checked === undefined) throw invalid(problems.list);
    return await this.handle(method, checked);
  }

  private permit(method: MethodName, role: Role): void {
    if (this.identity === undefined) throw new RpcError(RpcCode.Unauthenticated, NO_TOKEN);
    if (role === "operator" && this.identity.role !== "operator") {
      throw new RpcError(RpcCode.Forbidden, `${method} is for operators, and this is a viewer`);
    }
  }

  /** The parameters are the method's own: they have just been checked against its schema. */
  private handle(method: MethodName, params: unknown): unknown {
    const handler = this.handlers[method] as (params: unknown, call: Call) => unknown;
    return handler(params, this);
  }

  private blame(method: string, thrown: unknown): RpcError {
    const known = errorOf(thrown);
    if (known !== undefined) return known;
    this.house.logbook.error(`control: ${shown(method)}: ${traceOf(thrown)}`);
    return new RpcError(RpcCode.InternalError, "internal error; the router's log says more");
  }
}

const TOO_LONG = new RpcError(
  RpcCode.Failed,
  `the answer has more than ${SessionLimit.AnswerBytes} bytes`,
);

const NO_TOKEN = "say hello with a token first";

/** What a client has sent, on one line. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100)).slice(1, -1);
}

function refuseAll({ asked }: Frame): Answer[] {
  const error = new RpcError(RpcCode.Busy, `more than ${SessionLimit.Pending} requests at a time`);
  return asked.flatMap(({ id }) => (id === undefined ? [] : [{ id, error }]));
}
