/*
 * Who connects to the forwards: `near KIND PORT COUNT [WARM_MS RUN_MS [MORE]]` puts one load on a port of this machine, and prints
 * what it measured as a line of JSON. near.ts is its like; this costs a fraction of its processor time, which is the subjects' to have.
 */
#include "load.h"
#include <signal.h>
#include <sys/resource.h>

enum { PING = 64, PATIENCE_S = 60, MOST_TRIPS = 1 << 21 };
/* What a crowd is given to be served. */
enum { CROWD_S = 60 };

static int dial(int port) {
  struct sockaddr_in at = loopback(port);
  struct timeval patience = {PATIENCE_S, 0};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  be_prompt(fd);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) fail("connect");
  return fd;
}

static void put(int fd, const void *bytes, size_t length) {
  if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) fail("send");
}

static void take(int fd, size_t length) {
  char bytes[1024];
  errno = 0;
  if (recv(fd, bytes, length, MSG_WAITALL) != (ssize_t)length) fail("receive");
}

static double warm_until, run_until;

static void begin_clock(double warm_ms, double run_ms) {
  warm_until = now() + warm_ms / 1000;
  run_until = warm_until + run_ms / 1000;
}

struct stream {
  int fd;
  double rate; /* bytes a second */
  uint64_t bytes;
};

struct window {
  double from, counted;
};

/* Sees a counter as it grows; gives whether the time is over, and then the rate between two moments at which it grew. */
static int over(struct window *window, double counter, double *rate) {
  double at = now();
  if (window->from == 0 && at >= warm_until) *window = (struct window){at, counter};
  if (at < run_until || window->from == 0 || at == window->from) return 0;
  *rate = (counter - window->counted) / (at - window->from);
  return 1;
}

static void *download(void *with) {
  struct stream *stream = with;
  struct window window = {0, 0};
  do {
    errno = 0;
    ssize_t count = discard(stream->fd);
    if (count <= 0) fail("download");
    stream->bytes += (uint64_t)count;
  } while (!over(&window, (double)stream->bytes, &stream->rate));
  close(stream->fd);
  return NULL;
}

static void *write_on(void *with) {
  struct stream *stream = with;
  for (ssize_t count; (count = send(stream->fd, chunk, CHUNK, MSG_NOSIGNAL)) > 0;)
    stream->bytes += (uint64_t)count;
  return NULL;
}

static uint64_t block = 1;

static void *upload(void *with) {
  struct stream *stream = with;
  struct window window = {0, 0};
  put(stream->fd, &block, sizeof block);
  pthread_t writer = begin(write_on, stream);
  double acknowledged = 0;
  do {
    take(stream->fd, 1);
    acknowledged += (double)block;
  } while (!over(&window, acknowledged, &stream->rate));
  shutdown(stream->fd, SHUT_RDWR);
  pthread_join(writer, NULL);
  close(stream->fd);
  return NULL;
}

static void flow(void *(*run)(void *), int port, int count) {
  struct stream streams[64];
  pthread_t threads[64];
  double rate = 0, bytes = 0;
  if (count > 64) count = 64;
  for (int i = 0; i < count; i++) streams[i] = (struct stream){dial(port), 0, 0};
  for (int i = 0; i < count; i++) threads[i] = begin(run, &streams[i]);
  for (int i = 0; i < count; i++) {
    pthread_join(threads[i], NULL);
    rate += streams[i].rate;
    bytes += (double)streams[i].bytes;
  }
  printf("{\"mibPerSecond\":%.3f,\"mib\":%.3f}\n", rate / 1048576, bytes / 1048576);
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* Round trips of 64 bytes, written in so many pieces, one after the other; microseconds. */
static void trips(int port, int pieces) {
  float *times = malloc(sizeof(float) * MOST_TRIPS);
  int count = 0, fd = dial(port), piece = PING / pieces;
  if (times == NULL) fail("memory");
  for (double started; (started = now()) < run_until && count < MOST_TRIPS;) {
    for (int i = 0; i < pieces; i++) put(fd, chunk, (size_t)piece);
    take(fd, (size_t)(piece * pieces));
    if (started >= warm_until) times[count++] = (float)((now() - started) * 1e6);
  }
  if (count == 0) fail("no round trip in time");
  qsort(times, (size_t)count, sizeof(float), ascending);
  printf("{\"p50\":%.1f,\"p99\":%.1f,\"count\":%d}\n", times[count / 2], times[count - 1 - count / 100], count);
}

struct visitor {
  int port, socks_destination, count;
};

/* RFC 1928: greeting and request at once, for a port of 127.0.0.1; then both answers. */
static void socks(int fd, int port) {
  unsigned char request[] = {5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, (unsigned char)(port >> 8), (unsigned char)port};
  put(fd, request, sizeof request);
  take(fd, 12);
}

static void *visit(void *with) {
  struct visitor *visitor = with;
  for (double at; (at = now()) < run_until;) {
    int fd = dial(visitor->port);
    if (visitor->socks_destination) socks(fd, visitor->socks_destination);
    put(fd, "x", 1);
    take(fd, 1);
    close(fd);
    visitor->count += at >= warm_until;
  }
  return NULL;
}

/* Connections a second: each is opened, carries a byte there and back, and is closed; `width` at a time. */
static void connections(int port, int width, int socks_destination, double run_ms) {
  struct visitor visitors[64];
  pthread_t threads[64];
  int count = 0;
  if (width > 64) width = 64;
  for (int i = 0; i < width; i++) {
    visitors[i] = (struct visitor){port, socks_destination, 0};
    threads[i] = begin(visit, &visitors[i]);
  }
  for (int i = 0; i < width; i++) {
    pthread_join(threads[i], NULL);
    count += visitors[i].count;
  }
  printf("{\"perSecond\":%.1f}\n", count / (run_ms / 1000));
}

static void may_open(int count) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < (rlim_t)count + 16) fail("too few descriptors (ulimit -n)");
}

static void dial_and_watch(int poll, int port) {
  struct sockaddr_in at = loopback(port);
  struct epoll_event event = {.events = EPOLLOUT, .data.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
  if (event.data.fd < 0) fail("socket");
  if (connect(event.data.fd, (struct sockaddr *)&at, sizeof at) != 0 && errno != EINPROGRESS) fail("connect");
  epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
}

/* Sends the byte, or takes it back. Gives how many came back, or -1 when the connection is lost. */
static int go_on(int poll, const struct epoll_event *ready) {
  char byte;
  struct epoll_event event = {.events = EPOLLIN, .data.fd = ready->data.fd};
  errno = 0;
  if ((ready->events & EPOLLOUT) == 0) return recv(event.data.fd, &byte, 1, 0) == 1 ? 1 : -1;
  epoll_ctl(poll, EPOLL_CTL_MOD, event.data.fd, &event);
  return send(event.data.fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/*
 * So many connections at once; the clock stops when a byte has come back on each, or a minute is over. Those that were reset
 * have not been served. They stay open until stdin ends.
 */
static void hold(int port, int count) {
  struct epoll_event ready[256];
  int served = 0, lost = 0, poll = epoll_create1(0);
  double started = now(), left;
  may_open(count);
  for (int i = 0; i < count; i++) dial_and_watch(poll, port);
  while (served + lost < count && (left = started + CROWD_S - now()) > 0) {
    int found = epoll_wait(poll, ready, 256, (int)(left * 1000) + 1);
    for (int i = 0; i < found; i++) {
      int back = go_on(poll, &ready[i]);
      if (back == 0) continue;
      epoll_ctl(poll, EPOLL_CTL_DEL, ready[i].data.fd, NULL);
      if (back > 0) served++;
      else lost++;
    }
  }
  printf("{\"seconds\":%.4f,\"served\":%d}\n", served == count ? now() - started : CROWD_S, served);
  until_stdin_ends();
}

/* So many connections on which nothing is ever read. They stay open until stdin ends. */
static void stall(int port, int count) {
  may_open(count);
  for (int i = 0; i < count; i++) dial(port);
  printf("{\"count\":%d}\n", count);
  until_stdin_ends();
}

int main(int argc, char **argv) {
  const char *kind = argc > 1 ? argv[1] : "";
  int given[5] = {0};
  for (int i = 0; i < 5 && i + 2 < argc; i++) given[i] = atoi(argv[i + 2]);
  int port = given[0], count = given[1];
  signal(SIGPIPE, SIG_IGN);
  begin_clock(given[2], given[3]);
  if (strcmp(kind, "down") == 0) flow(download, port, count);
  else if (strcmp(kind, "up") == 0) block = (uint64_t)given[4] * 1024, flow(upload, port, count);
  else if (strcmp(kind, "trips") == 0) trips(port, count);
  else if (strcmp(kind, "connections") == 0) connections(port, count, given[4], given[3]);
  else if (strcmp(kind, "hold") == 0) hold(port, count);
  else if (strcmp(kind, "stall") == 0) stall(port, count);
  else return 2;
  return 0;
}
