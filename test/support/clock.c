/*
 * The time of day of a process, some seconds ahead of the system's: LD_PRELOAD=clock.so CLOCK_FILE=FILE, whose first eight
 * octets are the seconds (signed, of this machine's order) and may change while the process runs. CLOCK_MONOTONIC stays.
 * libfaketime cannot be used: it calls jemalloc, which asks for the time at its own start, and redis-server never begins.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead;

__attribute__((constructor)) static void begin(void) {
  const char *name = getenv("CLOCK_FILE");
  int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *octets = mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (octets != MAP_FAILED) ahead = octets;
}

static int64_t seconds(void) { return ahead ? *ahead : 0; }

int clock_gettime(clockid_t clock, struct timespec *result) {
  int failed = syscall(SYS_clock_gettime, clock, result);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) result->tv_sec += seconds();
  return failed;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int failed = clock_gettime(CLOCK_REALTIME, &now);
  if (!failed && result) *result = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
  return failed;
}

time_t time(time_t *result) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}
