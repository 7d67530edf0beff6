/** What somebody may do: `viewer` reads, `operator` changes, too. */

export const ROLES = ["viewer", "operator"] as const;
export type Role = (typeof ROLES)[number];
