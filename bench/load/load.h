/* What both load generators share. Linux alone: epoll, and MSG_TRUNC, by which what arrives is counted and never copied. */
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
#include <unistd.h>

enum { CHUNK = 256 * 1024 };

static char chunk[CHUNK];

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "closed too early");
  exit(1);
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

static void be_prompt(int fd) { setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); }

/* Throws away what is there, up to a mebibyte, and says how much it was; 0 and less at the end. */
static ssize_t discard(int fd) { return recv(fd, NULL, 1 << 20, MSG_TRUNC); }

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
