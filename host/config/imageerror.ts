/** What is wrong with an image, and records that others name by index. */

/** An image that is truncated, damaged, of another version, or contradicts itself. */
export class ImageError extends Error {
  constructor(message: string) {
    super(`config image: ${message}`);
    this.name = "ImageError";
  }
}

export function at<T>(records: readonly T[], index: number, kind: string): T {
  const record = records[index];
  if (record === undefined)
    throw new ImageError(`a record names ${kind} ${index}, which is not there`);
  return record;
}

export function span<T>(
  records: readonly T[],
  first: number,
  count: number,
  kind: string,
): readonly T[] {
  if (first + count > records.length)
    throw new ImageError(`a record names ${kind} that are not there`);
  return records.slice(first, first + count);
}
