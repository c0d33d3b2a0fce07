// What Node has no call for (N-API, so that one binary serves every Node): who is at the other end of a Unix socket,
// datagrams with descriptors, which is how systemd is spoken to (sd_notify(3)), a connection that blocks, a write that does
// not, whether anybody reads what is written, an exit that nothing holds up, malloc's spare memory, and orphans.
#define _GNU_SOURCE
#include <errno.h>
#ifdef __linux__
#include <malloc.h>
#endif
#include <node_api.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "child.h"
#include "socket.h"

#define MOST_DESCRIPTORS 16
#define MOST_BYTES 32768
// What a pipe that is writable takes without waiting (PIPE_BUF of pipe(7)).
#define PIPE_SHARE 4096
// At a time: a turn is to be short.
#define MOST_REAPED 32

static napi_value fail(napi_env env, const char *what, int error) {
  char message[256];
  snprintf(message, sizeof message, "%s: %s", what, strerror(error));
  napi_throw_error(env, error == EAGAIN || error == ENOBUFS ? "EAGAIN" : NULL, message);
  return NULL;
}

// peerCredentials(fd) -> { pid, uid, gid } (SO_PEERCRED, unix(7))
static napi_value peer_credentials(napi_env env, napi_callback_info info) {
  napi_value argument, result, value;
  size_t count = 1;
  int32_t fd;
  struct ucred who;
  socklen_t length = sizeof who;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_int32(env, argument, &fd) != napi_ok)
    return fail(env, "peerCredentials", EINVAL);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == -1) return fail(env, "SO_PEERCRED", errno);
  napi_create_object(env, &result);
  napi_create_int32(env, who.pid, &value);
  napi_set_named_property(env, result, "pid", value);
  napi_create_uint32(env, who.uid, &value);
  napi_set_named_property(env, result, "uid", value);
  napi_create_uint32(env, who.gid, &value);
  napi_set_named_property(env, result, "gid", value);
  return result;
}

static int descriptors_of(napi_env env, napi_value array, int *fds) {
  uint32_t length = 0;
  if (napi_get_array_length(env, array, &length) != napi_ok || length > MOST_DESCRIPTORS) return -1;
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    int32_t fd;
    if (napi_get_element(env, array, i, &element) != napi_ok || napi_get_value_int32(env, element, &fd) != napi_ok)
      return -1;
    fds[i] = fd;
  }
  return (int)length;
}

// sendDatagram(path, text, fds): path as NOTIFY_SOCKET has it, '@' for the abstract namespace. Never blocks.
static napi_value send_datagram(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3, path_length, text_length;
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  char text[MOST_BYTES];
  int fds[MOST_DESCRIPTORS];
  union {
    char bytes[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    struct cmsghdr align;
  } control;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 3 ||
      napi_get_value_string_utf8(env, arguments[0], to.sun_path, sizeof to.sun_path, &path_length) != napi_ok ||
      napi_get_value_string_utf8(env, arguments[1], text, sizeof text, &text_length) != napi_ok)
    return fail(env, "sendDatagram", EINVAL);
  // A text that was cut off says something else.
  if (path_length == 0 || path_length >= sizeof to.sun_path - 1 || text_length >= sizeof text - 1)
    return fail(env, "sendDatagram", ENAMETOOLONG);
  int descriptors = descriptors_of(env, arguments[2], fds);
  if (descriptors < 0) return fail(env, "sendDatagram", EINVAL);
  if (to.sun_path[0] == '@') to.sun_path[0] = '\0';

  struct iovec iov = {.iov_base = text, .iov_len = text_length};
  struct msghdr message = {
      .msg_name = &to,
      .msg_namelen = offsetof(struct sockaddr_un, sun_path) + path_length,
      .msg_iov = &iov,
      .msg_iovlen = 1,
  };
  if (descriptors > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    memcpy(CMSG_DATA(header), fds, descriptors * sizeof(int));
  }
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd == -1) return fail(env, "socket", errno);
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent == -1 && errno == EINTR);
  int error = errno;
  close(fd);
  return sent == -1 ? fail(env, "sendmsg", error) : NULL;
}

// trimMemory(): gives what malloc keeps of freed memory back to the system (malloc_trim(3)); where it is not glibc, nothing.
static napi_value trim_memory(napi_env env, napi_callback_info info) {
  (void)env, (void)info;
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return NULL;
}

// connectUnix(path) -> a descriptor that blocks, or an errno below 0
static napi_value connect_unix(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  size_t count = 1, length;
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_string_utf8(env, argument, to.sun_path, sizeof to.sun_path, &length) != napi_ok)
    return fail(env, "connectUnix", EINVAL);
  // One that was cut off is another's.
  if (length >= sizeof to.sun_path - 1) return fail(env, "connectUnix", ENAMETOOLONG);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd == -1) return fail(env, "socket", errno);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == -1) {
    int error = errno;
    close(fd);
    fd = -error;
  }
  napi_create_int32(env, fd, &result);
  return result;
}

// writeNow(fd, bytes) -> how many were taken, or an errno below 0: -EAGAIN rather than wait, whatever the descriptor's flags,
// which are those of everybody who shares it (a shell's terminal).
static napi_value write_now(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  size_t count = 2, length;
  int32_t fd;
  void *bytes;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 2 ||
      napi_get_value_int32(env, arguments[0], &fd) != napi_ok ||
      napi_get_buffer_info(env, arguments[1], &bytes, &length) != napi_ok)
    return fail(env, "writeNow", EINVAL);
  ssize_t written = send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (written == -1 && errno == ENOTSOCK) {
    struct pollfd one = {.fd = fd, .events = POLLOUT};
    if (poll(&one, 1, 0) == 1)
      written = write(fd, bytes, length < PIPE_SHARE ? length : PIPE_SHARE);
    else
      errno = EAGAIN;
  }
  napi_create_int32(env, written == -1 ? -errno : (int32_t)written, &result);
  return result;
}

// isHungUp(fd) -> whether what is written to it reaches nobody any more: poll(2) tells it of whatever a descriptor is.
static napi_value is_hung_up(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  size_t count = 1;
  int32_t fd;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_int32(env, argument, &fd) != napi_ok)
    return fail(env, "isHungUp", EINVAL);
  struct pollfd one = {.fd = fd};
  napi_get_boolean(env, poll(&one, 1, 0) == 1 && (one.revents & (POLLERR | POLLHUP | POLLNVAL)), &result);
  return result;
}

static volatile sig_atomic_t exit_code;
static void exit_at_once(int signal) {
  (void)signal;
  _exit(exit_code);
}

// exitWithin(ms, code): ends the process then, if it has not ended by itself. exit(3) waits for the threads of libuv, and one
// of them may wait for a disk.
static napi_value exit_within(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  int32_t ms, code;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 2 ||
      napi_get_value_int32(env, arguments[0], &ms) != napi_ok || napi_get_value_int32(env, arguments[1], &code) != napi_ok)
    return fail(env, "exitWithin", EINVAL);
  struct sigaction action = {.sa_handler = exit_at_once};
  struct itimerval timer = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};
  exit_code = code;
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &timer, NULL);
  return NULL;
}

// ignoreTerminalStops(): a terminal that is set to stop background jobs that write (stty tostop) does not stop this one.
static napi_value ignore_terminal_stops(napi_env env, napi_callback_info info) {
  (void)env, (void)info;
  signal(SIGTTOU, SIG_IGN);
  return NULL;
}

// Of libuv, which Node exports without its headers being here.
struct uv_loop_s;
struct uv_handle_s;
void uv_walk(struct uv_loop_s *, void (*)(struct uv_handle_s *, void *), void *);
int uv_handle_get_type(const struct uv_handle_s *);
const char *uv_handle_type_name(int type);
int uv_process_get_pid(const struct uv_handle_s *);

struct search {
  pid_t pid;
  bool is_found;
};
static void compare(struct uv_handle_s *handle, void *data) {
  struct search *search = data;
  const char *type = uv_handle_type_name(uv_handle_get_type(handle));
  if (type != NULL && strcmp(type, "process") == 0 && uv_process_get_pid(handle) == search->pid) search->is_found = true;
}

static bool has(napi_env env, napi_value pids, pid_t pid) {
  uint32_t length = 0;
  napi_get_array_length(env, pids, &length);
  for (uint32_t i = 0; i < length; i++) {
    napi_value element;
    int32_t one;
    if (napi_get_element(env, pids, i, &element) == napi_ok && napi_get_value_int32(env, element, &one) == napi_ok &&
        one == pid)
      return true;
  }
  return false;
}

// reapOrphans(pids) -> whether to call it again. A child that libuv has started, or that has one of these pids, is left to
// whoever waits for it, since that would be in vain.
static napi_value reap_orphans(napi_env env, napi_callback_info info) {
  napi_value pids, result;
  size_t count = 1;
  struct uv_loop_s *loop;
  bool again = true, is_array = false;
  if (napi_get_cb_info(env, info, &count, &pids, NULL, NULL) != napi_ok || count < 1 ||
      napi_is_array(env, pids, &is_array) != napi_ok || !is_array)
    return fail(env, "reapOrphans", EINVAL);
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return fail(env, "reapOrphans", EINVAL);
  for (int left = MOST_REAPED; left > 0; left--) {
    siginfo_t ended = {0};
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == -1 || ended.si_pid == 0) {
      again = false;
      break;
    }
    struct search search = {.pid = ended.si_pid};
    uv_walk(loop, compare, &search);
    // It is the one that is always shown first, until it has been waited for.
    if (search.is_found || has(env, pids, ended.si_pid)) break;
    waitid(P_PID, ended.si_pid, &ended, WEXITED | WNOHANG);
  }
  napi_get_boolean(env, again, &result);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "reapOrphans", NAPI_AUTO_LENGTH, reap_orphans, NULL, &function);
  napi_set_named_property(env, exports, "reapOrphans", function);
  napi_create_function(env, "exitWithin", NAPI_AUTO_LENGTH, exit_within, NULL, &function);
  napi_set_named_property(env, exports, "exitWithin", function);
  napi_create_function(env, "ignoreTerminalStops", NAPI_AUTO_LENGTH, ignore_terminal_stops, NULL, &function);
  napi_set_named_property(env, exports, "ignoreTerminalStops", function);
  napi_create_function(env, "writeNow", NAPI_AUTO_LENGTH, write_now, NULL, &function);
  napi_set_named_property(env, exports, "writeNow", function);
  napi_create_function(env, "connectUnix", NAPI_AUTO_LENGTH, connect_unix, NULL, &function);
  napi_set_named_property(env, exports, "connectUnix", function);
  napi_create_function(env, "isHungUp", NAPI_AUTO_LENGTH, is_hung_up, NULL, &function);
  napi_set_named_property(env, exports, "isHungUp", function);
  napi_create_function(env, "peerCredentials", NAPI_AUTO_LENGTH, peer_credentials, NULL, &function);
  napi_set_named_property(env, exports, "peerCredentials", function);
  napi_create_function(env, "sendDatagram", NAPI_AUTO_LENGTH, send_datagram, NULL, &function);
  napi_set_named_property(env, exports, "sendDatagram", function);
  napi_create_function(env, "trimMemory", NAPI_AUTO_LENGTH, trim_memory, NULL, &function);
  napi_set_named_property(env, exports, "trimMemory", function);
  export_child(env, exports);
  export_socket(env, exports);
  return exports;
}
