/**
 * The terminal while `crosszone top` has it: its other screen, without a cursor, keys at once. However the process ends,
 * short of SIGKILL, the terminal is as it was.
 */

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const REST_OF_LINE = "\x1b[K";
const REST_OF_SCREEN = "\x1b[J";

/** Ctrl-C comes as a key while the terminal hands on each one. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: keys are control characters
const QUIT = /[qQ\u0003\u0004]/;

/** Of a terminal that does not say. */
const COLUMNS = 80;
const ROWS = 24;

export interface ScreenEvents {
  quit(): void;
  resize(): void;
}

export class Screen {
  private isOpen = true;
  private readonly onExit = () => this.close();
  private readonly onKey = (keys: Buffer) => {
    if (QUIT.test(keys.toString("latin1"))) this.events.quit();
  };
  private readonly onResize = () => this.events.resize();

  constructor(private readonly events: ScreenEvents) {
    process.once("exit", this.onExit);
    process.stdout.on("resize", this.onResize);
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(true);
      process.stdin.on("data", this.onKey);
    }
    process.stdout.write(ENTER);
  }

  get size() {
    const { columns = COLUMNS, rows = ROWS } = process.stdout;
    return { columns, rows };
  }

  /** In place of what was there. Nothing, where the terminal has not taken the last one yet. */
  show(lines: readonly string[]): void {
    if (!this.isOpen || process.stdout.writableNeedDrain) return;
    const text = lines.map((line) => `${line}${REST_OF_LINE}`).join("\r\n");
    process.stdout.write(`${HOME}${text}${REST_OF_SCREEN}`);
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    process.off("exit", this.onExit);
    process.stdout.off("resize", this.onResize);
    if (process.stdin.isTTY) {
      process.stdin.off("data", this.onKey);
      process.stdin.setRawMode(false);
      process.stdin.pause();
    }
    process.stdout.write(LEAVE);
  }
}
