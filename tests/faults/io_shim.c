/* Fails the Nth write or sync of a database file, for tests: LD_PRELOAD it and call fault_arm().
 *
 * What counts are pwrite, fdatasync, fsync and ftruncate on files whose path holds FAULT_PATH. The Nth one fails as
 * `kind` says: 0 ENOSPC, 1 EIO, 2 a torn write and then kill -9, 3 kill -9 before it, 4 kill -9 after it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { NO_SPACE, IO_ERROR, TORN, KILL_BEFORE, KILL_AFTER };

static atomic_long at, seen;
static atomic_int kind, sticky;

void fault_arm(long nth, int how, int again) { kind = how; sticky = again; seen = 0; at = nth; }
long fault_seen(void) { return seen; }

static int ours(int fd) {
    if (!at) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    const char *wanted = getenv("FAULT_PATH");
    return wanted && strstr(path, wanted) != NULL;
}

/* Whether this call is to fail with errno; does not return where it is to kill before. */
static int fails(int *kill_after) {
    long number = ++seen;
    *kill_after = 0;
    if (number < at || (number > at && !sticky)) return 0;
    switch (kind) {
    case NO_SPACE: errno = ENOSPC; return 1;
    case IO_ERROR: errno = EIO; return 1;
    case KILL_BEFORE: raise(SIGKILL);
    }
    *kill_after = 1;
    return 0;
}

typedef ssize_t (*write_fn)(int, const void *, size_t, off64_t);
static ssize_t write_at(const char *name, int fd, const void *data, size_t size, off64_t where) {
    write_fn real = (write_fn)dlsym(RTLD_NEXT, name);
    int kill_after;
    if (!ours(fd)) return real(fd, data, size, where);
    if (fails(&kill_after)) return -1;
    ssize_t written = real(fd, data, kill_after && kind == TORN ? size / 2 : size, where);
    if (kill_after) raise(SIGKILL);
    return written;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t where) { return write_at("pwrite", fd, data, size, where); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t where) { return write_at("pwrite64", fd, data, size, where); }

static int plainly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int kill_after;
    if (!ours(fd)) return real(fd);
    if (fails(&kill_after)) return -1;
    int result = real(fd);
    if (kill_after) raise(SIGKILL);
    return result;
}
int fdatasync(int fd) { return plainly("fdatasync", fd); }
int fsync(int fd) { return plainly("fsync", fd); }

typedef int (*cut_fn)(int, off64_t);
static int cut(const char *name, int fd, off64_t size) {
    cut_fn real = (cut_fn)dlsym(RTLD_NEXT, name);
    int kill_after;
    if (!ours(fd)) return real(fd, size);
    if (fails(&kill_after)) return -1;
    int result = real(fd, size);
    if (kill_after) raise(SIGKILL);
    return result;
}
int ftruncate(int fd, off_t size) { return cut("ftruncate", fd, size); }
int ftruncate64(int fd, off64_t size) { return cut("ftruncate64", fd, size); }
