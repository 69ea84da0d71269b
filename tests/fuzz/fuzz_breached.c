/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever the file holds, a search in it ends, and what is found stands there. */
#include "meshpingd/breached.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char line[] = "3CBCD90ADC4B192A87A625850B7F231CADDF0EB3:"; /* of "word" */
    char path[32];
    bool found = true, stands_there = false;
    breached_about about;
    meshping_error err = {0};
    int fd = memfd_create("list", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (size_t i = 0; !stands_there && i + sizeof line - 1 <= size; i++)
        stands_there = strncasecmp((const char *)data + i, line, sizeof line - 1) == 0;
    meshping_status status = breached_find(&found, path, "word", 4, &err);
    check(status == MESHPING_OK || (!found && err.message[0]));
    check(!found || stands_there);
    err.message[0] = 0;
    status = breached_check(&about, path, &err);
    check(status == MESHPING_OK ? about.bytes == (int64_t)size : err.message[0] != 0);
    close(fd);
    return 0;
}
