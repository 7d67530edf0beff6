/** Bytes on the wire: integers in network order at any alignment, and MAC addresses (6 bytes, by pointer). */

/** Big-endian integers; above this line everything is in host order. */
export namespace Be {
  export function load16(at: usize): u32 {
    return <u32>bswap<u16>(load<u16>(at));
  }

  export function load32(at: usize): u32 {
    return bswap<u32>(load<u32>(at));
  }

  /** Stores the low 16 bits of `value`. */
  export function store16(at: usize, value: u32): void {
    store<u16>(at, bswap<u16>(<u16>value));
  }

  export function store32(at: usize, value: u32): void {
    store<u32>(at, bswap<u32>(value));
  }
}

export function copyMac(to: usize, from: usize): void {
  const head = load<u32>(from);
  const tail = load<u16>(from, 4);
  store<u32>(to, head);
  store<u16>(to, tail, 4);
}

/** A MAC in one word. Reads two bytes more, of which nothing comes in. */
export function macWord(at: usize): u64 {
  return load<u64>(at) << 16;
}

export function isZeroMac(at: usize): bool {
  return (load<u32>(at) | <u32>load<u16>(at, 4)) == 0;
}
