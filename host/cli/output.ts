/** Results: in which form, written no faster than they are read, and whether a terminal reads them. */

import { UsageError } from "./command.js";

/** The one form that is asked for, by --json, --csv or --output. @throws UsageError where two are */
export function formOf<F extends string>({
  json,
  csv = false,
  output,
}: {
  readonly json: boolean;
  readonly csv?: boolean;
  readonly output: F | undefined;
}): F | "json" | "csv" | undefined {
  const forms = new Map<F | "json" | "csv", string>();
  if (output !== undefined) forms.set(output, `--output ${output}`);
  if (csv) forms.set("csv", "--csv");
  if (json) forms.set("json", "--json");
  const [one, other] = forms.values();
  if (other !== undefined) throw new UsageError(`${other} and ${one} are two forms; say one`);
  return [...forms.keys()][0];
}

/** Resolves when more may be written. Whoever has read enough ends the process (command.ts). */
export function write(text: string): Promise<void> {
  if (process.stdout.write(text)) return Promise.resolve();
  return new Promise((resolve) => process.stdout.once("drain", resolve));
}

/** Colours, where somebody sees them: on a terminal that has not said no (https://no-color.org). */
export type Paint = (colour: Colour, text: string) => string;

const CODES = { red: 31, green: 32, yellow: 33, cyan: 36, bold: 1, dim: 2, reverse: 7 } as const;
export type Colour = keyof typeof CODES;

export const plainPaint: Paint = (_colour, text) => text;

export const colourPaint: Paint = (colour, text) => `\x1b[${CODES[colour]}m${text}\x1b[0m`;

export function paintFor(stream: NodeJS.WriteStream): Paint {
  const { NO_COLOR = "", TERM = "" } = process.env;
  return stream.isTTY && NO_COLOR === "" && TERM !== "dumb" ? colourPaint : plainPaint;
}

/** The elements of an array, one on each line: it is read whole by one program, and line by line by another. */
export class JsonArray {
  private count = 0;

  /** What is to be written for an element. */
  add(element: unknown): string {
    return `${this.count++ === 0 ? "[" : ","}\n${JSON.stringify(element)}`;
  }

  /** And behind the last. */
  end(): string {
    return this.count === 0 ? "[]\n" : "\n]\n";
  }
}
