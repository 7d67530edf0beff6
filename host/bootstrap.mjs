/**
 * What `npm start` and `npm test` run first: makes a fresh checkout ready, and says nothing when it is.
 * Plain JavaScript that needs nothing installed. Everything it says goes to standard error.
 *
 *     node host/bootstrap.mjs [--tests]    --tests: the tools that the tests call, too
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_MAJOR = 20;

/** Written behind a successful build: the hash of what it was built from. */
const STAMP = "dist/.built-from";

/** What a build reads. */
const SOURCES = ["assembly", "host", "test", "asconfig.json", "tsconfig.json", "package-lock.json"];

/** Debian package → the commands (and files) the tests take from it, and which tests are skipped without them. */
const PACKAGES = {
  iproute2: { commands: ["ip"], tests: "lab and device tests" },
  "util-linux": {
    commands: ["unshare", "nsenter", "setpriv", "lsns"],
    tests: "lab and device tests",
  },
  "iputils-ping": { commands: ["ping"], tests: "lab tests" },
  nftables: { commands: ["nft"], tests: "lab tests" },
  tcpdump: { commands: ["tcpdump"], tests: "lab tests" },
  tshark: { commands: ["tshark"], tests: "lab tests' check of checksums" },
  "python3-websockets": {
    commands: [],
    files: ["/usr/lib/python3/dist-packages/websockets"],
    tests: "the transport's tests with another's client",
  },
  openssl: { commands: ["openssl"], tests: "the transport's tests of TLS" },
  "groff-base": { commands: ["groff"], tests: "the test of the manual page" },
  zsh: { commands: ["zsh"], tests: "the test of completion in zsh" },
  "python3-minimal": { commands: ["python3"], tests: "lab tests" },
  iperf3: { commands: ["iperf3"], tests: "witness tests and the latency script" },
  traceroute: { commands: ["traceroute"], tests: "witness tests" },
  "iputils-tracepath": { commands: ["tracepath"], tests: "witness tests" },
  curl: { commands: ["curl"], tests: "witness tests" },
  "netcat-openbsd": { commands: ["nc"], tests: "witness tests" },
  conntrack: { commands: ["conntrack"], tests: "witness tests" },
  vsftpd: { commands: ["vsftpd"], tests: "witness tests" },
  "tftpd-hpa": { commands: ["in.tftpd"], tests: "witness tests" },
  nfdump: { commands: ["nfcapd", "nfdump"], tests: "tests of IPFIX with nfdump" },
  rsyslog: { commands: ["rsyslogd"], tests: "tests of syslog with rsyslog" },
};

/** What is taken out of a package that is far too large to be installed for it. */
const TOOLS = "dist/tools";
const EXTRACTED = {
  prometheus: { file: "usr/bin/promtool", tests: "tests of metrics with promtool" },
};

function say(text) {
  process.stderr.write(`crosszone: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}

/** Runs a command with its output on standard error; true when it succeeds. */
function run(command, args, env = {}) {
  const options = { stdio: ["ignore", 2, 2], env: { ...process.env, ...env } };
  return spawnSync(command, args, options).status === 0;
}

function npm(...args) {
  const script = process.env.npm_execpath ?? "";
  if (/npm-cli\.[cm]?js$/.test(script)) return run(process.execPath, [script, ...args]);
  return run("npm", args);
}

function json(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : { packages: {} };
}

/** npm leaves a lock file inside node_modules, last of all, that says what it put there. */
function installed() {
  const wanted = json("package-lock.json").packages;
  const present = json("node_modules/.package-lock.json").packages;
  const same = (path) => wanted[path]?.version === present[path]?.version;
  const needed = Object.keys(wanted).filter((path) => path !== "" && !wanted[path].optional);
  return needed.every(same) && Object.keys(present).every(same);
}

function files(path) {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((each) => {
    const inside = join(path, each.name);
    if (each.isDirectory()) return files(inside);
    return each.isFile() ? [inside] : [];
  });
}

/** Contents, not times: a checkout has all its files of one moment, and a file may also go away. */
function sourceHash() {
  const hash = createHash("sha256");
  const isCode = (path) => /\.(ts|json)$/.test(path);
  for (const source of SOURCES) {
    const paths = /\.json$/.test(source) ? [source] : files(source).filter(isCode).sort();
    for (const path of paths) {
      const text = readFileSync(path);
      hash.update(`${path} ${text.length}\n`).update(text);
    }
  }
  return hash.digest("hex");
}

/** The compiler leaves what it once made of a file that is gone; a test among it would still run. */
function prune() {
  for (const path of files("dist")) {
    const source = /^dist[/\\]((?:assembly|host|test)[/\\].+)\.js(\.map)?$/.exec(path)?.[1];
    if (source !== undefined && !existsSync(`${source}.ts`)) rmSync(path);
  }
}

function build() {
  const hash = sourceHash();
  const before = existsSync(STAMP) ? readFileSync(STAMP, "utf8") : "";
  if (before === hash && existsSync("dist/host/main.js")) return;
  say("building");
  rmSync(STAMP, { force: true });
  if (!npm("run", "--silent", "build")) fail("the build failed");
  prune();
  chmodSync("dist/host/main.js", 0o755);
  writeFileSync(STAMP, hash);
}

function missingPackages() {
  const folders = `${process.env.PATH ?? ""}${delimiter}/usr/sbin${delimiter}/sbin`.split(
    delimiter,
  );
  const has = (command) => folders.some((folder) => existsSync(join(folder, command)));
  const isThere = ({ commands, files = [] }) => commands.every(has) && files.every(existsSync);
  return Object.keys(PACKAGES).filter((name) => !isThere(PACKAGES[name]));
}

/** Whether the file of a Debian package is there, put beside the build if it was not. */
function extract(name, file) {
  const to = join(TOOLS, basename(file));
  if (existsSync(to) || existsSync(`/${file}`)) return true;
  if (!existsSync("/usr/bin/apt-get")) return false;
  say(`fetching ${file} of ${name}`);
  mkdirSync(TOOLS, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), "crosszone-tools-"));
  const download = ["-qq", "-o", "APT::Sandbox::User=root", "download", name];
  const options = { stdio: ["ignore", 2, 2], cwd: folder };
  const fetched = spawnSync("apt-get", download, options).status === 0;
  const archive = readdirSync(folder).find((each) => each.endsWith(".deb"));
  const found =
    fetched && archive !== undefined && run("dpkg", ["-x", join(folder, archive), folder]);
  if (found) {
    // Whole or not at all.
    copyFileSync(join(folder, file), `${to}.new`);
    renameSync(`${to}.new`, to);
  }
  rmSync(folder, { recursive: true });
  return found;
}

function installTools() {
  let missing = missingPackages();
  if (missing.length > 0 && process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    say(`installing ${missing.join(" ")}`);
    const quiet = { DEBIAN_FRONTEND: "noninteractive" };
    run("apt-get", ["update", "-qq"], quiet);
    run("apt-get", ["install", "-qq", "-y", "--no-install-recommends", ...missing], quiet);
    missing = missingPackages();
  }
  for (const name of missing) {
    say(`${PACKAGES[name].tests} will be skipped: ${name} is not installed`);
  }
  for (const [name, { file, tests }] of Object.entries(EXTRACTED)) {
    if (!extract(name, file)) say(`${tests} will be skipped: ${name} could not be fetched`);
  }
  if (process.getuid?.() !== 0) say("lab and device tests will be skipped: they need root");
}

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
if (Number(process.versions.node.split(".")[0]) < NODE_MAJOR) {
  fail(`needs Node ${NODE_MAJOR} or later; this is ${process.versions.node}`);
}
if (!installed()) {
  say("installing what package-lock.json names");
  if (!npm("ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error")) {
    fail("npm ci failed");
  }
}
build();
if (process.argv.includes("--tests")) installTools();
