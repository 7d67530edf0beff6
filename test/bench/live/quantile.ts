/** The value that so large a part of all is not above; NaN of none. `sorted` ascends. */
export function quantile(sorted: ArrayLike<number>, part: number): number {
  const place = Math.ceil(sorted.length * part) - 1;
  return sorted[Math.max(0, place)] ?? Number.NaN;
}
