// Child processes: see child.c.
#pragma once
#include <node_api.h>

void export_child(napi_env env, napi_value exports);
