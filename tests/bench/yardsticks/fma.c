/*
 * The arithmetic peak of a CPU: `fma THREADS MILLISECONDS` prints the GFLOP/s of fused multiply-adds in registers.
 *
 * Each thread times short slices and keeps its fastest one, so that other work on the machine, which interrupts some
 * slices, hardly shows. The sum over threads is printed.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef float Vector __attribute__((vector_size(BYTES)));

/* Independent chains: more than the latency of a multiply-add times two units, fewer than there are registers. */
#define CHAINS 12
#define TURNS 20000

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

static volatile float sink;

/* Multiply-adds with a factor below 1 stay finite and never become subnormal. */
static double sliceRate(void) {
  Vector x[CHAINS], factor = (Vector){0} + 0.999f, term = (Vector){0} + 0.5f;
  for (int i = 0; i < CHAINS; i++) x[i] = (Vector){0} + (1.0f + i);
  double start = seconds();
  for (int turn = 0; turn < TURNS; turn++) {
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) x[i] = x[i] * factor + term;
  }
  double time = seconds() - start;
  for (int i = 1; i < CHAINS; i++) x[0] += x[i];
  sink = x[0][0];
  return 2.0 * TURNS * CHAINS * (BYTES / 4) / time * 1e-9;
}

static double limit;

static void *work(void *best) {
  double end = seconds() + limit;
  do {
    double rate = sliceRate();
    if (rate > *(double *)best) *(double *)best = rate;
  } while (seconds() < end);
  return NULL;
}

int main(int count, char **arguments) {
  int threads = count > 1 ? atoi(arguments[1]) : 1;
  limit = (count > 2 ? atof(arguments[2]) : 30) * 1e-3;
  pthread_t *ids = calloc(threads, sizeof *ids);
  double *best = calloc(threads, sizeof *best), sum = 0;
  for (int i = 0; i < threads; i++) {
    if (pthread_create(&ids[i], NULL, work, &best[i])) return 1;
  }
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    sum += best[i];
  }
  printf("%.3f\n", sum);
  return 0;
}
