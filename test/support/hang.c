/*
 * A file system that does not answer, as a network one whose server is away: LD_PRELOAD=hang.so HANG_UNDER=FOLDER
 * HANG_WHILE=FILE. Calls with a path below FOLDER do not return as long as FILE is there. statfs says that FOLDER is NFS.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static int wait_for(const char *path) {
  const char *under = getenv("HANG_UNDER"), *file = getenv("HANG_WHILE");
  if (!path || !under || !file || strncmp(path, under, strlen(under)) != 0) return 0;
  while (access(file, F_OK) == 0) nanosleep(&(struct timespec){0, 20000000}, NULL);
  return 1;
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, #name, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = va_arg(rest, mode_t); \
    va_end(rest); \
    wait_for(path); \
    return real(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  wait_for(path);
  return real(path, mode);
}

int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  wait_for(to);
  return real(from, to);
}

int statx(int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict result) {
  REAL(int, "statx", int, const char *, int, unsigned, struct statx *);
  wait_for(path);
  return real(folder, path, flags, mask, result);
}

#define STATFS(name, type) \
  int name(const char *path, struct type *result) { \
    REAL(int, #name, const char *, struct type *); \
    int slow = wait_for(path); \
    int failed = real(path, result); \
    if (slow && !failed) result->f_type = 0x6969; \
    return failed; \
  }
STATFS(statfs, statfs)
STATFS(statfs64, statfs64)
