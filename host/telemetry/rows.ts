/** Rows as they come from a worker: pages of records of one size. */

/** Each record of some pages, in order. */
export function* recordsOf(pages: readonly Uint8Array[], bytes: number): Generator<DataView> {
  for (const { buffer, byteOffset, length } of pages) {
    for (let at = 0; at + bytes <= length; at += bytes) {
      yield new DataView(buffer, byteOffset + at, bytes);
    }
  }
}
