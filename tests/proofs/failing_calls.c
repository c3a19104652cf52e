/* A disk that fails now and then: preloaded into a process (LD_PRELOAD), it makes one call in so many fail.
 *
 * FAULTS names a file of the layout below, shared by all processes that are to meet the same faults; whoever
 * holds it sees how many calls of each kind there were and how many failed, and switches the faults on and
 * off. Calls count where they touch a file below `below`: by its path, or by an open file that lies there.
 *
 *     cc -shared -fPIC -O2 -o failing_calls.so failing_calls.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { CREATE, WRITE, SYNC, RENAME, LINK, UNLINK, MKDIR, TRUNCATE, OPEN, READ, KINDS };

struct faults {
    _Atomic uint64_t calls;       /* of the kinds that may fail, while faults are on */
    _Atomic uint64_t one_in;      /* one call in so many fails; 0: none */
    _Atomic uint64_t seed;
    _Atomic uint64_t number;      /* the errno */
    _Atomic uint64_t kinds;       /* a bit for each kind that may fail */
    _Atomic uint64_t seen[KINDS]; /* while faults are on */
    _Atomic uint64_t failed[KINDS];
    char below[1024];
};

static struct faults *faults;

__attribute__((constructor)) static void attach(void) {
    const char *name = getenv("FAULTS");
    int file = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *shared = mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED) faults = shared;
}

static int lies_below(const char *path) {
    size_t length = strlen(faults->below);
    return strncmp(path, faults->below, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int open_below(int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return lies_below(path);
}

static int named_below(int folder, const char *path) {
    char here[PATH_MAX];
    if (!path) return 0;
    if (path[0] == '/') return lies_below(path);
    if (folder != AT_FDCWD) return open_below(folder);
    return getcwd(here, sizeof here) && lies_below(here);
}

static int may_fail(int kind) {
    return faults && atomic_load(&faults->one_in) && (atomic_load(&faults->kinds) >> kind & 1);
}

/* Whether this call fails: then errno is set. Which ones do, the seed says and the order of the calls. */
static int fails(int kind) {
    uint64_t one_in = atomic_load(&faults->one_in);
    if (!one_in) return 0;
    atomic_fetch_add(&faults->seen[kind], 1);
    uint64_t mixed = atomic_fetch_add(&faults->calls, 1) + atomic_load(&faults->seed) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    if ((mixed ^ (mixed >> 31)) % one_in) return 0;
    atomic_fetch_add(&faults->failed[kind], 1);
    errno = (int)atomic_load(&faults->number);
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON(file, kind) (may_fail(kind) && open_below(file) && fails(kind))
#define AT(folder, path, kind) (may_fail(kind) && named_below(folder, path) && fails(kind))

static int opening(int flags) { return (flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT) ? OPEN : CREATE; }

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return AT(AT_FDCWD, path, opening(flags)) ? -1 : REAL(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return AT(AT_FDCWD, path, opening(flags)) ? -1 : REAL(open64)(path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return AT(folder, path, opening(flags)) ? -1 : REAL(openat)(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags)
    return AT(folder, path, opening(flags)) ? -1 : REAL(openat64)(folder, path, flags, mode);
}
FILE *fopen(const char *path, const char *how) {
    return AT(AT_FDCWD, path, how[0] == 'r' && !strchr(how, '+') ? OPEN : CREATE) ? NULL : REAL(fopen)(path, how);
}
FILE *fopen64(const char *path, const char *how) {
    return AT(AT_FDCWD, path, how[0] == 'r' && !strchr(how, '+') ? OPEN : CREATE) ? NULL
                                                                                : REAL(fopen64)(path, how);
}

ssize_t write(int file, const void *data, size_t count) {
    return ON(file, WRITE) ? -1 : REAL(write)(file, data, count);
}
ssize_t pwrite(int file, const void *data, size_t count, off_t at) {
    return ON(file, WRITE) ? -1 : REAL(pwrite)(file, data, count, at);
}
ssize_t pwrite64(int file, const void *data, size_t count, off64_t at) {
    return ON(file, WRITE) ? -1 : REAL(pwrite64)(file, data, count, at);
}
ssize_t read(int file, void *data, size_t count) {
    return ON(file, READ) ? -1 : REAL(read)(file, data, count);
}
ssize_t pread(int file, void *data, size_t count, off_t at) {
    return ON(file, READ) ? -1 : REAL(pread)(file, data, count, at);
}
ssize_t pread64(int file, void *data, size_t count, off64_t at) {
    return ON(file, READ) ? -1 : REAL(pread64)(file, data, count, at);
}
int fsync(int file) { return ON(file, SYNC) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return ON(file, SYNC) ? -1 : REAL(fdatasync)(file); }
int ftruncate(int file, off_t length) { return ON(file, TRUNCATE) ? -1 : REAL(ftruncate)(file, length); }
int ftruncate64(int file, off64_t length) { return ON(file, TRUNCATE) ? -1 : REAL(ftruncate64)(file, length); }

int rename(const char *from, const char *to) {
    return AT(AT_FDCWD, to, RENAME) ? -1 : REAL(rename)(from, to);
}
int renameat(int from_folder, const char *from, int folder, const char *to) {
    return AT(folder, to, RENAME) ? -1 : REAL(renameat)(from_folder, from, folder, to);
}
int link(const char *from, const char *to) { return AT(AT_FDCWD, to, LINK) ? -1 : REAL(link)(from, to); }
int linkat(int from_folder, const char *from, int folder, const char *to, int flags) {
    return AT(folder, to, LINK) ? -1 : REAL(linkat)(from_folder, from, folder, to, flags);
}
int unlink(const char *path) { return AT(AT_FDCWD, path, UNLINK) ? -1 : REAL(unlink)(path); }
int unlinkat(int folder, const char *path, int flags) {
    return AT(folder, path, UNLINK) ? -1 : REAL(unlinkat)(folder, path, flags);
}
int rmdir(const char *path) { return AT(AT_FDCWD, path, UNLINK) ? -1 : REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { return AT(AT_FDCWD, path, MKDIR) ? -1 : REAL(mkdir)(path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) {
    return AT(folder, path, MKDIR) ? -1 : REAL(mkdirat)(folder, path, mode);
}
