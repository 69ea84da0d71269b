/* SPDX-License-Identifier: Apache-2.0 */
/* The API for programs: docs/openapi.json, in the program as it is in the tree. */
#include "meshpingd/http.h"

extern const char openapi_begin[], openapi_end[];
__asm__(".pushsection .rodata\n"
        ".hidden openapi_begin\n.globl openapi_begin\nopenapi_begin:\n"
        ".incbin \"" MESHPING_OPENAPI_FILE "\"\n"
        ".hidden openapi_end\n.globl openapi_end\nopenapi_end:\n"
        ".popsection\n");

void openapi_get(http_exchange *x)
{
    http_respond_borrowed(x, 200, "application/json", openapi_begin, (size_t)(openapi_end - openapi_begin));
}
