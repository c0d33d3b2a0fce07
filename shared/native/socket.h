// Sockets that somebody else has opened: see socket.c.
#pragma once
#include <node_api.h>

void export_socket(napi_env env, napi_value exports);
