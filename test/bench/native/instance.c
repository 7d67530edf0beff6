/*
 * What the C that wasm2c makes of the datapath asks for: an instance, and the linear memory that it imports.
 * The memory is the host's own WebAssembly.Memory, so both forms of the code work in memory of one kind, behind
 * which V8 has reserved whatever a 32-bit address and offset can reach. wasm2c 1.0.39.
 */

#include <stdio.h>
#include <stdlib.h>

#include "datapath.h"

struct w2c_env {
  wasm_rt_memory_t memory;
};

typedef struct {
  w2c_datapath module;
  struct w2c_env env;
} Instance;

wasm_rt_memory_t* w2c_env_memory(struct w2c_env* env) {
  return &env->memory;
}

/* The address that every export takes as its first argument, never freed; NULL when there is no memory for it. */
void* nativeInstantiate(void* memory, uint32_t pages) {
  Instance* instance = calloc(1, sizeof(Instance));
  if (instance == NULL) return NULL;
  instance->env.memory.data = memory;
  instance->env.memory.size = (uint64_t)pages * 65536;
  wasm2c_datapath_instantiate(&instance->module, &instance->env);
  return &instance->module;
}

/* The part of wasm2c's runtime that the module uses. */

bool wasm_rt_is_initialized(void) {
  return true;
}

void wasm_rt_trap(const char* why) {
  fprintf(stderr, "the native datapath trapped: %s\n", why);
  abort();
}
