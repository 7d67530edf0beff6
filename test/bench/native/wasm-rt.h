/*
 * What the C of wasm2c 1.0.39 takes from its runtime's header, under wasm2c's names; the npm package wabt has the
 * translator alone. Tables and tail calls are only declared: functions that the module does not call name them.
 */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define wasm_rt_memcpy __builtin_memcpy

/* The linear memory, `size` bytes. Where it begins and ends is all that the module asks: it never grows it. */
typedef struct {
  uint8_t* data;
  uint64_t size;
} wasm_rt_memory_t;

#define WASM_RT_TRAP_OOB "memory access out of bounds"
#define WASM_RT_TRAP_INT_OVERFLOW "integer overflow"
#define WASM_RT_TRAP_DIV_BY_ZERO "division by zero"
#define WASM_RT_TRAP_INVALID_CONVERSION "no integer has this value"
#define WASM_RT_TRAP_UNREACHABLE "unreachable"

__attribute__((noreturn)) void wasm_rt_trap(const char* why);
bool wasm_rt_is_initialized(void);

enum { WASM_RT_I32, WASM_RT_I64, WASM_RT_F32, WASM_RT_F64, WASM_RT_V128 };

typedef const char* wasm_rt_func_type_t;
typedef void (*wasm_rt_function_ptr_t)(void);
typedef void* wasm_rt_tailcallee_t;
typedef void* wasm_rt_externref_t;

typedef struct {
  wasm_rt_func_type_t func_type;
  wasm_rt_function_ptr_t func;
  wasm_rt_tailcallee_t func_tailcallee;
  void* module_instance;
} wasm_rt_funcref_t;

typedef struct {
  wasm_rt_funcref_t* data;
  uint32_t size;
} wasm_rt_funcref_table_t;

typedef struct {
  wasm_rt_externref_t* data;
  uint32_t size;
} wasm_rt_externref_table_t;

static const wasm_rt_funcref_t wasm_rt_funcref_null_value;
static const wasm_rt_externref_t wasm_rt_externref_null_value;
