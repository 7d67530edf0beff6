/** Prometheus' text format, version 0.0.4: families of samples, each with its help and type. */

export type MetricType = "counter" | "gauge" | "histogram";

export type Labels = Readonly<Record<string, string>>;

export class Exposition {
  private readonly lines: string[] = [];

  /** A family; without samples it is left out. */
  family(
    name: string,
    type: MetricType,
    help: string,
    samples: readonly (readonly [labels: Labels, value: number])[],
  ): void {
    if (samples.length === 0) return;
    this.head(name, type, help);
    for (const [labels, value] of samples) this.sample(name, labels, value);
  }

  /** @param buckets  how many were at most so large, by bound; ascending, each with all before it */
  histogram(
    name: string,
    help: string,
    each: readonly {
      readonly labels: Labels;
      readonly buckets: readonly (readonly [bound: number, count: number])[];
      readonly count: number;
      readonly sum: number;
    }[],
  ): void {
    if (each.length === 0) return;
    this.head(name, "histogram", help);
    for (const { labels, buckets, count, sum } of each) {
      for (const [bound, below] of buckets) {
        this.sample(`${name}_bucket`, { ...labels, le: String(bound) }, below);
      }
      this.sample(`${name}_bucket`, { ...labels, le: "+Inf" }, count);
      this.sample(`${name}_sum`, labels, sum);
      this.sample(`${name}_count`, labels, count);
    }
  }

  text(): string {
    return `${this.lines.join("\n")}\n`;
  }

  private head(name: string, type: MetricType, help: string): void {
    this.lines.push(`# HELP ${name} ${help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}`);
    this.lines.push(`# TYPE ${name} ${type}`);
  }

  private sample(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
    const list = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    this.lines.push(`${name}${list} ${value}`);
  }
}

function escaped(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}
