/* Records every write, sync and rename of files in a folder, so that a test can make images of a power cut.
 *
 * Loaded with LD_PRELOAD. SHIM_FOLDER is the folder, SHIM_TRACE the file of the records. With SHIM_NO_SYNC, syncs do
 * nothing and are not recorded, as on a disk that lies. A record is: operation (1 byte), length of the path (4 bytes),
 * number (8 bytes), length of the data (8 bytes), the path, the data. Numbers are in the order of this machine.
 *
 *   C path                  the file was created
 *   W path offset data      bytes were written
 *   T path length           the file was cut or extended to this length
 *   R path new-path         the file was renamed (the data is the new path)
 *   U path                  the file was deleted
 *   B path thread           a sync of the file or folder begins
 *   E path thread           it has ended: what was written before it began is on disk
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define PATH_SIZE 4096

static int trace = -1;
static const char *folder;
static int lies;

__attribute__((constructor)) static void begin(void)
{
    folder = getenv("SHIM_FOLDER");
    lies = getenv("SHIM_NO_SYNC") != NULL;
    if (folder != NULL && getenv("SHIM_TRACE") != NULL)
        trace = syscall(SYS_openat, AT_FDCWD, getenv("SHIM_TRACE"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int is_inside(const char *path)
{
    size_t length = folder == NULL ? 0 : strlen(folder);
    return trace >= 0 && path != NULL && strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

/* The path of an open file; 0 if it is not in the folder, or deleted. */
static int path_of(int descriptor, char *path)
{
    char link[64];
    if (trace < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_SIZE - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return is_inside(path) && strstr(path, " (deleted)") == NULL;
}

static void record(char operation, const char *path, uint64_t number, const void *data, uint64_t size)
{
    uint32_t length = strlen(path);
    size_t total = 21 + length + size;
    char *buffer = malloc(total);
    buffer[0] = operation;
    memcpy(buffer + 1, &length, 4);
    memcpy(buffer + 5, &number, 8);
    memcpy(buffer + 13, &size, 8);
    memcpy(buffer + 21, path, length);
    if (size)
        memcpy(buffer + 21 + length, data, size);
    if (syscall(SYS_write, trace, buffer, total) != (ssize_t)total)
        abort();
    free(buffer);
}

static void record_write(int descriptor, const void *data, ssize_t written, off64_t offset)
{
    char path[PATH_SIZE];
    if (written > 0 && path_of(descriptor, path))
        record('W', path, offset, data, written);
}

static int opened(int descriptor, int flags, int existed)
{
    char absolute[PATH_SIZE];
    if (descriptor < 0 || !path_of(descriptor, absolute))
        return descriptor;
    if ((flags & O_CREAT) && !existed)
        record('C', absolute, 0, NULL, 0);
    else if (flags & O_TRUNC)
        record('T', absolute, 0, NULL, 0);
    return descriptor;
}

#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...)                                      \
    {                                                                               \
        va_list rest;                                                               \
        va_start(rest, flags);                                                      \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;      \
        va_end(rest);                                                               \
        int existed = access(path, F_OK) == 0;                                      \
        return opened(REAL(name)(path, flags, mode), flags, existed);               \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                \
    int name(int at, const char *path, int flags, ...)                              \
    {                                                                               \
        va_list rest;                                                               \
        va_start(rest, flags);                                                      \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;      \
        va_end(rest);                                                               \
        int existed = faccessat(at, path, F_OK, 0) == 0;                            \
        return opened(REAL(name)(at, path, flags, mode), flags, existed);           \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int descriptor, const void *data, size_t size)
{
    ssize_t written = REAL(write)(descriptor, data, size);
    if (written > 0 && trace >= 0) {
        off64_t end = lseek64(descriptor, 0, SEEK_CUR);
        if (end >= written)
            record_write(descriptor, data, written, end - written);
    }
    return written;
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset)
{
    ssize_t written = REAL(pwrite)(descriptor, data, size, offset);
    record_write(descriptor, data, written, offset);
    return written;
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset)
{
    ssize_t written = REAL(pwrite64)(descriptor, data, size, offset);
    record_write(descriptor, data, written, offset);
    return written;
}

#define TRUNCATE(name, type)                                                        \
    int name(int descriptor, type length)                                           \
    {                                                                               \
        char path[PATH_SIZE];                                                       \
        int failed = REAL(name)(descriptor, length);                                \
        if (!failed && path_of(descriptor, path))                                   \
            record('T', path, length, NULL, 0);                                     \
        return failed;                                                              \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                                  \
    int name(int descriptor)                                                        \
    {                                                                               \
        char path[PATH_SIZE];                                                       \
        uint64_t thread = syscall(SYS_gettid);                                      \
        if (!path_of(descriptor, path))                                             \
            return REAL(name)(descriptor);                                          \
        if (lies)                                                                   \
            return 0;                                                               \
        record('B', path, thread, NULL, 0);                                         \
        int failed = REAL(name)(descriptor);                                        \
        if (!failed)                                                                \
            record('E', path, thread, NULL, 0);                                     \
        return failed;                                                              \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to)
{
    int failed = REAL(rename)(from, to);
    if (!failed && is_inside(from))
        record('R', from, 0, to, strlen(to));
    return failed;
}

int unlink(const char *path)
{
    int failed = REAL(unlink)(path);
    if (!failed && is_inside(path))
        record('U', path, 0, NULL, 0);
    return failed;
}
