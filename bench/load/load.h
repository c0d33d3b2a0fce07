/* What the load generators share. Linux alone: epoll, and MSG_TRUNC, by which what arrives is counted and never copied. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, BACKLOG = 4096 };

static char chunk[CHUNK] __attribute__((unused));

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "closed too early");
  exit(1);
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int listen_anywhere(int *port) {
  struct sockaddr_in at = loopback(0);
  socklen_t length = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0) fail("listen");
  getsockname(fd, (struct sockaddr *)&at, &length);
  *port = ntohs(at.sin_port);
  return fd;
}

static void be_prompt(int fd) { setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); }

/* Throws away what is there, up to a mebibyte, and says how much it was; 0 and less at the end. */
static inline ssize_t discard(int fd) { return recv(fd, NULL, 1 << 20, MSG_TRUNC); }

static pthread_t begin(void *(*run)(void *), void *with) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, with) != 0) fail("thread");
  return thread;
}

static void until_stdin_ends(void) {
  char byte;
  fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
}
