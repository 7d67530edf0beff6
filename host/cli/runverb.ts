/** What `crosszone run` takes. What it does is in run.ts, which no other command has to load. */

import { DEFAULT_SOCKET } from "../control/protocol/names.js";
import { LEVELS } from "../control/protocol/status.js";
import { command, verb } from "./definition.js";

const group = "The control plane (docs/protocol.md)";

/** Where it listens, and whom it lets in. */
export const CONTROL_OPTIONS = {
  listen: {
    type: "string",
    multiple: true,
    value: "HOST:PORT",
    help:
      'where it listens by TCP, more than once if wanted; "none" for nowhere. If not given 127.0.0.1:8090, and where ' +
      "that does not work it forwards without. Another address than loopback needs a token (crosszone token add) or " +
      "--tls-client-ca",
    group,
  },
  socket: {
    type: "string",
    value: "PATH",
    names: "file",
    help:
      `the unix socket for tools on this machine; "none" for none. If not given ${DEFAULT_SOCKET}, where that can be ` +
      "made; with --user that must be. It does not start where another router answers",
    group,
  },
  "trust-loopback": {
    type: "boolean",
    help:
      "who connects by TCP from this machine may change everything, too, while there is no token. If not given that " +
      "takes the unix socket, or a token",
    group,
  },
  "tls-cert": {
    type: "string",
    value: "FILE",
    names: "file",
    help: "serve TLS by TCP, with this certificate in PEM; it and the key are read at the start, by --user's user",
    group,
  },
  "tls-key": { type: "string", value: "FILE", names: "file", help: "and its key", group },
  "tls-client-ca": {
    type: "string",
    value: "FILE",
    names: "file",
    help: "who shows a certificate that it signed is an operator; nobody else gets in",
    group,
  },
  host: {
    type: "string",
    multiple: true,
    value: "NAME",
    help: "a name that the router goes by, besides its addresses: what a Host header may say",
    group,
  },
  origin: {
    type: "string",
    multiple: true,
    value: "ORIGIN",
    help: "whose pages may connect, besides its own: https://ops.example",
    group,
  },
} as const;

export const RUN_OPTIONS = {
  state: {
    type: "string",
    value: "DIR",
    names: "folder",
    help:
      "keep revisions of the configuration, tokens and conns in DIR. The revision that was confirmed last runs, and " +
      "CONFIG only while there is none; conns that it still allows go on from one process to the next. Without it " +
      "revisions and conns are gone with the process",
  },
  replace: {
    type: "boolean",
    help:
      "run CONFIG as a new revision in place of the one in DIR: for what cannot be changed while it runs " +
      "(workers, a larger capacity)",
  },
  snapshot: {
    type: "string",
    value: "SECONDS",
    help: "keep conns in DIR so often, and not only when it stops; 0 for never, 30 if not given",
  },
  stats: { type: "boolean", help: "print a line of counters every second" },
  user: {
    type: "string",
    value: "NAME",
    help:
      "become this user, who owns DIR, can read CONFIG and TLS files and write log files, and keep no more rights than " +
      "interfaces need",
  },
  log: {
    type: "string",
    value: "LEVEL",
    choices: LEVELS,
    default: "info",
    help: "say what is as urgent as this",
  },
  ...CONTROL_OPTIONS,
} as const;

export const run = command(
  "Run and check",
  verb({
    name: "run",
    summary: "forward packets",
    text:
      "Opens the interfaces of the configuration and forwards until it is stopped. Needs CAP_NET_RAW; for driver afxdp " +
      "CAP_BPF, CAP_NET_ADMIN and CAP_IPC_LOCK, too.\n\n" +
      "A signal that comes while it is still starting is answered when it has started.",
    args: [
      {
        name: "CONFIG",
        help: "a JSON file, or - for standard input",
        isOptional: true,
        names: "file",
      },
    ],
    options: RUN_OPTIONS,
    sections: [
      {
        title: "Signals",
        rows: [
          [
            "SIGHUP",
            "read CONFIG again and switch to it, as a new revision; conns that it still allows go on; opens log files anew",
          ],
          ["SIGUSR2", "print the conn table as one line of JSON"],
          ["SIGINT, SIGTERM", "stop"],
        ],
      },
    ],
    examples: [
      "sudo crosszone run edge.json --stats",
      "sudo crosszone run edge.json --state /var/lib/crosszone",
    ],
    keepsOn: true,

    async act(given) {
      const { forward } = await import("./run.js");
      return await forward(given);
    },
  }),
);
