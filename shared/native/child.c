// Child processes that are started in one of libuv's threads. Node's own spawn() stands still until the child has run exec():
// on a machine that is busy that takes a second, in which nothing else of the process moves.
#define _GNU_SOURCE
#include "child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STREAMS 3
#ifndef POSIX_SPAWN_SETSID
#define POSIX_SPAWN_SETSID 0
#endif

struct start {
  napi_async_work work;
  napi_deferred deferred;
  char **argv;
  char **envp;
  int ours[STREAMS];
  pid_t pid;
  int error;
};

static int stream_pair(int pair[2]) {
#ifdef SOCK_CLOEXEC
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
#else
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1) return -1;
  fcntl(pair[0], F_SETFD, FD_CLOEXEC);
  fcntl(pair[1], F_SETFD, FD_CLOEXEC);
  return 0;
#endif
}

// In a session of its own, with the signals as a shell's child has them, and with the other end of each pair as its stream.
static int spawn_with(struct start *start, const int theirs[STREAMS]) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t all, none;
  sigfillset(&all);
  sigdelset(&all, SIGKILL);
  sigdelset(&all, SIGSTOP);
  sigemptyset(&none);
  int error = posix_spawn_file_actions_init(&actions);
  if (error != 0) return error;
  error = posix_spawnattr_init(&attributes);
  if (error == 0) {
    for (int i = 0; i < STREAMS && error == 0; i++) error = posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | (POSIX_SPAWN_SETSID ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP);
    if (error == 0) error = posix_spawnattr_setsigdefault(&attributes, &all);
    if (error == 0) error = posix_spawnattr_setsigmask(&attributes, &none);
    if (error == 0) error = posix_spawnattr_setflags(&attributes, flags);
    if (error == 0) error = posix_spawnp(&start->pid, start->argv[0], &actions, &attributes, start->argv, start->envp);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

static void close_all(int fds[STREAMS]) {
  for (int i = 0; i < STREAMS; i++)
    if (fds[i] != -1) close(fds[i]);
}

static void start_in_thread(napi_env env, void *data) {
  (void)env;
  struct start *start = data;
  int theirs[STREAMS] = {-1, -1, -1};
  for (int i = 0; i < STREAMS && start->error == 0; i++) {
    int pair[2];
    if (stream_pair(pair) == -1) {
      start->error = errno;
      break;
    }
    start->ours[i] = pair[0];
    theirs[i] = pair[1];
  }
  if (start->error == 0) start->error = spawn_with(start, theirs);
  close_all(theirs);
  if (start->error != 0) close_all(start->ours);
}

static void free_strings(char **strings) {
  for (char **each = strings; each != NULL && *each != NULL; each++) free(*each);
  free(strings);
}

static void free_start(napi_env env, struct start *start) {
  if (start->work != NULL) napi_delete_async_work(env, start->work);
  free_strings(start->argv);
  free_strings(start->envp);
  free(start);
}

static void set(napi_env env, napi_value object, const char *name, int32_t number) {
  napi_value value;
  napi_create_int32(env, number, &value);
  napi_set_named_property(env, object, name, value);
}

static void settle(napi_env env, napi_status status, void *data) {
  struct start *start = data;
  napi_value result;
  if (status == napi_cancelled) start->error = ECANCELED;
  napi_create_object(env, &result);
  set(env, result, "errno", start->error);
  set(env, result, "pid", start->error == 0 ? start->pid : -1);
  set(env, result, "stdin", start->ours[0]);
  set(env, result, "stdout", start->ours[1]);
  set(env, result, "stderr", start->ours[2]);
  napi_resolve_deferred(env, start->deferred, result);
  free_start(env, start);
}

// The strings of an array, with a NULL behind them; NULL where they are none, or there is no memory.
static char **strings_of(napi_env env, napi_value array) {
  uint32_t length;
  if (napi_get_array_length(env, array, &length) != napi_ok) return NULL;
  char **strings = calloc((size_t)length + 1, sizeof *strings);
  for (uint32_t i = 0; strings != NULL && i < length; i++) {
    napi_value element;
    size_t bytes;
    if (napi_get_element(env, array, i, &element) == napi_ok &&
        napi_get_value_string_utf8(env, element, NULL, 0, &bytes) == napi_ok && (strings[i] = malloc(bytes + 1)) != NULL)
      napi_get_value_string_utf8(env, element, strings[i], bytes + 1, &bytes);
    else {
      free_strings(strings);
      strings = NULL;
    }
  }
  return strings;
}

// startChild(argv, envp) -> a promise of { errno, pid, stdin, stdout, stderr }: our ends of its streams, where errno is 0
static napi_value start_child(napi_env env, napi_callback_info info) {
  napi_value arguments[2], name, promise;
  size_t given = 2;
  struct start *start = calloc(1, sizeof *start);
  if (start == NULL) return NULL;
  for (int i = 0; i < STREAMS; i++) start->ours[i] = -1;
  if (napi_get_cb_info(env, info, &given, arguments, NULL, NULL) != napi_ok || given < 2 ||
      (start->argv = strings_of(env, arguments[0])) == NULL || start->argv[0] == NULL ||
      (start->envp = strings_of(env, arguments[1])) == NULL ||
      napi_create_string_utf8(env, "startChild", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env, NULL, name, start_in_thread, settle, start, &start->work) != napi_ok ||
      napi_create_promise(env, &start->deferred, &promise) != napi_ok) {
    free_start(env, start);
    napi_throw_error(env, NULL, "startChild: two lists of strings are wanted");
    return NULL;
  }
  napi_queue_async_work(env, start->work);
  return promise;
}

// reapChild(pid) -> null as long as it lives, else { code, signal }: the one that does not hold is -1
static napi_value reap_child(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  size_t given = 1;
  int32_t pid;
  int status;
  if (napi_get_cb_info(env, info, &given, &argument, NULL, NULL) != napi_ok || given < 1 ||
      napi_get_value_int32(env, argument, &pid) != napi_ok || pid <= 0) {
    napi_throw_error(env, NULL, "reapChild: a pid is wanted");
    return NULL;
  }
  pid_t reaped;
  do reaped = waitpid(pid, &status, WNOHANG);
  while (reaped == -1 && errno == EINTR);
  if (reaped == 0) {
    napi_get_null(env, &result);
    return result;
  }
  napi_create_object(env, &result);
  set(env, result, "code", reaped == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  set(env, result, "signal", reaped == pid && WIFSIGNALED(status) ? WTERMSIG(status) : -1);
  return result;
}

void export_child(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "startChild", NAPI_AUTO_LENGTH, start_child, NULL, &function);
  napi_set_named_property(env, exports, "startChild", function);
  napi_create_function(env, "reapChild", NAPI_AUTO_LENGTH, reap_child, NULL, &function);
  napi_set_named_property(env, exports, "reapChild", function);
}
