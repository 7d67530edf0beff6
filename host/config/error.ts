/**
 * What is wrong with a configuration: every problem of a document, each with the path of the value, what
 * was expected there and what was found.
 */

/** One line: `zones[2].interface: expected an interface name, found 7`. */
export interface Problem {
  /** The keys that lead to the value, or the line and column of a syntax error. */
  readonly path: string;
  readonly expected: string;
  /** As it reads after "found". */
  readonly found: string;
  toString(): string;
}

class ProblemLine implements Problem {
  constructor(
    readonly path: string,
    readonly expected: string,
    readonly found: string,
  ) {}

  toString(): string {
    return `${this.path}: expected ${this.expected}, found ${this.found}`;
  }
}

export function problem(path: string, expected: string, found: string): Problem {
  return new ProblemLine(path, expected, found);
}

/** A configuration that is refused. Its message has one line per problem. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];
  /** The file that the configuration came from, in front of every line. */
  readonly source: string | undefined;

  constructor(problems: readonly Problem[], source?: string) {
    const prefix = source === undefined ? "" : `${source}: `;
    super(problems.map((each) => `${prefix}${each}`).join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
    this.source = source;
  }
}

/** Collects the problems of one document; a line that stands there already is not repeated. */
export class Problems {
  private readonly byLine = new Map<string, Problem>();

  add(path: string, expected: string, found: string): void {
    const added = problem(path, expected, found);
    this.byLine.set(added.toString(), added);
  }

  addAll(problems: readonly Problem[]): void {
    for (const each of problems) this.byLine.set(each.toString(), each);
  }

  /** Whether something is wrong at this path or inside it. */
  isAbout(path: string): boolean {
    return this.list.some(
      (each) =>
        each.path === path || each.path.startsWith(`${path}.`) || each.path.startsWith(`${path}[`),
    );
  }

  get list(): readonly Problem[] {
    return [...this.byLine.values()];
  }

  throwIfAny(source?: string): void {
    if (this.byLine.size > 0) throw new ConfigError(this.list, source);
  }
}

/** Characters of a found value that an error shows. */
const SHOWN = 80;

/** A value as it reads after "found". */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = typeof value;
  }
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

const PLAIN_KEY = /^[A-Za-z_$][\w$-]*$/;

/** `zones[2].interface` */
export function pathText(keys: readonly (string | number)[]): string {
  let path = "";
  for (const key of keys) {
    if (typeof key === "number") path += `[${key}]`;
    else if (!PLAIN_KEY.test(key)) path += `[${describe(key)}]`;
    else path += path === "" ? key : `.${key}`;
  }
  return path === "" ? "document" : path;
}
