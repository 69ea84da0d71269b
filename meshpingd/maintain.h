/* SPDX-License-Identifier: Apache-2.0 */
/* `meshpingd maintain`: care of the state directory, beside a running server or while it is stopped. */
#ifndef MESHPINGD_MAINTAIN_H
#define MESHPINGD_MAINTAIN_H

#include <meshping/maintain.h>
#include <stdio.h>

#define MAINTAIN_PATH_MAX 1024
#define MAINTAIN_FILTERS_MAX 64
#define MAINTAIN_PENDING_NAME "restore-pending" /* in state_dir while a restore moves files: no server starts then */
#define MAINTAIN_SUMS_NAME "SHA256SUMS"         /* in a backup: as sha256sum writes and checks it */

typedef struct maintain_options {
    char state_dir[512];
    const char *to, *from_backup, *output;
    bool quick, quiet, json;
    const char *agents[MAINTAIN_FILTERS_MAX], *targets[MAINTAIN_FILTERS_MAX];
    size_t agent_count, target_count;
    int64_t from_us, to_us;
    meshping_maintain_watch watch; /* to the terminal, or to lines of text */
} maintain_options;

/* Exit codes: 0 done; 1 it could not be done; 2 usage; 3 `check` found damage, or `export` left some out. */
int maintain_main(int argc, char **argv);

/* maintain_files.c. STATE: a restore was interrupted: no server may start on what it left. */
meshping_status maintain_check_pending(const char *state_dir, meshping_error *err);
/* Database and key files into the new directory options->to. */
meshping_status maintain_backup(const maintain_options *options, meshping_error *err);
/* The other way; what was there is kept in `aside`[MAINTAIN_PATH_MAX]. */
meshping_status maintain_restore(const maintain_options *options, char *aside, meshping_error *err);

/* maintain_export.c: samples as text into options->output, or to standard output. */
meshping_status maintain_export(const maintain_options *options, uint64_t *samples, meshping_error *err);

#endif
