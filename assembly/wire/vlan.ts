/**
 * A VLAN tag (IEEE 802.1Q section 9.6), seen from behind the EtherType that announces it: the tag control
 * information and the EtherType of what follows.
 */

import { Be } from "./bytes";

enum At {
  Tci = 0,
  InnerType = 2,
}

@final
@unmanaged
export class Vlan {
  static readonly BYTES: u32 = 4;

  static view(at: usize): Vlan {
    return changetype<Vlan>(at);
  }

  /** True when every accessor stays inside `available` bytes. */
  fits(available: u32): bool {
    return available >= Vlan.BYTES;
  }

  /** Priority (3 bits), drop eligible (1 bit), identifier (12 bits). */
  get tci(): u32 {
    return Be.load16(changetype<usize>(this) + At.Tci);
  }

  set tci(value: u32) {
    Be.store16(changetype<usize>(this) + At.Tci, value);
  }

  /** 0 (priority only) to 4095 (reserved). */
  get id(): u32 {
    return this.tci & 0x0fff;
  }

  get innerType(): u32 {
    return Be.load16(changetype<usize>(this) + At.InnerType);
  }

  set innerType(value: u32) {
    Be.store16(changetype<usize>(this) + At.InnerType, value);
  }

  /** What comes behind the tag. */
  get payload(): usize {
    return changetype<usize>(this) + Vlan.BYTES;
  }
}
