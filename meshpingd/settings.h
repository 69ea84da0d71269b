/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's settings and where each comes from: an option, the configuration's file, the database, or nowhere (the
 * default). What an option or the file gives is fixed; of the rest, what takes effect without a restart can be changed
 * while the server runs and is kept in the database.
 */
#ifndef MESHPINGD_SETTINGS_H
#define MESHPINGD_SETTINGS_H

#include "meshpingd/config.h"

#define SETTINGS_MAX 64
#define SETTING_PASSWORD "smtp_password" /* kept sealed, and never told; no key of the file, which others may read */
#define SETTING_PASSWORD_MAX 256

typedef enum setting_source { SETTING_DEFAULT, SETTING_DATABASE, SETTING_FILE, SETTING_OPTION } setting_source;

typedef struct settings {
    char file[512];               /* that was read; empty: none */
    uint8_t source[SETTINGS_MAX]; /* setting_source, by index in server_config_keys */
    uint64_t revision;            /* another one with each change and each start */
} settings;

struct server;

/* The file's, and an option's, into config. As config_load and config_set. */
meshping_status settings_take_file(settings *out, server_config *config, const char *path, meshping_error *err);
meshping_status settings_take_option(settings *out, server_config *config, const char *name, const char *value,
                                     meshping_error *err);
/*
 * Puts what the database keeps over the defaults. What does not go together with the file any more is left out, and the
 * log says so.
 */
meshping_status settings_load(struct server *s, meshping_error *err);

/* "default", "database", "file", "option". */
const char *setting_source_name(setting_source source);
/* Whether it can be changed while the server runs. */
bool setting_is_changeable(const settings *all, const config_key *key);
bool setting_password_is_changeable(const settings *all);
/* Its least value while the server runs. */
int64_t setting_least(const config_key *key);

typedef struct setting_change {
    const char *name, *value; /* value NULL: back to the default */
} setting_change;

/*
 * All of them, or none; they hold at once. INVALID: a value, or what they make together; STATE: not changeable. The
 * message names the setting first.
 */
meshping_status settings_change(struct server *s, const setting_change *changes, size_t count, meshping_error *err);
/* The password for the SMTP server into password[SETTING_PASSWORD_MAX]. NOT_FOUND: none; CRYPTO. */
meshping_status settings_password(struct server *s, char *password, meshping_error *err);

#endif
