/** Members of abi's enums as words: by the same rule everywhere. */

/** FinOriginal → fin-original */
export function word(member: string | undefined, joint = "-"): string {
  return (member ?? "").replace(/(?<=.)[A-Z]/g, (letter) => `${joint}${letter}`).toLowerCase();
}
