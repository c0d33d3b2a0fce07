/*
 * A far link, in user space: a TCP proxy that holds every byte back for half a round trip, and lets no more through than the link
 * could carry: `line TARGET_PORT ROUND_TRIP_MS MIB_PER_SECOND` (0: as much as comes) until stdin ends; prints its port. It knows no
 * loss and no slow start: it shows what SSH's own windows do with a distance, and nothing of TCP's. line.ts is its like.
 */
#include "load.h"

enum {
  MOST_UNDER_WAY = 64 << 20, /* on an unlimited link, in one direction: 640 MiB/s at 100 ms each way */
  MOST_BATCHES = 1 << 16,
  MOST_READ = 1 << 20,
  /* With loopback's 64 KiB a whole SSH packet waits for an acknowledgement (RFC 896); many small ones it gets out of order. */
  SEGMENT = 16 * 1024
};
static const double QUEUE = 0.05; /* seconds of it are kept before the link; beyond that the sender is held up */

static int target;
static double half_trip, bytes_per_second;

struct batch {
  uint64_t end; /* where it ends, in bytes since the beginning */
  double due;
};

/* One direction of one connection: what is under way, in a ring. */
struct direction {
  int from, to, has_ended;
  char *bytes;
  uint64_t taken, delivered, first, last;
  struct batch batches[MOST_BATCHES];
  pthread_mutex_t lock;
  pthread_cond_t changed;
};

static void sleep_until(double at) {
  struct timespec t = {(time_t)at, (long)((at - (double)(time_t)at) * 1e9)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
}

static size_t room_in(struct direction *d) {
  pthread_mutex_lock(&d->lock);
  while (d->taken - d->delivered == MOST_UNDER_WAY || d->last - d->first == MOST_BATCHES)
    pthread_cond_wait(&d->changed, &d->lock);
  size_t free = MOST_UNDER_WAY - (d->taken - d->delivered), to_end = MOST_UNDER_WAY - d->taken % MOST_UNDER_WAY;
  pthread_mutex_unlock(&d->lock);
  size_t room = free < to_end ? free : to_end;
  return room < MOST_READ ? room : MOST_READ;
}

static void add(struct direction *d, ssize_t count, double due) {
  pthread_mutex_lock(&d->lock);
  if (count > 0)
    d->taken += (uint64_t)count;
  else
    d->has_ended = 1;
  d->batches[d->last++ % MOST_BATCHES] = (struct batch){d->taken, due};
  pthread_cond_broadcast(&d->changed);
  pthread_mutex_unlock(&d->lock);
}

static void *take_in(void *with) {
  struct direction *d = with;
  double free_at = 0; /* when all that was taken so far will have left */
  ssize_t count;
  do {
    size_t room = room_in(d);
    count = recv(d->from, d->bytes + d->taken % MOST_UNDER_WAY, room, 0);
    double at = now();
    if (free_at < at) free_at = at;
    if (count > 0 && bytes_per_second > 0) free_at += (double)count / bytes_per_second;
    add(d, count, free_at + half_trip);
    /* Half the queue is left by then: the link itself is never idle for want of data. */
    if (free_at - at > QUEUE) sleep_until(free_at - QUEUE / 2);
  } while (count > 0);
  return NULL;
}

/* Waits until something is due, and gives where that ends; where it began once all has been delivered. */
static uint64_t due_in(struct direction *d) {
  pthread_mutex_lock(&d->lock);
  while (d->first == d->last && !d->has_ended) pthread_cond_wait(&d->changed, &d->lock);
  uint64_t end = d->delivered;
  if (d->first != d->last) {
    double due = d->batches[d->first % MOST_BATCHES].due;
    pthread_mutex_unlock(&d->lock);
    sleep_until(due);
    pthread_mutex_lock(&d->lock);
    for (double at = now(); d->first != d->last && d->batches[d->first % MOST_BATCHES].due <= at; d->first++)
      end = d->batches[d->first % MOST_BATCHES].end;
  }
  pthread_mutex_unlock(&d->lock);
  return end;
}

static int deliver(struct direction *d, uint64_t end) {
  while (d->delivered < end) {
    size_t at = d->delivered % MOST_UNDER_WAY, length = end - d->delivered;
    if (length > MOST_UNDER_WAY - at) length = MOST_UNDER_WAY - at;
    ssize_t count = send(d->to, d->bytes + at, length, MSG_NOSIGNAL);
    if (count <= 0) return -1;
    pthread_mutex_lock(&d->lock);
    d->delivered += (uint64_t)count;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
  }
  return 0;
}

static void *let_out(void *with) {
  struct direction *d = with;
  uint64_t end;
  while ((end = due_in(d)) > d->delivered)
    if (deliver(d, end) != 0) break;
  shutdown(d->to, SHUT_WR);
  return NULL;
}

static struct direction *make(int from, int to) {
  struct direction *d = calloc(1, sizeof *d);
  if (d == NULL || (d->bytes = malloc(MOST_UNDER_WAY)) == NULL) fail("memory");
  d->from = from;
  d->to = to;
  pthread_mutex_init(&d->lock, NULL);
  pthread_cond_init(&d->changed, NULL);
  return d;
}

static int dial_target(void) {
  struct sockaddr_in at = loopback(target);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &(int){SEGMENT}, sizeof(int));
  be_prompt(fd);
  if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) fail("connect");
  return fd;
}

/* What is left of a connection when it ends goes with the process: there are a handful. */
static void carry(int near) {
  int far = dial_target();
  struct direction *out = make(near, far), *back = make(far, near);
  pthread_detach(begin(take_in, out));
  pthread_detach(begin(let_out, out));
  pthread_detach(begin(take_in, back));
  pthread_detach(begin(let_out, back));
}

static void *accept_all(void *with) {
  for (int listener = (int)(intptr_t)with; 1;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    be_prompt(fd);
    carry(fd);
  }
  return NULL;
}

int main(int count, char **args) {
  if (count != 4) return 2;
  target = atoi(args[1]);
  half_trip = atof(args[2]) / 2000;
  bytes_per_second = atof(args[3]) * (1 << 20);
  int port, listener = listen_anywhere(&port);
  setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &(int){SEGMENT}, sizeof(int));
  begin(accept_all, (void *)(intptr_t)listener);
  printf("{\"port\":%d}\n", port);
  until_stdin_ends();
  _exit(0); /* the threads do not end by themselves */
}
