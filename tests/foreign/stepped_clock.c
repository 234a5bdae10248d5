/* A machine's clock that can be stepped, for one process: LD_PRELOAD this, with CLOCK_OFFSET naming a file that
   holds a long, the seconds by which the real-time clock is wrong now. Waits until a time of that clock end when
   it says so, as they would on a machine. (libfaketime doesn't get along with an allocator that replaces malloc.) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *wrong_by;
static int (*wait_until)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("CLOCK_OFFSET");
  int file = path ? open(path, O_RDONLY) : -1;
  void *map = file < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
  if (map != MAP_FAILED) wrong_by = map;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int failed = (int)syscall(SYS_clock_gettime, clock, at);
  if (!failed && wrong_by && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += *wrong_by;
  return failed;
}

int timespec_get(struct timespec *at, int base) { return clock_gettime(CLOCK_REALTIME, at) ? 0 : base; }

int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

/* In slices, because the clock may be stepped meanwhile; each ends as if by chance, which callers must bear. */
int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until) {
  if (!wait_until) wait_until = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  if (!wait_until) wait_until = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  struct timespec now, slice;
  clock_gettime(CLOCK_REALTIME, &now);
  double left = (double)(until->tv_sec - now.tv_sec) + (double)(until->tv_nsec - now.tv_nsec) / 1e9;
  if (left <= 0) return ETIMEDOUT;
  if (left > 0.05) left = 0.05;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &slice);
  long nanoseconds = slice.tv_nsec + (long)(left * 1e9);
  slice.tv_sec += nanoseconds / 1000000000;
  slice.tv_nsec = nanoseconds % 1000000000;
  int ended = wait_until(cond, mutex, &slice);
  return ended == ETIMEDOUT ? 0 : ended;
}
