/** Numbers and times for people. */

const PREFIXES = ["", "k", "M", "G", "T", "P"];

/** `950`, `12.3k`, `1.20M`: three digits and a prefix of 1000. */
export function short(value: number): string {
  let rest = value;
  let prefix = 0;
  while (rest >= 999.5 && prefix < PREFIXES.length - 1) {
    rest /= 1000;
    prefix++;
  }
  if (prefix === 0)
    return rest < 9.95 && !Number.isInteger(rest) ? rest.toFixed(1) : rest.toFixed(0);
  const digits = rest < 9.995 ? 2 : rest < 99.95 ? 1 : 0;
  return `${rest.toFixed(digits)}${PREFIXES[prefix]}`;
}

/** `3 s`, `12 min`, `5 h 3 min`, `8 d 4 h` */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/** `2026-01-31 12:00:03Z` */
export function momentText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")}Z`;
}
