/* SPDX-License-Identifier: Apache-2.0 */
/* The daemons' log: one line an event to stderr, "2026-11-22T23:00:00.000Z warning agents: text". */
#ifndef MESHPING_COMMON_LOG_H
#define MESHPING_COMMON_LOG_H

#include <meshping/common.h>

typedef enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR } log_level;

/* Lines below `level` are not written. Default: info. Under systemd (JOURNAL_STREAM) the time is left to the journal.
 */
void log_init(log_level level);
/* The same with "debug", "info", "warning" or "error"; INVALID for anything else. */
meshping_status log_init_name(const char *level, meshping_error *err);
/* `topic` is one word. Control characters from outside become '?', so that one event stays one line. Any thread. */
void log_line(log_level level, const char *topic, const char *format, ...) MESHPING_PRINTF(3, 4);

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
