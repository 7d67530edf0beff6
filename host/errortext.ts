/** What is told of something that was thrown: most is an Error, but nothing says that it must be. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
