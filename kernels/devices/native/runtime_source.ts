/**
 * The C that runs programs: a pool of threads and an interpreter of {@link encodeProgram}'s words. It is the same for
 * all programs, so that of a program only the kernels are compiled.
 *
 * The process has one pool, whatever the number of devices: a launch that finds it busy, which only another JavaScript
 * thread can cause, runs alone on its caller's thread. Threads spin for a while, longer for the next launch than at a
 * barrier, and then sleep. Sleepers are counted, because waking nobody is a system call too.
 *
 * On Linux the threads of the pool keep off the processor that the caller runs on. A scheduler that packs threads, as
 * those of some virtual machines do, wakes a thread where its waker runs, and the two would take turns there while
 * another processor is idle: two threads then took 150 us for what they do in 50 us.
 */

/** Words of instructions; see encode_program.ts. */
export const CALL = 0, BARRIER = 1, LOOP = 2, NEXT = 3, END = 4;

/** Unit of the offsets in calls, in bytes. */
export const OFFSET_UNIT = 256;

/** The text. */
export const RUNTIME_SOURCE: string = String.raw`
#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#include <windows.h>
#define EXPORT __declspec(dllexport)
#else
#include <pthread.h>
#include <sched.h>
#include <time.h>
#define EXPORT __attribute__((visibility("default")))
#endif
#if defined(__linux__)
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef int32_t i32; typedef uint32_t u32; typedef int64_t i64; typedef uint64_t u64;
typedef void (*Kernel)(i64 thread, i64 threads, char *scratch, char *const *operands, const i32 *loops);

typedef struct {
  i64 scratchBytes;
  i32 counters, mostOperands, mostLoops;
  Kernel *kernels;
  i32 *words;
} Program;

#define LOAD(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define STORE(p, value) __atomic_store_n(p, value, __ATOMIC_SEQ_CST)
#define ADD(p, value) __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST)
#define LINE __attribute__((aligned(128)))

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__) || defined(__arm__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

/* Sleeping on a word until it is no longer the value, and waking all that sleep on it. */
#if defined(__linux__)
static void sleepOn(u32 *word, u32 value) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, 0, 0, 0); }
static void wakeAll(u32 *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, 0, 0, 0); }
#elif defined(_WIN32)
static void sleepOn(u32 *word, u32 value) { WaitOnAddress(word, &value, sizeof value, INFINITE); }
static void wakeAll(u32 *word) { WakeByAddressAll(word); }
#else
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static void sleepOn(u32 *word, u32 value) {
  pthread_mutex_lock(&mutex);
  while (LOAD(word) == value) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
}
static void wakeAll(u32 *word) {
  (void)word;
  pthread_mutex_lock(&mutex);
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
}
#endif

#if defined(_WIN32)
typedef HANDLE Thread;
static void yield(void) { SwitchToThread(); }
static double nanoseconds(void) {
  LARGE_INTEGER now, rate;
  QueryPerformanceCounter(&now);
  QueryPerformanceFrequency(&rate);
  return now.QuadPart * 1e9 / rate.QuadPart;
}
#else
typedef pthread_t Thread;
static void yield(void) { sched_yield(); }
static double nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e9 + now.tv_nsec;
}
#endif

/* How long threads spin: about as long as waking one may take; for the next launch as long as a host takes between two. */
#define SPIN_AT_BARRIER 50e3
#define SPIN_FOR_JOB 500e3
#define MOST_THREADS 1024

/* What all threads are doing. Written by the caller of launch while nobody works. */
static struct {
  const Program *program;
  char *base;
  const double *table;
  double *times;
  i64 threads;
  i32 stop;
} job;

/* The number of the job, the threads that have finished it, the lock of the pool. */
static u32 number LINE, sleepingForJob LINE, finished LINE, sleepingForEnd LINE, busy LINE;
/* Barriers: how many are there, and how many barriers there were. */
static u32 arrived LINE, generation LINE, sleepingAtBarrier LINE;
static Thread pool[MOST_THREADS] LINE;
static i32 started, users;
/* The processor that the pool keeps off, -1 for none. */
static int avoided;

/* Waits until a word is no longer the value: spins for some nanoseconds, then sleeps. */
static u32 awaitChange(u32 *word, u32 value, u32 *sleepers, double spin) {
  u32 now;
  double end = 0;
  do {
    for (int turn = 0; turn < 50; turn++) {
      if ((now = LOAD(word)) != value) return now;
      PAUSE();
    }
    if (!end) end = nanoseconds() + spin;
  } while (nanoseconds() < end);
  ADD(sleepers, 1);
  while ((now = LOAD(word)) == value) sleepOn(word, value);
  ADD(sleepers, -1);
  return now;
}

static void change(u32 *word, u32 *sleepers) {
  ADD(word, 1);
  if (LOAD(sleepers)) wakeAll(word);
}

static void barrier(i64 threads) {
  if (threads <= 1) return;
  u32 seen = LOAD(&generation);
  if (ADD(&arrived, 1) == (u32)threads - 1) {
    STORE(&arrived, 0);
    change(&generation, &sleepingAtBarrier);
  } else {
    awaitChange(&generation, seen, &sleepingAtBarrier, SPIN_AT_BARRIER);
  }
}

/* One thread's part of a program. With times, all threads meet before and after each kernel, and the first adds up. */
static void walk(const Program *program, char *base, const double *table, i64 thread, i64 threads, double *times) {
  i32 counters[program->counters + 1], loops[program->mostLoops + 1];
  char *operands[program->mostOperands + 1];
  char *scratch = base + (i64)table[1] + thread * program->scratchBytes;
  const i32 *at = program->words;
  for (;;) {
    switch (at[0]) {
      case ${CALL}: {
        i32 step = at[1], single = at[3], operandCount = at[4], loopCount = at[5];
        Kernel kernel = program->kernels[at[2]];
        const i32 *places = at + 6, *indices = places + 2 * operandCount;
        double start = 0;
        at = indices + loopCount;
        if (times) {
          barrier(threads);
          if (!thread) start = nanoseconds();
        }
        if (!single || !thread) {
          for (i32 i = 0; i < operandCount; i++) {
            operands[i] = base + (i64)table[places[2 * i]] + (i64)places[2 * i + 1] * ${OFFSET_UNIT};
          }
          for (i32 i = 0; i < loopCount; i++) loops[i] = indices[i] < 0 ? 0 : counters[indices[i]];
          kernel(thread, single ? 1 : threads, scratch, operands, loops);
        }
        if (times) {
          barrier(threads);
          if (!thread) times[step] += nanoseconds() - start;
        }
        break;
      }
      case ${BARRIER}:
        barrier(threads);
        at += 1;
        break;
      case ${LOOP}:
        counters[at[1]] = at[2];
        at += 3;
        break;
      case ${NEXT}:
        counters[at[1]] += at[2];
        at = counters[at[1]] == at[3] ? at + 5 : at - at[4];
        break;
      default:
        return;
    }
  }
}

static void serve(i64 thread) {
  u32 seen = 0;
  for (;;) {
    seen = awaitChange(&number, seen, &sleepingForJob, SPIN_FOR_JOB);
    i32 stop = job.stop;
    if (!stop && thread < job.threads) walk(job.program, job.base, job.table, thread, job.threads, job.times);
    change(&finished, &sleepingForEnd);
    if (stop) return;
  }
}

#if defined(_WIN32)
static DWORD WINAPI entry(void *thread) { serve((i64)(intptr_t)thread); return 0; }
static int begin(i64 thread) {
  pool[thread] = CreateThread(0, 0, entry, (void *)(intptr_t)thread, 0, 0);
  return pool[thread] != 0;
}
static void join(i64 thread) {
  WaitForSingleObject(pool[thread], INFINITE);
  CloseHandle(pool[thread]);
}
#else
static void *entry(void *thread) { serve((i64)(intptr_t)thread); return 0; }
static int begin(i64 thread) { return !pthread_create(&pool[thread], 0, entry, (void *)(intptr_t)thread); }
static void join(i64 thread) { pthread_join(pool[thread], 0); }
#endif

/* Keeps the pool off the caller's processor, unless it is the only one that the caller may use. */
static void spread(void) {
#if defined(__linux__)
  int processor = sched_getcpu();
  cpu_set_t others;
  if (processor == avoided || processor < 0 || sched_getaffinity(0, sizeof others, &others)) return;
  avoided = processor;
  CPU_CLR(processor, &others);
  if (CPU_COUNT(&others) == 0) return;
  for (i32 thread = 1; thread <= started; thread++) pthread_setaffinity_np(pool[thread], sizeof others, &others);
#endif
}

/* Has all threads of the pool see the job, and returns when they are through. The caller does its own share. */
static void dispatch(void) {
  spread();
  STORE(&finished, 0);
  change(&number, &sleepingForJob);
  if (!job.stop) walk(job.program, job.base, job.table, 0, job.threads, job.times);
  for (u32 now; (now = LOAD(&finished)) != (u32)started;) awaitChange(&finished, now, &sleepingForEnd, SPIN_AT_BARRIER);
}

static void lock(void) { while (__atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST)) yield(); }
static void unlock(void) { STORE(&busy, 0); }

/* One more device, with that many threads. Returns how many it can have. */
EXPORT i32 acquire(i32 threads) {
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  lock();
  users++;
  /* New threads wait for a job after number 0. */
  if (!started) STORE(&number, 0);
  else if (started < threads - 1) {
    job.stop = 1;
    dispatch();
    for (; started; started--) join(started);
    STORE(&number, 0);
  }
  job.stop = 0;
  avoided = -1;
  while (started < threads - 1 && begin(started + 1)) started++;
  i32 got = started + 1 < threads ? started + 1 : threads;
  unlock();
  return got;
}

/* One device less. Without one there are no threads. */
EXPORT void release(void) {
  lock();
  if (!--users && started) {
    job.stop = 1;
    dispatch();
    for (; started; started--) join(started);
  }
  unlock();
}

/* The address of memory that the host owns. */
EXPORT char *same(char *memory) { return memory; }

/* Copies a program: sizes are scratch bytes, counters, most operands, most loops, kernels, words. 0 without memory. */
EXPORT Program *load(const double *sizes, const u64 *kernels, const i32 *words) {
  size_t functions = (size_t)sizes[4], length = (size_t)sizes[5];
  Program *program = malloc(sizeof(Program) + functions * sizeof(Kernel) + length * sizeof(i32));
  if (!program) return 0;
  program->scratchBytes = (i64)sizes[0];
  program->counters = (i32)sizes[1];
  program->mostOperands = (i32)sizes[2];
  program->mostLoops = (i32)sizes[3];
  program->kernels = (Kernel *)(program + 1);
  program->words = (i32 *)(program->kernels + functions);
  for (size_t i = 0; i < functions; i++) program->kernels[i] = (Kernel)(uintptr_t)kernels[i];
  memcpy(program->words, words, length * sizeof(i32));
  return program;
}

EXPORT void unload(Program *program) { free(program); }

/* Runs a program; with times, adds the nanoseconds of each step to them. */
static void run(const Program *program, char *base, const double *table, i32 threads, double *times) {
  if (threads > 1 && !__atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST)) {
    job.program = program;
    job.base = base;
    job.table = table;
    job.times = times;
    job.threads = threads;
    dispatch();
    unlock();
  } else {
    walk(program, base, table, 0, 1, times);
  }
}

EXPORT void launch(const Program *program, char *base, const double *table, i32 threads) {
  run(program, base, table, threads, 0);
}

EXPORT void profile(const Program *program, char *base, const double *table, i32 threads, double *times) {
  run(program, base, table, threads, times);
}
`;
