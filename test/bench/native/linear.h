/*
 * Where the linear memory begins, in a register of its own as in V8's code: from what wasm2c writes the C compiler
 * must read it again after every store, which might have changed it. Callee-saved, so an export keeps its caller's.
 */

#include <stdint.h>

#if defined(__x86_64__)
register uint8_t* linear __asm__("r15");
#elif defined(__aarch64__)
register uint8_t* linear __asm__("x27");
#else
#error "no register is chosen for this processor: use --form guarded"
#endif

static inline void leave(uint8_t** outer) {
  linear = *outer;
}

/* First in an export. */
#define ENTER(instance)                                       \
  __attribute__((cleanup(leave))) uint8_t* outer = linear;    \
  linear = (instance)->w2c_env_memory->data
