// Sockets that somebody else has opened, and what Node does not set of them.
#define _GNU_SOURCE
#include "socket.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Of a message: one is wanted, and what else comes has to be closed.
#define MOST_RECEIVED 16
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

static napi_value number_of(napi_env env, int number) {
  napi_value result;
  napi_create_int32(env, number, &result);
  return result;
}

// Whether bytes go both ways over it: a TCP connection, or one of a Unix socket.
static int is_connected_stream(int fd) {
  int type;
  socklen_t length = sizeof type;
  struct sockaddr_storage name;
  socklen_t name_length = sizeof name;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == -1 || type != SOCK_STREAM) return 0;
  if (getpeername(fd, (struct sockaddr *)&name, &name_length) == -1) return 0;
  return name.ss_family == AF_INET || name.ss_family == AF_INET6 || name.ss_family == AF_UNIX;
}

static int receive(int from) {
  char byte;
  union {
    char bytes[CMSG_SPACE(MOST_RECEIVED * sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec iov = {.iov_base = &byte, .iov_len = sizeof byte};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t length;
  do length = recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (length == -1 && errno == EINTR);
  if (length == -1) return -errno;
  if (length == 0) return -EAGAIN;
  int received = -ENODATA;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      if (received < 0 && is_connected_stream(fd)) {
        received = fd;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
      } else {
        if (received < 0) received = -ENOTSOCK;
        close(fd);
      }
    }
  }
  return received;
}

// receiveSocket(fd) -> the connected socket that was passed over it (SCM_RIGHTS, unix(7)), or an errno below 0: ENODATA for a
// message without one, ENOTSOCK for another kind of descriptor, EAGAIN for no message. Never blocks.
static napi_value receive_socket(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  int32_t fd;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_int32(env, argument, &fd) != napi_ok) {
    napi_throw_error(env, NULL, "receiveSocket: a descriptor is wanted");
    return NULL;
  }
  return number_of(env, receive(fd));
}

// setTrafficClass(fd, value) -> 0, or an errno below 0 (IP_TOS of ip(7), IPV6_TCLASS of ipv6(7))
static napi_value set_traffic_class(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  int32_t fd, value;
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 2 ||
      napi_get_value_int32(env, arguments[0], &fd) != napi_ok ||
      napi_get_value_int32(env, arguments[1], &value) != napi_ok) {
    napi_throw_error(env, NULL, "setTrafficClass: a descriptor and a number are wanted");
    return NULL;
  }
  if (getsockname(fd, (struct sockaddr *)&name, &length) == -1) return number_of(env, -errno);
  int is_six = name.ss_family == AF_INET6;
  if (!is_six && name.ss_family != AF_INET) return number_of(env, -EAFNOSUPPORT);
  int failed = setsockopt(fd, is_six ? IPPROTO_IPV6 : IPPROTO_IP, is_six ? IPV6_TCLASS : IP_TOS, &value, sizeof value);
  return number_of(env, failed == -1 ? -errno : 0);
}

void export_socket(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "receiveSocket", NAPI_AUTO_LENGTH, receive_socket, NULL, &function);
  napi_set_named_property(env, exports, "receiveSocket", function);
  napi_create_function(env, "setTrafficClass", NAPI_AUTO_LENGTH, set_traffic_class, NULL, &function);
  napi_set_named_property(env, exports, "setTrafficClass", function);
}
