/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static log_level threshold = LOG_LEVEL_INFO;
static bool under_systemd;
static const char *const names[] = {"debug", "info", "warning", "error"};

void log_init(log_level level)
{
    threshold = level;
    under_systemd = getenv("JOURNAL_STREAM") != NULL;
}

meshping_status log_init_name(const char *level, meshping_error *err)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(level, names[i]) == 0) {
            log_init((log_level)i);
            return MESHPING_OK;
        }
    return meshping_error_set(err, MESHPING_INVALID, "log level \"%s\": it is debug, info, warning or error", level);
}

void log_line(log_level level, const char *topic, const char *format, ...)
{
    static const int priorities[] = {7, 6, 4, 3};
    char line[2048];
    size_t used = 0;
    if (level < threshold)
        return;
    if (under_systemd) {
        used = (size_t)snprintf(line, sizeof line, "<%d>%s: ", priorities[level], topic);
    } else {
        struct timespec ts;
        struct tm tm;
        clock_gettime(CLOCK_REALTIME, &ts);
        gmtime_r(&ts.tv_sec, &tm);
        used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
        used += (size_t)snprintf(line + used, sizeof line - used, ".%03ldZ %s %s: ", ts.tv_nsec / 1000000, names[level],
                                 topic);
    }
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    size_t end = used + (more > 0 ? (size_t)more : 0);
    if (end > sizeof line - 2)
        end = sizeof line - 2;
    for (size_t i = used; i < end; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[end] = '\n';
    /* one write, so that lines of threads and processes do not mix */
    ssize_t ignored = write(STDERR_FILENO, line, end + 1);
    (void)ignored;
}
