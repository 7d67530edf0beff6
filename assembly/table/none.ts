/** What a table answers when there is nothing: no index, no handle and no value is ever equal to it. */
export const NONE: u32 = 0xffffffff;
