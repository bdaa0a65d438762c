/*
 * Writes down what a disk owes a program, so that a power loss can be played: LD_PRELOADed into processes, it adds a line to
 * a side file for each change of a name below a folder, and for each fsync that succeeded. power.ts reads them.
 *
 *   C dir inode kind name      a file (f) or folder (d) was made        T inode size   a file was cut
 *   L dir inode name           a further name (link)                    S inode size   all up to size is on disk
 *   R dir dir inode old/new    rename                                   d inode token  the sync of a folder begins
 *   U dir name                 a name was removed                       D token        and has succeeded
 *
 * Sizes are taken before the fsync: what is written while it runs is not promised. A file that a rename replaces is kept
 * by a link beside the side file, in case the rename is lost. UNSYNCED_LIES names programs whose fsync does nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Looked up once: a look-up takes a lock of the loader, which another thread may hold at a fork. */
#define REAL(name)                                                        \
  ({                                                                      \
    static _Atomic(__typeof__(&name)) found;                              \
    if (!found) found = (__typeof__(&name))dlsym(RTLD_NEXT, #name);       \
    found;                                                                \
  })
#define INODE "%lx.%lx"
#define OF(st) (unsigned long)(st).st_dev, (unsigned long)(st).st_ino

static const char *root, *kept;
static int out = -1, lies;
static useconds_t wait_before;
static atomic_ulong tokens;

__attribute__((constructor)) static void start(void) {
  const char *log = getenv("UNSYNCED_LOG"), *wait = getenv("UNSYNCED_WAIT"), *liars = getenv("UNSYNCED_LIES");
  root = getenv("UNSYNCED_ROOT");
  kept = getenv("UNSYNCED_KEPT");
  if (!root || !log || !kept) return;
  wait_before = wait ? (useconds_t)atoi(wait) : 0;
  lies = liars && strstr(liars, program_invocation_short_name) != NULL;
  root = strdup(root); /* redis-server writes its title over the environment */
  kept = strdup(kept);
  out = REAL(open)(log, O_WRONLY | O_APPEND | O_CLOEXEC);
}

/* One line, one write: lines of processes do not mix. errno stays. */
__attribute__((format(printf, 1, 2))) static void note(const char *format, ...) {
  char line[PATH_MAX + 200];
  int before = errno;
  va_list args;
  va_start(args, format);
  int length = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (length > 0 && (size_t)length < sizeof line && write(out, line, (size_t)length) != length) abort();
  errno = before;
}

/* A name below the root: the inode of its folder and its last part. */
struct place {
  char path[2 * PATH_MAX];
  const char *name;
  struct stat dir, self;
  int there; /* self is known */
};

static int find(struct place *at, int fd, const char *path) {
  char base[PATH_MAX] = "";
  int before = errno;
  at->there = 0;
  if (out < 0 || !path) return 0;
  if (path[0] != '/') {
    if (fd == AT_FDCWD) {
      if (!getcwd(base, sizeof base)) base[0] = 0;
    } else {
      char link[40];
      snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
      ssize_t length = readlink(link, base, sizeof base - 1);
      base[length > 0 ? length : 0] = 0;
    }
  }
  snprintf(at->path, sizeof at->path, "%s%s%s", base, path[0] == '/' ? "" : "/", path);
  for (size_t end = strlen(at->path); end > 1 && at->path[end - 1] == '/'; end--) at->path[end - 1] = 0;
  size_t length = strlen(root);
  char *slash = strrchr(at->path, '/');
  int found = strncmp(at->path, root, length) == 0 && at->path[length] == '/';
  if (found) {
    *slash = 0;
    found = stat(at->path, &at->dir) == 0;
    *slash = '/';
    at->name = slash + 1;
    at->there = lstat(at->path, &at->self) == 0;
  }
  errno = before;
  return found;
}

static void look(struct place *at) { at->there = lstat(at->path, &at->self) == 0; }

static void opened(struct place *at, int flags) {
  int fresh = !at->there;
  if (fresh) look(at);
  if (at->there && fresh) note("C " INODE " " INODE " f %s\n", OF(at->dir), OF(at->self), at->name);
  if (at->there && !fresh && (flags & O_TRUNC)) note("T " INODE " 0\n", OF(at->self));
}

#define OPEN(function, head, call, fd, path)                              \
  int function head {                                                     \
    mode_t mode = 0;                                                      \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {          \
      va_list args;                                                       \
      va_start(args, flags);                                              \
      mode = va_arg(args, mode_t);                                        \
      va_end(args);                                                       \
    }                                                                     \
    struct place at;                                                      \
    int ours = (flags & (O_CREAT | O_TRUNC)) && find(&at, fd, path);      \
    int result = REAL(function) call;                                     \
    if (ours && result >= 0) opened(&at, flags);                          \
    return result;                                                        \
  }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD, path)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD, path)
OPEN(openat, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), fd, path)
OPEN(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), fd, path)

#define FOPEN(function)                                                   \
  FILE *function(const char *path, const char *how) {                     \
    struct place at;                                                      \
    int ours = how[0] != 'r' && find(&at, AT_FDCWD, path);                \
    FILE *result = REAL(function)(path, how);                             \
    if (ours && result) opened(&at, how[0] == 'w' ? O_TRUNC : 0);         \
    return result;                                                        \
  }
FOPEN(fopen)
FOPEN(fopen64)

int mkdir(const char *path, mode_t mode) {
  struct place at;
  int ours = find(&at, AT_FDCWD, path);
  int result = REAL(mkdir)(path, mode);
  if (ours && result == 0) {
    look(&at);
    note("C " INODE " " INODE " d %s\n", OF(at.dir), OF(at.self), at.name);
  }
  return result;
}

int link(const char *from, const char *to) {
  struct place at;
  int ours = find(&at, AT_FDCWD, to);
  int result = REAL(link)(from, to);
  if (ours && result == 0) {
    look(&at);
    note("L " INODE " " INODE " %s\n", OF(at.dir), OF(at.self), at.name);
  }
  return result;
}

int rename(const char *from, const char *to) {
  struct place old, new;
  int ours = find(&old, AT_FDCWD, from) & find(&new, AT_FDCWD, to);
  if (ours && new.there) {
    char copy[PATH_MAX];
    int before = errno;
    snprintf(copy, sizeof copy, "%s/" INODE, kept, OF(new.self));
    REAL(link)(new.path, copy);
    errno = before;
  }
  int result = REAL(rename)(from, to);
  if (ours && result == 0)
    note("R " INODE " " INODE " " INODE " %s/%s\n", OF(old.dir), OF(new.dir), OF(old.self), old.name, new.name);
  return result;
}

#define REMOVE(function, head, call, fd)                                  \
  int function head {                                                     \
    struct place at;                                                      \
    int ours = find(&at, fd, path);                                       \
    int result = REAL(function) call;                                     \
    if (ours && result == 0) note("U " INODE " %s\n", OF(at.dir), at.name); \
    return result;                                                        \
  }
REMOVE(unlink, (const char *path), (path), AT_FDCWD)
REMOVE(remove, (const char *path), (path), AT_FDCWD)
REMOVE(rmdir, (const char *path), (path), AT_FDCWD)
REMOVE(unlinkat, (int fd, const char *path, int flags), (fd, path, flags), fd)

#define CUT(function, head, call, look_up)                                \
  int function head {                                                     \
    struct stat self;                                                     \
    int result = REAL(function) call;                                     \
    if (out >= 0 && result == 0 && look_up == 0) note("T " INODE " %lld\n", OF(self), (long long)size); \
    return result;                                                        \
  }
CUT(ftruncate, (int fd, off_t size), (fd, size), fstat(fd, &self))
CUT(ftruncate64, (int fd, off64_t size), (fd, size), fstat(fd, &self))
CUT(truncate, (const char *path, off_t size), (path, size), stat(path, &self))
CUT(truncate64, (const char *path, off64_t size), (path, size), stat(path, &self))

static int synced(int fd, int (*real)(int)) {
  struct stat self;
  unsigned long token = atomic_fetch_add(&tokens, 1);
  if (out < 0 || fstat(fd, &self) != 0) return real(fd);
  if (lies) return 0;
  if (S_ISDIR(self.st_mode)) note("d " INODE " %d.%lu\n", OF(self), (int)getpid(), token);
  if (wait_before > 0) usleep(wait_before);
  int result = real(fd);
  if (result != 0) return result;
  if (S_ISREG(self.st_mode)) note("S " INODE " %lld\n", OF(self), (long long)self.st_size);
  if (S_ISDIR(self.st_mode)) note("D %d.%lu\n", (int)getpid(), token);
  return result;
}
int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }
