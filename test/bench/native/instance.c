/*
 * What the C that wasm2c makes of the datapath asks for: an instance, and the linear memory that it imports.
 * The memory is the host's own WebAssembly.Memory, so both forms of the code work in memory of one kind, behind
 * which V8 has reserved whatever a 32-bit address and offset can reach. wasm2c 1.0.32.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath.h"

struct Z_env_instance_t {
  wasm_rt_memory_t memory;
};

typedef struct {
  Z_datapath_instance_t module;
  struct Z_env_instance_t env;
} Instance;

wasm_rt_memory_t* Z_envZ_memory(struct Z_env_instance_t* env) {
  return &env->memory;
}

/* The address that every export takes as its first argument, never freed; NULL when there is no memory for it. */
void* nativeInstantiate(void* memory, uint32_t pages) {
  Instance* instance = calloc(1, sizeof(Instance));
  if (instance == NULL) return NULL;
  instance->env.memory.data = memory;
  instance->env.memory.pages = pages;
  instance->env.memory.max_pages = pages;
  instance->env.memory.size = pages * 65536;
  Z_datapath_init_module();
  Z_datapath_instantiate(&instance->module, &instance->env);
  return &instance->module;
}

/* The part of wasm2c's runtime that the module uses. Nothing in it is called through a table, so no type is. */

bool wasm_rt_is_initialized(void) {
  return true;
}

uint32_t wasm_rt_register_func_type(uint32_t parameters, uint32_t results, ...) {
  (void)parameters;
  (void)results;
  return 1;
}

void wasm_rt_trap(wasm_rt_trap_t code) {
  fprintf(stderr, "the native datapath trapped: wasm_rt_trap_t %d\n", (int)code);
  abort();
}
