/**
 * The prelude of generated C code: vectors of LANES elements in the vector extension that GCC (10 and later) and clang
 * (12 and later) share, and the operations that the extension lacks. Instructions are requested through compiler
 * builtins, because including immintrin.h would add half a second to every file.
 */
import type { NativeTarget } from "./target.ts";

/**
 * Flags that the text is written for, beside those that choose the machine. The printer has scheduled, unrolled and
 * vectorised already: GCC's -O1 takes 1.7 times as long as -Og for kernels as fast (0.97 to 1.08 of the time), -O2 and
 * -O3 two to three times as long as -O1; clang's -Og is its -O1. Unwinding tables, which nobody reads, would take a
 * tenth of the time. Rounding is the printer's choice; memory is accessed as
 * floats and integers alike.
 */
export const C_FLAGS: readonly string[] = [
  "-std=gnu11",
  "-Og",
  "-ffp-contract=off",
  "-fno-math-errno",
  "-fno-trapping-math",
  "-fno-strict-aliasing",
  "-fno-asynchronous-unwind-tables",
  "-fPIC",
  "-w",
];

/** The text that precedes the functions of a translation unit. */
export function preludeOf({ lanes }: NativeTarget): string {
  const all = (x: string) => `{${Array.from({ length: lanes }, () => x).join(", ")}}`;
  const numbers = Array.from({ length: lanes }, (_, lane) => lane);
  return `#define LANES ${lanes}\n#define ALL(x) ${all("x")}\n#define LANE_NUMBERS ((VI){${numbers}})\n${PRELUDE}`;
}

const PRELUDE = String.raw`typedef int i32;
typedef unsigned u32;
typedef long long i64;
typedef unsigned short u16;
typedef float V __attribute__((vector_size(4 * LANES)));
typedef i32 VI __attribute__((vector_size(4 * LANES)));
typedef u32 VU __attribute__((vector_size(4 * LANES)));
typedef double VD __attribute__((vector_size(4 * LANES)));
typedef float HALF __attribute__((vector_size(2 * LANES)));
typedef V V_UNALIGNED __attribute__((aligned(4), may_alias));
typedef u16 VH __attribute__((vector_size(2 * LANES)));
typedef VH VH_UNALIGNED __attribute__((aligned(2), may_alias));
typedef u16 H_ALIAS __attribute__((may_alias));
typedef float F_ALIAS __attribute__((may_alias));
typedef i32 I_ALIAS __attribute__((may_alias));
#define INLINE static inline __attribute__((always_inline))
#define F_AT(address, offset) (*(F_ALIAS *)((address) + (offset)))
#define I_AT(address, offset) (*(I_ALIAS *)((address) + (offset)))
#define H_AT(address, offset) (*(H_ALIAS *)((address) + (offset)))
#define V_AT(address, offset) (*(V_UNALIGNED *)((address) + (offset)))
/* The cast removes the reduced alignment from the type. */
#define v_load(address, offset) ((V)V_AT(address, offset))
#ifndef __has_builtin
#define __has_builtin(x) 0
#endif
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define SHUFFLE(x, y, ...) __builtin_shuffle(x, y, (VI){__VA_ARGS__})
#endif

/* Elements of two bytes. */
INLINE V v_load_u16(const char *address, i64 offset) {
  return (V)__builtin_convertvector((VH)*(VH_UNALIGNED *)(address + offset), VU);
}
INLINE void v_store_u16(char *address, V x, i64 offset) {
  *(VH_UNALIGNED *)(address + offset) = __builtin_convertvector((VU)x, VH);
}

INLINE V v_splat(float x) { return (V)ALL(x); }
INLINE V v_splat_i(i32 x) { return (V)(VI)ALL(x); }
INLINE V v_splat_d(double x) { return (V)(x - (VD){0}); }
INLINE V v_with(V x, i32 lane, float y) { x[lane] = y; return x; }
INLINE V v_with_i(V x, i32 lane, i32 y) { VI r = (VI)x; r[lane] = y; return (V)r; }

/* Rounding modes of the instructions: to the nearest, down, towards 0. */
#define NEAREST 8
#define DOWN 9
#define CUT 11
#define EACH(count, fn) for (i32 i = 0; i < count; i++) x[i] = fn(x[i]); return x
#if !defined(__clang__) && defined(__AVX512F__) && LANES == 16
#define ALL_LANES ((unsigned short)-1)
#define PRESENT 4
INLINE V v_madd(V x, V y, V z) { return __builtin_ia32_vfmaddps512_mask(x, y, z, ALL_LANES, PRESENT); }
INLINE V v_lesser(V x, V y) { return __builtin_ia32_minps512_mask(x, y, x, ALL_LANES, PRESENT); }
INLINE V v_greater(V x, V y) { return __builtin_ia32_maxps512_mask(x, y, x, ALL_LANES, PRESENT); }
INLINE V v_sqrt(V x) { return __builtin_ia32_sqrtps512_mask(x, x, ALL_LANES, PRESENT); }
INLINE V v_blend(V x, V y, V mask) { return (V)__builtin_ia32_pternlogd512_mask((VI)mask, (VI)x, (VI)y, 0xca, ALL_LANES); }
INLINE i32 v_any(V mask) { return __builtin_ia32_ptestmd512((VI)mask, (VI)mask, ALL_LANES) != 0; }
#define v_rounded(x, mode) __builtin_ia32_rndscaleps_mask(x, mode, x, ALL_LANES, PRESENT)
#elif !defined(__clang__) && defined(__FMA__) && LANES == 8
INLINE V v_madd(V x, V y, V z) { return __builtin_ia32_vfmaddps256(x, y, z); }
INLINE V v_lesser(V x, V y) { return __builtin_ia32_minps256(x, y); }
INLINE V v_greater(V x, V y) { return __builtin_ia32_maxps256(x, y); }
INLINE V v_sqrt(V x) { return __builtin_ia32_sqrtps256(x); }
INLINE V v_blend(V x, V y, V mask) { return __builtin_ia32_blendvps256(y, x, mask); }
INLINE i32 v_any(V mask) { return __builtin_ia32_movmskps256(mask) != 0; }
#define v_rounded(x, mode) __builtin_ia32_roundps256(x, mode)
#elif !defined(__clang__) && defined(__SSE4_1__) && LANES == 4
INLINE V v_lesser(V x, V y) { return __builtin_ia32_minps(x, y); }
INLINE V v_greater(V x, V y) { return __builtin_ia32_maxps(x, y); }
INLINE V v_sqrt(V x) { return __builtin_ia32_sqrtps(x); }
INLINE V v_blend(V x, V y, V mask) { return __builtin_ia32_blendvps(y, x, mask); }
INLINE i32 v_any(V mask) { return __builtin_ia32_movmskps(mask) != 0; }
#define v_rounded(x, mode) __builtin_ia32_roundps(x, mode)
#else
INLINE V v_blend(V x, V y, V mask) { return (V)(((VI)x & (VI)mask) | ((VI)y & ~(VI)mask)); }
#if defined(__AVX512F__) && LANES == 16 && __has_builtin(__builtin_ia32_minps512)
INLINE V v_lesser(V x, V y) { return __builtin_ia32_minps512(x, y, 4); }
INLINE V v_greater(V x, V y) { return __builtin_ia32_maxps512(x, y, 4); }
#elif defined(__AVX__) && LANES == 8 && __has_builtin(__builtin_ia32_minps256)
INLINE V v_lesser(V x, V y) { return __builtin_ia32_minps256(x, y); }
INLINE V v_greater(V x, V y) { return __builtin_ia32_maxps256(x, y); }
#elif defined(__SSE__) && LANES == 4 && __has_builtin(__builtin_ia32_minps)
INLINE V v_lesser(V x, V y) { return __builtin_ia32_minps(x, y); }
INLINE V v_greater(V x, V y) { return __builtin_ia32_maxps(x, y); }
#else
INLINE V v_lesser(V x, V y) { return v_blend(x, y, (V)(x < y)); }
INLINE V v_greater(V x, V y) { return v_blend(x, y, (V)(x > y)); }
#endif
INLINE i32 v_any(V mask) {
  i32 any = 0;
  for (i32 i = 0; i < LANES; i++) any |= ((VI)mask)[i];
  return any != 0;
}
#if defined(__aarch64__) && !defined(__clang__)
INLINE V v_madd(V x, V y, V z) { return __builtin_aarch64_fmav4sf(x, y, z); }
INLINE V v_sqrt(V x) { return __builtin_aarch64_sqrtv4sf(x); }
INLINE V v_floor(V x) { return __builtin_aarch64_floorv4sf(x); }
INLINE V v_trunc(V x) { return __builtin_aarch64_btruncv4sf(x); }
INLINE V v_nearest(V x) { return __builtin_aarch64_roundevenv4sf(x); }
#elif __has_builtin(__builtin_elementwise_fma)
INLINE V v_madd(V x, V y, V z) { return __builtin_elementwise_fma(x, y, z); }
INLINE V v_sqrt(V x) { return __builtin_elementwise_sqrt(x); }
INLINE V v_floor(V x) { return __builtin_elementwise_floor(x); }
INLINE V v_trunc(V x) { return __builtin_elementwise_trunc(x); }
INLINE V v_nearest(V x) { return __builtin_elementwise_rint(x); }
#else
#ifdef __clang__
INLINE V v_madd(V x, V y, V z) {
#pragma STDC FP_CONTRACT ON
  return x * y + z;
}
#endif
INLINE V v_sqrt(V x) { EACH(LANES, __builtin_sqrtf); }
INLINE V v_floor(V x) { EACH(LANES, __builtin_floorf); }
INLINE V v_trunc(V x) { EACH(LANES, __builtin_truncf); }
INLINE V v_nearest(V x) { EACH(LANES, __builtin_rintf); }
#endif
#endif
#ifdef v_rounded
INLINE V v_floor(V x) { return v_rounded(x, DOWN); }
INLINE V v_trunc(V x) { return v_rounded(x, CUT); }
INLINE V v_nearest(V x) { return v_rounded(x, NEAREST); }
#endif

/* Elements at LANES indices. Of equal ones, the highest lane is stored. */
#if !defined(__clang__) && defined(__AVX512F__) && LANES == 16
INLINE V v_gather(const char *address, V at, i64 offset) {
  return __builtin_ia32_gathersiv16sf((V){0}, address + offset, (VI)at, ALL_LANES, 4);
}
INLINE void v_scatter(char *address, V at, V x, i64 offset) {
  __builtin_ia32_scattersiv16sf(address + offset, ALL_LANES, (VI)at, x, 4);
}
#else
INLINE V v_gather(const char *address, V at, i64 offset) {
  V x;
  for (i32 i = 0; i < LANES; i++) x[i] = F_AT(address + offset, 4 * (i64)((VI)at)[i]);
  return x;
}
INLINE void v_scatter(char *address, V at, V x, i64 offset) {
  for (i32 i = 0; i < LANES; i++) F_AT(address + offset, 4 * (i64)((VI)at)[i]) = x[i];
}
#endif

/* The quotient of the least number by -1 is none, and processors trap. */
INLINE i32 i_rem(i32 x, i32 y) { return y == -1 ? 0 : x % y; }

union FLOAT { float f; i32 i; };
INLINE i32 bits_of_f(float x) { union FLOAT u = {.f = x}; return u.i; }
INLINE float f_of_bits(i32 x) { union FLOAT u = {.i = x}; return u.f; }
/* The extremes are NaN if an operand is, and 0 is above -0. */
INLINE float f_min(float x, float y) { return x < y ? x : y < x ? y : f_of_bits(bits_of_f(x) | bits_of_f(y)); }
INLINE float f_max(float x, float y) { return -f_min(-x, -y); }
INLINE V v_negated(V x) { return (V)((VU)x ^ 0x80000000u); }
INLINE V v_min(V x, V y) { return (V)((VI)v_lesser(x, y) | (VI)v_lesser(y, x)); }
INLINE V v_max(V x, V y) { return v_negated(v_min(v_negated(x), v_negated(y))); }

/* Conversions to integers saturate, and NaN gives 0. The bounds are the nearest floats inside the integer range. */
INLINE i32 i_from_f(float x) {
  return x >= 2147483648.0f ? 2147483647 : x < -2147483648.0f ? -2147483647 - 1 : x == x ? (i32)x : 0;
}
INLINE i32 u_from_f(float x) { return x >= 4294967296.0f ? -1 : x > 0 ? (i32)(u32)x : 0; }
INLINE V v_i_from_f(V x) {
  V inside = v_greater(v_lesser(x, v_splat(2147483520.0f)), v_splat(-2147483648.0f));
  V whole = (V)__builtin_convertvector(inside, VI);
  return (V)((VI)v_blend(v_splat_i(2147483647), whole, (V)(x >= 2147483648.0f)) & (x == x));
}
INLINE V v_u_from_f(V x) {
  V inside = v_lesser(v_greater(x, v_splat(0)), v_splat(4294967040.0f));
  return (V)((VI)__builtin_convertvector(inside, VU) | (x >= 4294967296.0f));
}

/* Vectors of doubles have half as many elements. */
union HALVES { V whole; HALF half[2]; };
INLINE V v_promote(V x) { union HALVES u = {.whole = x}; return (V)__builtin_convertvector(u.half[0], VD); }
INLINE V v_demote(V x) { union HALVES u = {.half = {__builtin_convertvector((VD)x, HALF), {0}}}; return u.whole; }
INLINE VD nearest_d(VD x) { EACH(LANES / 2, __builtin_rint); }
INLINE V v_nearest_d(V x) { return (V)nearest_d((VD)x); }
`;
