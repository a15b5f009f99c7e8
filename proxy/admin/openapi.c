/*
 * The OpenAPI 3.1 document of /sluis/v1/: openapi.json beside this file, as bytes of the program.
 * tests/system/openapi_check.py holds it against the permission table and the running gateway.
 */
#include "internal.h"

#include "openapi.h" /* made of openapi.json by CMake */

void admin_openapi(struct admin_request *r)
{
    exchange_answer(r->ex, 200, SPAN("application/json"),
                    span_of((const char *)document, sizeof(document)));
}
