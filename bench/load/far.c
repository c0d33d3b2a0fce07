/* What the forwards lead to: a source, a sink and an echo, each on a port of its own, until stdin ends. far.ts is its like. */
#include "load.h"

static void *pour(void *connection) {
  int fd = (int)(intptr_t)connection;
  while (send(fd, chunk, CHUNK, MSG_NOSIGNAL) > 0) continue;
  close(fd);
  return NULL;
}

/* Begins by reading how many bytes make a block; each block that has arrived is acknowledged with a byte. */
static void *swallow(void *connection) {
  int fd = (int)(intptr_t)connection;
  uint64_t block, arrived = 0, acknowledged = 0;
  ssize_t count = recv(fd, &block, sizeof block, MSG_WAITALL);
  if (count == sizeof block && block > 0)
    while ((count = discard(fd)) > 0)
      for (arrived += (uint64_t)count; (acknowledged + 1) * block <= arrived; acknowledged++)
        send(fd, "k", 1, MSG_NOSIGNAL);
  close(fd);
  return NULL;
}

struct service {
  int listener;
  void *(*serve)(void *);
};

static void *accept_all(void *with) {
  struct service *service = with;
  while (1) {
    int fd = accept(service->listener, NULL, NULL);
    if (fd < 0) continue;
    be_prompt(fd);
    pthread_detach(begin(service->serve, (void *)(intptr_t)fd));
  }
  return NULL;
}

static void *echo_all(void *with) {
  int listener = (int)(intptr_t)with, poll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[64];
  char bytes[4096];
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  while (1)
    for (int i = epoll_wait(poll, ready, 64, -1) - 1; i >= 0; i--) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        event.data.fd = accept(listener, NULL, NULL);
        if (event.data.fd < 0) continue;
        be_prompt(event.data.fd);
        epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
        continue;
      }
      ssize_t count = recv(fd, bytes, sizeof bytes, 0);
      if (count <= 0 || send(fd, bytes, (size_t)count, MSG_NOSIGNAL) != count) close(fd);
    }
  return NULL;
}

int main(void) {
  int source, sink, echo;
  struct service sources = {listen_anywhere(&source), pour}, sinks = {listen_anywhere(&sink), swallow};
  begin(accept_all, &sources);
  begin(accept_all, &sinks);
  begin(echo_all, (void *)(intptr_t)listen_anywhere(&echo));
  printf("{\"source\":%d,\"sink\":%d,\"echo\":%d}\n", source, sink, echo);
  until_stdin_ends();
  _exit(0); /* the threads do not end by themselves */
}
