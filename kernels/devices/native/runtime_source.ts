/**
 * The C that runs programs: an interpreter of {@link encodeProgram}'s words and a pool of threads. It is the same for
 * all programs, so that of a program only the kernels are compiled.
 *
 * The caller's thread interprets. What lies between two barriers, if it is worth more than one thread, is a task of as
 * many parts as there are threads: a part is one share of each of its kernels, in order, with all iterations of its loops.
 * The caller posts the task, and all threads that are there claim parts of it, each first its own. The caller goes on
 * when all parts are done, so it waits for threads that work, but never for one that has not come: it does that one's
 * part too.
 *
 * Threads spin for a while and then sleep. They sleep at once when they notice that they were off their core while they
 * spun, because another process needs it.
 *
 * The process has one pool, whatever the number of devices: a launch that finds it busy, which only another JavaScript
 * thread can cause, runs alone on its caller's thread.
 *
 * On Linux the threads of the pool keep off the core that the caller runs on. A scheduler that packs threads, as those
 * of some virtual machines do, wakes a thread where its waker runs, and the two would take turns there while another
 * core is idle: two threads then took 150 us for what they do in 50 us. When the caller has to sleep, its core is free
 * for them.
 */

/** Words of instructions; see encode_program.ts. */
export const CALL = 0, LOOP = 1, NEXT = 2, TASK = 3, DONE = 4, END = 5;

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
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#define EXPORT __attribute__((visibility("default")))
#endif
#if defined(__linux__)
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
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

/* A program that runs on so many threads. With times, the caller's thread adds the nanoseconds of each step. */
typedef struct {
  const Program *program;
  char *base;
  const double *table;
  i64 threads;
  double *times;
  /* Nanoseconds added so far, and the step that they were added to last. */
  double added;
  i32 step;
} Run;

#define LOAD(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define STORE(p, value) __atomic_store_n(p, value, __ATOMIC_SEQ_CST)
#define ADD(p, value) __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST)
#define EXCHANGE(p, value) __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST)
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

/* How long threads spin: for a task about as long as a host takes between launches, for parts as long as waking takes. */
#define SPIN_FOR_TASK 500e3
#define SPIN_FOR_PARTS 50e3
/* A thread that finds so much time gone between two looks at the clock was off its core. */
#define OFF_CORE 100e3
#define MOST_THREADS 1024

/*
 * Words that threads share, and the indices of the loops around them. Written by the caller while no part of it is
 * claimed. The number of the task is its count times 65536 plus its parts; no parts end the threads.
 */
static struct {
  u64 number;
  Run *run;
  const i32 *words, *counters;
} task LINE;
/* For each part, the last task in which it was claimed. */
static struct { u64 by LINE; } claims[MOST_THREADS];
/* Parts that the pool has done of the task, and whether the caller sleeps until it has. */
static u32 done LINE, callerSleeps;
/* Changes to wake threads, and whether some may be asleep. */
static u32 bell LINE, poolSleeps;
/* The lock of the pool. */
static u32 busy LINE;
static struct { Thread handle; u64 seen; } pool[MOST_THREADS] LINE;
static i32 started, users;
/* The core that the pool keeps off, -1 for none. */
static int avoided = -1;

/* Whether to go on spinning. */
typedef struct { double last, end; } Spin;
static int spins(Spin *spin, double duration) {
  double now = nanoseconds();
  if (!spin->end) spin->end = now + duration;
  else if (now > spin->end || now - spin->last > OFF_CORE) return 0;
  spin->last = now;
  return 1;
}

/* Waits for a task after the one that was seen last. */
static u64 awaitTask(u64 seen) {
  u64 now;
  Spin spin = {0, 0};
  do {
    for (int turn = 0; turn < 50; turn++) {
      if ((now = LOAD(&task.number)) != seen) return now;
      PAUSE();
    }
  } while (spins(&spin, SPIN_FOR_TASK));
  for (;;) {
    u32 rung = LOAD(&bell);
    STORE(&poolSleeps, 1);
    if ((now = LOAD(&task.number)) != seen) return now;
    sleepOn(&bell, rung);
  }
}

static void post(i64 parts) {
  STORE(&task.number, ((task.number >> 16) + 1) << 16 | (u64)parts);
  if (LOAD(&poolSleeps) && EXCHANGE(&poolSleeps, 0)) {
    ADD(&bell, 1);
    wakeAll(&bell);
  }
}

/* Only parts of the task that is under way can be claimed: of those before, all were. */
static int claim(u64 number, i64 part) {
  u64 by = LOAD(&claims[part].by);
  return by < number && __atomic_compare_exchange_n(&claims[part].by, &by, number, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void walk(Run *run, const i32 *at, const i32 *around, i64 part, i64 parts, i64 thread);

/* Does all parts that it can claim, its own first. Returns how many. */
static i64 work(u64 number, i64 thread) {
  i64 parts = (i64)(number & 65535), did = 0;
  if (thread >= parts) return 0;
  for (i64 i = 0; i < parts; i++) {
    i64 part = thread + i < parts ? thread + i : thread + i - parts;
    if (!claim(number, part)) continue;
    walk(task.run, task.words, task.counters, part, parts, thread);
    did++;
    if (!thread) continue;
    ADD(&done, 1);
    if (LOAD(&callerSleeps)) wakeAll(&done);
  }
  return did;
}

static void serve(i64 thread) {
  u64 number = pool[thread].seen;
  while ((number = awaitTask(number)) & 65535) work(number, thread);
}

/* Lets the pool run on all cores but the caller's, or with -1 on all. */
static void keepOff(int core) {
#if defined(__linux__)
  cpu_set_t allowed;
  if (core == avoided || sched_getaffinity(0, sizeof allowed, &allowed)) return;
  avoided = core;
  if (core >= 0) CPU_CLR(core, &allowed);
  if (CPU_COUNT(&allowed) == 0) return;
  for (i32 thread = 1; thread <= started; thread++) {
    pthread_setaffinity_np(pool[thread].handle, sizeof allowed, &allowed);
  }
#else
  (void)core;
#endif
}

static void awaitParts(u32 parts) {
  Spin spin = {0, 0};
  do {
    for (int turn = 0; turn < 50; turn++) {
      if (LOAD(&done) == parts) return;
      PAUSE();
    }
  } while (spins(&spin, SPIN_FOR_PARTS));
  keepOff(-1);
  STORE(&callerSleeps, 1);
  for (u32 now; (now = LOAD(&done)) != parts;) sleepOn(&done, now);
  STORE(&callerSleeps, 0);
}

static void count(Run *run, i32 step, double time) {
  run->times[step] += time;
  run->added += time;
  run->step = step;
}

/* Runs words on all threads that come. Waiting for the last of them counts for the last step. */
static void share(Run *run, const i32 *words, const i32 *counters) {
  double start = run->times ? nanoseconds() - run->added : 0;
  task.run = run;
  task.words = words;
  task.counters = counters;
  STORE(&done, 0);
  post(run->threads);
  awaitParts((u32)(run->threads - work(task.number, 0)));
  if (run->times) count(run, run->step, nanoseconds() - run->added - start);
}

/*
 * Interprets words: those of a program, as part 0 of 1, or those of a task. Around it are loops whose counters it
 * copies.
 */
static void walk(Run *run, const i32 *at, const i32 *around, i64 part, i64 parts, i64 thread) {
  const Program *program = run->program;
  i32 counters[program->counters + 1], loops[program->mostLoops + 1];
  char *operands[program->mostOperands + 1], *base = run->base;
  const double *table = run->table;
  char *scratch = base + (i64)table[1] + thread * program->scratchBytes;
  int timed = run->times && thread == 0;
  if (around) memcpy(counters, around, program->counters * sizeof(i32));
  for (;;) {
    switch (at[0]) {
      case ${CALL}: {
        i32 step = at[1], single = at[3], operandCount = at[4], loopCount = at[5];
        Kernel kernel = program->kernels[at[2]];
        const i32 *places = at + 6, *indices = places + 2 * operandCount;
        at = indices + loopCount;
        if (single && part) break;
        double start = timed ? nanoseconds() : 0;
        for (i32 i = 0; i < operandCount; i++) {
          operands[i] = base + (i64)table[places[2 * i]] + (i64)places[2 * i + 1] * ${OFFSET_UNIT};
        }
        for (i32 i = 0; i < loopCount; i++) loops[i] = indices[i] < 0 ? 0 : counters[indices[i]];
        kernel(part, single ? 1 : parts, scratch, operands, loops);
        if (timed) count(run, step, nanoseconds() - start);
        break;
      }
      case ${LOOP}:
        counters[at[1]] = at[2];
        at += 3;
        break;
      case ${NEXT}:
        counters[at[1]] += at[2];
        at = counters[at[1]] == at[3] ? at + 5 : at - at[4];
        break;
      case ${TASK}:
        if (run->threads == 1) at += 2;
        else {
          share(run, at + 2, counters);
          at += at[1];
        }
        break;
      case ${DONE}:
        if (parts > 1) return;
        at++;
        break;
      default:
        return;
    }
  }
}

#if defined(_WIN32)
static DWORD WINAPI entry(void *thread) { serve((i64)(intptr_t)thread); return 0; }
static int begin(i64 thread) {
  pool[thread].handle = CreateThread(0, 0, entry, (void *)(intptr_t)thread, 0, 0);
  return pool[thread].handle != 0;
}
static void join(i64 thread) {
  WaitForSingleObject(pool[thread].handle, INFINITE);
  CloseHandle(pool[thread].handle);
}
#else
static void *entry(void *thread) { serve((i64)(intptr_t)thread); return 0; }
static int begin(i64 thread) { return !pthread_create(&pool[thread].handle, 0, entry, (void *)(intptr_t)thread); }
static void join(i64 thread) { pthread_join(pool[thread].handle, 0); }
#endif

/*
 * Keeps this object in the process for good. A host that ends without a word closes it, and threads that still spin
 * would go on in memory that is not there any more.
 */
static void stay(void) {
#if defined(_WIN32)
  HMODULE self;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN, (LPCSTR)&started, &self);
#else
  Dl_info self;
  if (dladdr(&started, &self)) dlopen(self.dli_fname, RTLD_NOW);
#endif
}

static void lock(void) { while (EXCHANGE(&busy, 1)) yield(); }
static void unlock(void) { STORE(&busy, 0); }

/* One more device, with that many threads. Returns how many it can have. */
EXPORT i32 acquire(i32 threads) {
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  lock();
  users++;
  if (!started && threads > 1) stay();
  while (started < threads - 1) {
    pool[started + 1].seen = task.number;
    if (!begin(started + 1)) break;
    started++;
    avoided = -1;
  }
  i32 got = started + 1 < threads ? started + 1 : threads;
  unlock();
  return got;
}

/* One device less. Without one there are no threads. */
EXPORT void release(void) {
  lock();
  if (!--users && started) {
    post(0);
    for (; started; started--) join(started);
  }
  unlock();
}

/*
 * The address of memory that the host owns and that may grow to so many bytes. Linux is asked for pages of 2 MiB: with
 * those of 4 KiB, translating addresses took a tenth of the time of most kernels. It is free to refuse.
 */
EXPORT char *adopt(char *memory, double bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  madvise(memory, (size_t)bytes, MADV_HUGEPAGE);
#else
  (void)bytes;
#endif
  return memory;
}

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

static void execute(const Program *program, char *base, const double *table, i32 threads, double *times) {
  Run run = {program, base, table, 1, times, 0, 0};
  int locked = threads > 1 && !EXCHANGE(&busy, 1);
  if (locked) {
#if defined(__linux__)
    keepOff(sched_getcpu());
#endif
    run.threads = threads;
  }
  walk(&run, program->words, 0, 0, 1, 0);
  if (locked) unlock();
}

EXPORT void launch(const Program *program, char *base, const double *table, i32 threads) {
  execute(program, base, table, threads, 0);
}

EXPORT void profile(const Program *program, char *base, const double *table, i32 threads, double *times) {
  execute(program, base, table, threads, times);
}
`;
