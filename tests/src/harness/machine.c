/* A machine that lies, loaded before libc (LD_PRELOAD): a disk that forgets what it was told to keep, a disk
 * that fails, a wall clock that jumps. What it does stands in the file named by KIOSKWATCH_MACHINE and may
 * change at any time: "sync=lie" (says yes, writes nothing through), "sync=fail" (EIO), "clock_ms=N" (the wall
 * clock is N milliseconds ahead). The steady clocks are left alone, as a person at a terminal leaves them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the file says after `word`, or NULL. `text` holds it. */
static const char *told(const char *word, char *text, size_t size) {
  const char *path = getenv("KIOSKWATCH_MACHINE");
  if (!path) return NULL;
  int before = errno;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? -1 : read(file, text, size - 1);
  if (file >= 0) close(file);
  errno = before;
  if (length <= 0) return NULL;
  text[length] = 0;
  const char *found = strstr(text, word);
  return found ? found + strlen(word) : NULL;
}

/* Whether the disk is honest; else `result` is what it says. */
static int keeps(int *result) {
  char text[128];
  const char *how = told("sync=", text, sizeof text);
  *result = 0;
  if (how && !strncmp(how, "lie", 3)) return 0;
  if (how && !strncmp(how, "fail", 4)) {
    errno = EIO;
    *result = -1;
    return 0;
  }
  return 1;
}

int fsync(int file) {
  int result;
  return keeps(&result) ? (int)syscall(SYS_fsync, file) : result;
}

int fdatasync(int file) {
  int result;
  return keeps(&result) ? (int)syscall(SYS_fdatasync, file) : result;
}

/* PostgreSQL hands everything to the disk with it before it begins to recover. */
int sync_file_range(int file, off64_t from, off64_t bytes, unsigned int how) {
  int result;
  return keeps(&result) ? (int)syscall(SYS_sync_file_range, file, from, bytes, how) : result;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int result = (int)syscall(SYS_clock_gettime, clock, at);
  char text[128];
  const char *ahead = result == 0 && clock == CLOCK_REALTIME ? told("clock_ms=", text, sizeof text) : NULL;
  if (ahead) {
    long long ns = strtoll(ahead, NULL, 10) % 1000 * 1000000 + at->tv_nsec;
    at->tv_sec += strtoll(ahead, NULL, 10) / 1000 + (ns >= 1000000000) - (ns < 0);
    at->tv_nsec = ns >= 1000000000 ? ns - 1000000000 : ns < 0 ? ns + 1000000000 : ns;
  }
  return result;
}
