/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/common.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *meshping_status_name(meshping_status status)
{
    switch (status) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_##name:                                                                                              \
        return #name;
        MESHPING_STATUS_MAP(XX)
#undef XX
    }
    return "UNKNOWN";
}

const char *meshping_status_text(meshping_status status)
{
    switch (status) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_##name:                                                                                              \
        return text;
        MESHPING_STATUS_MAP(XX)
#undef XX
    }
    return "unknown status";
}

const char *meshping_version(void)
{
    return MESHPING_VERSION_TEXT;
}

/* One line: control characters, which outside input may carry, become '?'. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

meshping_status meshping_error_set(meshping_error *err, meshping_status status, const char *format, ...)
{
    if (!err)
        return status;
    va_list args;
    err->status = status;
    err->sys_errno = 0;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    clean(err->message);
    return status;
}

meshping_status meshping_error_set_errno(meshping_error *err, meshping_status status, int sys_errno, const char *format,
                                         ...)
{
    if (!err)
        return status;
    char reason[128];
    va_list args;
    err->status = status;
    err->sys_errno = sys_errno;
    va_start(args, format);
    int used = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->message)
        snprintf(err->message + used, sizeof err->message - (size_t)used, ": %s",
                 strerror_r(sys_errno, reason, sizeof reason));
    clean(err->message);
    return status;
}
