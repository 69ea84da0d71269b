/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/settings.h"

#include "common/hex.h"
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/mail.h"
#include "meshpingd/planning.h"
#include "meshpingd/seal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_S INT64_C(3600)
#define DATABASE_PREFIX "config."
#define DATABASE_KEY_MAX 64
#define SEALED_MAX (SETTING_PASSWORD_MAX + SEAL_OVERHEAD)

/*
 * What takes effect while the server runs. Not paths of files (a page that names files is a way to read them), not who
 * may come in (trusted_proxies, metrics_*), and not audit_days: nobody wipes his traces from the page.
 */
static const char *const changeable[] = {
    "advertise",
    "public_url",
    "log_level",
    "retention",
    "database_max_size",
    "rollup_retention",
    "interval_ms",
    "timeout_ms",
    "slow_ms",
    "lossy_count",
    "stale_intervals",
    "offline_s",
    "pending_max",
    "unauthenticated_max",
    "failed_enrolments_max",
    "session_idle_hours",
    "session_hours",
    "smtp_from",
    "smtp_user",
    "smtp_url",
};
/* Where one of these is fixed all are: no half of it may send the other's password elsewhere. */
static const char *const mail_keys[] = {"smtp_url", "smtp_from", "smtp_user", "smtp_password_file"};

static bool is_one_of(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(names, name) is_one_of(names, sizeof(names) / sizeof(names)[0], name)

static bool is_fixed(const settings *all, const char *name)
{
    return all->source[config_find(server_config_keys, name) - server_config_keys] > SETTING_DATABASE;
}

const char *setting_source_name(setting_source source)
{
    static const char *const names[] = {"default", "database", "file", "option"};
    return names[source];
}

bool setting_password_is_changeable(const settings *all)
{
    for (size_t i = 0; i < sizeof mail_keys / sizeof mail_keys[0]; i++)
        if (is_fixed(all, mail_keys[i]))
            return false;
    return true;
}

bool setting_is_changeable(const settings *all, const config_key *key)
{
    if (is_fixed(all, key->name) || !IS_ONE_OF(changeable, key->name))
        return false;
    return !IS_ONE_OF(mail_keys, key->name) || setting_password_is_changeable(all);
}

/* The store joins samples after ten minutes, and only what is joined goes: less is for tests, in the file. */
int64_t setting_least(const config_key *key)
{
    return strcmp(key->name, "retention") == 0 ? HOUR_S : key->min;
}

/* ---- file and options ---- */

meshping_status settings_take_file(settings *out, server_config *config, const char *path, meshping_error *err)
{
    bool given[SETTINGS_MAX] = {false};
    meshping_status status = config_load(server_config_keys, config, given, path, err);
    snprintf(out->file, sizeof out->file, "%s", path);
    for (size_t i = 0; i < SETTINGS_MAX; i++)
        if (given[i])
            out->source[i] = SETTING_FILE;
    return status;
}

meshping_status settings_take_option(settings *out, server_config *config, const char *name, const char *value,
                                     meshping_error *err)
{
    meshping_status status = config_set(server_config_keys, config, name, value, err);
    if (status == MESHPING_OK)
        out->source[config_find(server_config_keys, name) - server_config_keys] = SETTING_OPTION;
    return status;
}

/* ---- checks ---- */

static meshping_status set(server_config *config, const config_key *key, const char *value, meshping_error *err)
{
    server_config whole = *config; /* nothing of a bad value stays */
    for (const char *at = value; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127)
            return meshping_error_set(err, MESHPING_INVALID, "%s: it holds a control character", key->name);
    config_key narrow[2] = {*key, CONFIG_KEY_END};
    narrow[0].min = setting_least(key);
    meshping_status status = config_set(narrow, &whole, key->name, value, err);
    if (status == MESHPING_OK && *value && strcmp(key->name, "public_url") == 0)
        status = mail_check_public_url(value, err);
    if (status == MESHPING_OK)
        *config = whole;
    return status;
}

static meshping_status check(const server_config *config, meshping_error *err)
{
    meshping_status status = server_config_check(config, err);
    if (status == MESHPING_OK)
        status = server_advertise_check(config->advertise, err);
    return status == MESHPING_OK ? mail_check(config, err) : status;
}

/* ---- the database ---- */

static const char *database_key(char *text, const char *name)
{
    snprintf(text, DATABASE_KEY_MAX, DATABASE_PREFIX "%s", name);
    return text;
}

static meshping_status load_one(server *s, const char *name, char **value, meshping_error *err)
{
    char key[DATABASE_KEY_MAX];
    *value = NULL;
    meshping_status status = meshping_store_setting(s->store, database_key(key, name), value, err);
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

/* What is wrong without it as well is not its fault. */
static meshping_status fit_one(server_config *config, const config_key *key, const char *value, meshping_error *err)
{
    server_config next = *config;
    meshping_error before = {0};
    meshping_status status = set(&next, key, value, err);
    if (status != MESHPING_OK)
        return status;
    status = check(&next, err);
    if (status != MESHPING_OK && (check(config, &before) == MESHPING_OK || strcmp(before.message, err->message) != 0))
        return status;
    *config = next;
    return MESHPING_OK;
}

/* One by one as long as another one fits: which goes first matters where two bound each other. */
static void fit(server *s, char *values[SETTINGS_MAX])
{
    meshping_error err = {0};
    bool more = true;
    while (more) {
        more = false;
        for (size_t i = 0; server_config_keys[i].name; i++) {
            if (!values[i] || s->settings.source[i] != SETTING_DEFAULT ||
                fit_one(&s->config, &server_config_keys[i], values[i], &err) != MESHPING_OK)
                continue;
            s->settings.source[i] = SETTING_DATABASE;
            more = true;
        }
    }
    for (size_t i = 0; server_config_keys[i].name; i++)
        if (values[i] && s->settings.source[i] == SETTING_DEFAULT &&
            fit_one(&s->config, &server_config_keys[i], values[i], &err) != MESHPING_OK)
            log_warning("server", "%s = %s, as set on the page, does not go with the configuration and is left out: %s",
                        server_config_keys[i].name, values[i], err.message);
}

meshping_status settings_load(server *s, meshping_error *err)
{
    char *values[SETTINGS_MAX] = {NULL}, *password = NULL;
    meshping_status status = load_one(s, SETTING_PASSWORD, &password, err);
    s->config.smtp_password_kept = password && setting_password_is_changeable(&s->settings);
    meshping_free(password);
    for (size_t i = 0; server_config_keys[i].name && status == MESHPING_OK; i++)
        if (setting_is_changeable(&s->settings, &server_config_keys[i]))
            status = load_one(s, server_config_keys[i].name, &values[i], err);
    if (status == MESHPING_OK) {
        fit(s, values);
        status = log_init_name(s->config.log_level, err);
    }
    s->settings.revision = (uint64_t)server_unix_ms();
    for (size_t i = 0; i < SETTINGS_MAX; i++)
        meshping_free(values[i]);
    return status;
}

/* ---- the password ---- */

/* text[2 * SEALED_MAX + 1] */
static meshping_status seal_password(const server *s, char *text, const char *password, meshping_error *err)
{
    uint8_t sealed[SEALED_MAX];
    size_t length = strlen(password);
    if (length == 0 || length >= SETTING_PASSWORD_MAX)
        return meshping_error_set(err, MESHPING_INVALID,
                                  SETTING_PASSWORD ": it must have 1 to %d bytes; null takes it away",
                                  SETTING_PASSWORD_MAX - 1);
    if (!seal_close(sealed, s->seal_key, SETTING_PASSWORD, sizeof SETTING_PASSWORD - 1, password, length))
        return meshping_error_set(err, MESHPING_CRYPTO, SETTING_PASSWORD ": it cannot be sealed");
    hex_put(text, sealed, length + SEAL_OVERHEAD);
    return MESHPING_OK;
}

meshping_status settings_password(server *s, char *password, meshping_error *err)
{
    uint8_t sealed[SEALED_MAX];
    char *text = NULL, key[DATABASE_KEY_MAX];
    meshping_status status = meshping_store_setting(s->store, database_key(key, SETTING_PASSWORD), &text, err);
    if (status != MESHPING_OK)
        return status;
    size_t length = 0;
    bool whole = OPENSSL_hexstr2buf_ex(sealed, sizeof sealed, &length, text, 0) == 1;
    meshping_free(text);
    if (!whole ||
        !seal_open((uint8_t *)password, s->seal_key, SETTING_PASSWORD, sizeof SETTING_PASSWORD - 1, sealed, length))
        return meshping_error_set(err, MESHPING_CRYPTO,
                                  SETTING_PASSWORD ": it was sealed with another seal.key: type it again");
    password[length - SEAL_OVERHEAD] = 0;
    return MESHPING_OK;
}

/* ---- changing ---- */

static meshping_status refuse(const server *s, const config_key *key, meshping_error *err)
{
    if (is_fixed(&s->settings, key->name)) {
        bool option = s->settings.source[key - server_config_keys] == SETTING_OPTION;
        return meshping_error_set(err, MESHPING_STATE, "%s: it is set %s%s: change it there, and restart the server",
                                  key->name, option ? "by an option of meshpingd" : "in ",
                                  option ? "" : s->settings.file);
    }
    if (IS_ONE_OF(changeable, key->name))
        return meshping_error_set(err, MESHPING_STATE, "%s: e-mail is set up in %s: change it there", key->name,
                                  s->settings.file);
    return meshping_error_set(err, MESHPING_STATE, "%s: set it in the configuration's file, and restart the server",
                              key->name);
}

static meshping_status take_password(server *s, server_config *next, const char *value, char *sealed,
                                     meshping_error *err)
{
    if (!setting_password_is_changeable(&s->settings))
        return refuse(s, config_find(server_config_keys, "smtp_user"), err);
    next->smtp_password_kept = value != NULL;
    return value ? seal_password(s, sealed, value, err) : MESHPING_OK;
}

static meshping_status take(server *s, server_config *next, const setting_change *change, meshping_error *err)
{
    const config_key *key = config_find(server_config_keys, change->name);
    server_config unused;
    if (!key) /* names the nearest */
        return config_set(server_config_keys, &unused, change->name, "", err);
    if (!setting_is_changeable(&s->settings, key))
        return refuse(s, key, err);
    return set(next, key, change->value ? change->value : key->fallback, err);
}

/* What was typed for one server is not sent to another one. */
static meshping_status check_password(const server *s, const server_config *next, bool typed, meshping_error *err)
{
    if (typed || !next->smtp_password_kept || !next->smtp_url[0] || strcmp(next->smtp_url, s->config.smtp_url) == 0)
        return MESHPING_OK;
    return meshping_error_set(err, MESHPING_INVALID,
                              SETTING_PASSWORD ": type it again: the one that is kept is not sent to another server");
}

static void apply(server *s, const server_config *next)
{
    if (next->offline_s != s->config.offline_s)
        s->offline_changed_ms = server_mono_ms();
    s->config = *next;
    s->settings.revision++;
    s->thresholds.slow_rtt_us = (uint32_t)next->slow_ms * 1000;
    s->thresholds.lossy_count = (uint32_t)next->lossy_count;
    s->thresholds.stale_intervals = (uint32_t)next->stale_intervals;
    s->retained_ms = 0;          /* the store is told with the next tick */
    s->http->next_expiry_ms = 0; /* sessions likewise */
    planning_due(s);
    planning_now(s);
}

meshping_status settings_change(server *s, const setting_change *changes, size_t count, meshping_error *err)
{
    server_config next = s->config;
    char keys[SETTINGS_MAX][DATABASE_KEY_MAX], sealed[2 * SEALED_MAX + 1];
    meshping_setting saved[SETTINGS_MAX];
    meshping_status status = MESHPING_OK;
    bool typed = false;
    if (count == 0 || count > SETTINGS_MAX)
        return meshping_error_set(err, MESHPING_INVALID, "name at least one setting, and each once");
    for (size_t i = 0; i < count && status == MESHPING_OK; i++) {
        const setting_change *change = &changes[i];
        bool secret = strcmp(change->name, SETTING_PASSWORD) == 0;
        status = secret ? take_password(s, &next, change->value, sealed, err) : take(s, &next, change, err);
        typed = typed || secret;
        if (status == MESHPING_OK)
            saved[i] = (meshping_setting){.key = database_key(keys[i], change->name),
                                          .value = secret && change->value ? sealed : change->value};
    }
    if (status == MESHPING_OK)
        status = check_password(s, &next, typed, err);
    if (status == MESHPING_OK)
        status = check(&next, err);
    if (status == MESHPING_OK)
        status = log_init_name(next.log_level, err);
    if (status == MESHPING_OK)
        status = meshping_store_settings_save(s->store, saved, count, err);
    OPENSSL_cleanse(sealed, sizeof sealed);
    if (status != MESHPING_OK) {
        log_init_name(s->config.log_level, NULL);
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        const config_key *key = config_find(server_config_keys, changes[i].name);
        if (key)
            s->settings.source[key - server_config_keys] = changes[i].value ? SETTING_DATABASE : SETTING_DEFAULT;
    }
    apply(s, &next);
    return MESHPING_OK;
}
