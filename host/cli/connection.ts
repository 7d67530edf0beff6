/** Where the router is and how to be let in: options that all commands share which ask one, and what they do with it. */

import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { Client, ClientLimit, type ClientTarget } from "../control/client.js";
import { DEFAULT_SOCKET } from "../control/protocol/names.js";
import { type Fault, RpcCode, RpcError } from "../control/protocol/rpc.js";
import { distrustOfFolder } from "../control/socketfolder.js";
import { messageOf } from "../errortext.js";
import { idOfToken } from "../state/secret.js";
import { Exit, log, Told, UsageError } from "./command.js";
import {
  type Argument,
  type Given,
  type Options,
  type Section,
  type Values,
  type Verb,
  verb,
  wholeNumber,
} from "./definition.js";

/** In place of --token-file. */
const TOKEN_VARIABLE = "CROSSZONE_TOKEN";
const TOKEN_FILE_BYTES = 4096;

const group = "The router";

export const CONNECTION_OPTIONS = {
  socket: {
    type: "string",
    value: "PATH",
    names: "file",
    help: `its unix socket; ${DEFAULT_SOCKET} if nothing is said`,
    group,
  },
  url: {
    type: "string",
    value: "URL",
    help: "where it listens by TCP: ws://127.0.0.1:8090, wss://edge.example:8090",
    group,
  },
  "token-file": {
    type: "string",
    value: "FILE",
    names: "file",
    help: `holds the token, and is readable by nobody else; or the environment's ${TOKEN_VARIABLE}`,
    group,
  },
  "tls-ca": {
    type: "string",
    value: "FILE",
    names: "file",
    help: "who may have signed the router's certificate, in PEM",
    group,
  },
  "tls-cert": {
    type: "string",
    value: "FILE",
    names: "file",
    help: "a certificate that the router asks for, in PEM",
    group,
  },
  "tls-key": { type: "string", value: "FILE", names: "file", help: "and its key", group },
  timeout: {
    type: "string",
    value: "SECONDS",
    help:
      "how long it may take to be let in, and how long an answer may; " +
      `${ClientLimit.ConnectMs / 1000} and ${ClientLimit.AnswerMs / 1000} if nothing is said`,
    group,
  },
} as const;

export type ConnectionValues = Values<typeof CONNECTION_OPTIONS>;

/** A router that can be asked. */
export interface Reach {
  readonly client: Client;
  /** Another connection to the same one. */
  again(): Promise<Client>;
  /** The words behind `crosszone`: `config apply`. */
  readonly words: string;
}

type Asking<O extends Options> = Given<O> & Reach;

interface AskingVerb<O extends Options> {
  readonly name: string;
  readonly summary: string;
  readonly text: string;
  readonly args?: readonly Argument[];
  readonly options: O;
  readonly strangers?: Readonly<Record<string, string>>;
  readonly usage?: readonly string[];
  readonly sections?: readonly Section[];
  readonly examples: readonly string[];
  readonly exits?: string;
  /** What an option is called that the router knows as a parameter: `filter.zone` → `--zone`. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** What can be said without asking: bad arguments, above all. */
  check?(given: Given<O>): void;
  ask(asking: Asking<O>): Promise<Exit> | Exit;
}

/** A verb that asks a running router. */
export function askingVerb<const O extends Options>(definition: AskingVerb<O>): Verb {
  const { ask, check, parameters = {}, args = [], ...description } = definition;
  return verb({
    ...description,
    args,
    options: { ...definition.options, ...CONNECTION_OPTIONS },
    async act(given) {
      // The connection's own options are none that the verb knows.
      const own = given as unknown as Given<O>;
      check?.(own);
      return await withRouter(given.values, given.words, parameters, (reach) => {
        return ask({ ...own, ...reach });
      });
    },
  });
}

/** Opens a connection for as long as it is needed, and says in the command line's words what goes wrong. */
export async function withRouter(
  values: ConnectionValues,
  words: string,
  parameters: Readonly<Record<string, string>>,
  act: (reach: Reach) => Promise<Exit> | Exit,
): Promise<Exit> {
  const target = targetOf(values, words);
  checkFolder(values);
  const clients: Client[] = [];
  const again = async () => {
    const client = await Client.connect(target);
    clients.push(client);
    return client;
  };
  try {
    return await act({ client: await again(), again, words });
  } catch (error) {
    if (error instanceof RpcError) throw inWords(error, target, parameters);
    throw error;
  } finally {
    for (const client of clients) client.close();
  }
}

function inWords(
  error: RpcError,
  { token }: ClientTarget,
  parameters: Readonly<Record<string, string>>,
): Error {
  switch (error.code) {
    case RpcCode.Unauthenticated:
      return new Error(
        token === undefined
          ? `the router wants a token: say --token-file, or set ${TOKEN_VARIABLE} (crosszone token add makes one)`
          : `the router does not take the token: ${error.message}`,
      );
    case RpcCode.Forbidden:
      return new Error(
        `${error.message}; a token of an operator is needed (crosszone token add --role operator)`,
      );
    case RpcCode.InvalidParams:
      return badArguments(error, parameters);
    default: {
      const problems = problemsOf(error);
      if (problems.length === 0) return new Error(refusalText(error, parameters));
      return new Told(
        problems.map((each) => faultLine(each)),
        Exit.Usage,
      );
    }
  }
}

/** The router has refused what the arguments were made into: they are named as they were written. */
function badArguments(error: RpcError, parameters: Readonly<Record<string, string>>): Error {
  const problems = problemsOf(error);
  if (problems.length === 0) return new UsageError(refusalText(error, parameters));
  const lines = problems.map((each) => {
    // An element of a list is named as the list.
    const path = each.path.replace(/\[\d+\]$/, "");
    const name = parameters[path] ?? each.path;
    const isMissing = each.expected.startsWith("the key ") && each.found === "nothing";
    return isMissing ? `${name} is missing` : faultLine({ ...each, path: name });
  });
  return new UsageError(lines.join("; "));
}

/**
 * What the router has against a change names a parameter first, whose value the command line may have chosen itself:
 * `base`, `to`. The sentence behind it says what it is about, but for two.
 */
function refusalText(
  { message, data }: RpcError,
  parameters: Readonly<Record<string, string>>,
): string {
  const [, path = "", text = ""] = /^(\w+): (.*)$/s.exec(message) ?? [];
  const isOfChange = data !== undefined && "refusal" in data && data.path === path;
  if (isOfChange && data.refusal === "unchanged") return `it ${text}`;
  if (isOfChange && data.refusal !== "invalid") return text;
  return Object.hasOwn(parameters, path) ? `${parameters[path]}: ${text}` : message;
}

export function problemsOf({ data }: RpcError): readonly Fault[] {
  const problems: unknown = data?.problems;
  return Array.isArray(problems) ? (problems as readonly Fault[]) : [];
}

/** As `crosszone check` writes it. */
export function faultLine({ path, expected, found }: Fault): string {
  return `${path}: expected ${expected}, found ${found}`;
}

/** @throws UsageError, or what is wrong with a file that is named */
export function targetOf(values: ConnectionValues, words: string): ClientTarget {
  const { socket, url } = values;
  if (socket !== undefined && url !== undefined) {
    throw new UsageError("--socket and --url are two places; say one");
  }
  const times = timesOf(values.timeout);
  const name = `crosszone ${words}`;
  if (url === undefined) {
    return { at: { socket: socket ?? DEFAULT_SOCKET }, name, ...times };
  }
  const place = readUrl(url);
  const token = readToken(values["token-file"]);
  const isSecret = place.protocol === "wss:" || /^(127\.|localhost$|\[::1\]$)/.test(place.hostname);
  if (token !== undefined && !isSecret) {
    log("the token goes over the network for everybody to read; wss:// would hide it");
  }
  return {
    at: { url: place },
    token,
    name,
    ...times,
    ca: fileOf("tls-ca", values),
    cert: fileOf("tls-cert", values),
    key: fileOf("tls-key", values),
  };
}

function timesOf(timeout: string | undefined): Pick<ClientTarget, "answerMs" | "connectMs"> {
  if (timeout === undefined) return {};
  const ms = 1000 * wholeNumber("--timeout", timeout, 1, 3600);
  return { answerMs: ms, connectMs: ms };
}

/** The default socket counts only where nobody but root and the caller can have put it there. */
function checkFolder({ socket, url }: ConnectionValues): void {
  const why = socket === undefined && url === undefined ? distrustOfFolder() : undefined;
  if (why === undefined) return;
  throw new Error(`${why}; if it is the right one all the same, --socket ${DEFAULT_SOCKET}`);
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWebSocket = url?.protocol === "ws:" || url?.protocol === "wss:";
  if (url !== undefined && isWebSocket && url.hostname !== "" && url.username === "") return url;
  throw new UsageError(`--url: ws://HOST:PORT or wss://HOST:PORT expected, found '${text}'`);
}

/** From the file, or else the environment. */
function readToken(path: string | undefined): string | undefined {
  const given = process.env[TOKEN_VARIABLE];
  const text = path === undefined ? given : readPrivate(path);
  if (text === undefined || text === "") return undefined;
  const token = text.trim();
  if (idOfToken(token) !== undefined) return token;
  throw new UsageError(`${path ?? TOKEN_VARIABLE}: no token, which crosszone token add prints`);
}

/** @throws UsageError where others could read it, too */
function readPrivate(path: string): string {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    throw new UsageError(`--token-file: ${messageOf(error)}`);
  }
  try {
    const { mode, size } = fstatSync(file);
    if (size > TOKEN_FILE_BYTES) throw new UsageError(`${path}: no token, it is too long for one`);
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      throw new UsageError(`${path}: others can read it; chmod 600 ${path}`);
    }
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}

function fileOf(
  name: "tls-ca" | "tls-cert" | "tls-key",
  values: ConnectionValues,
): Buffer | undefined {
  const path = values[name];
  if (path === undefined) return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`--${name}: ${messageOf(error)}`);
  }
}
