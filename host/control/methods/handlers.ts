/** What a method is to a session: a function of its parameters and of who calls. */

import type { Now } from "../../state/deadline.js";
import type { Logbook } from "../logbook.js";
import type { MethodName, Notification, Params, Result, Role } from "../protocol/methods.js";
import type { Router } from "../router.js";
import type { Server } from "../server.js";
import type { Subscriptions } from "../subscriptions.js";

export type Sample = Omit<Notification<"metrics.sample">, "subscription" | "skipped">;

/** Paths that the router was started with. */
export interface Files {
  /** Undefined where none was named; "-" for standard input. */
  readonly config?: string | undefined;
  /** Of the state directory: with it revisions outlive the process. */
  readonly state?: string | undefined;
}

/** What all sessions share. */
export interface House {
  readonly version: string;
  /** Milliseconds since 1970 at which the process began. */
  readonly startedAt: number;
  readonly router: Router;
  readonly logbook: Logbook;
  readonly files: Files;
  clock(): Now;
  /** Undefined before it listens. */
  server(): Server | undefined;
  /** One sample for all who want one at about the same time. */
  sample(): Promise<Sample>;
  /** Has the datapath note events of these classes (bits of abi's EventClass) until it ends. */
  watch(classes: number): { end(): void };
  /** Somebody was not let in; told so often that others are still heard. */
  refused(text: string): void;
  /** A session is over. */
  forget(session: object): void;
}

/** Who calls. */
export interface Call {
  readonly house: House;
  readonly who: string;
  readonly role: Role | undefined;
  readonly connection: { readonly id: string; readonly openedMs: number };
  readonly subscriptions: Subscriptions;
  hello(token: string | undefined, client: string | undefined): Promise<void>;
}

export type Handler<M extends MethodName> = (
  params: Params<M>,
  call: Call,
) => Promise<Result<M>> | Result<M>;

export type Handlers = { readonly [M in MethodName]: Handler<M> };

/** Some of them: one file's. */
export type Some<M extends MethodName> = { readonly [K in M]: Handler<K> };
