/* SPDX-License-Identifier: Apache-2.0 */
/* The server's settings: all are told but the password; some are changed. settings.h says which, and what comes of it.
 */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/json_body.h"
#include "meshpingd/mail.h"
#include "meshpingd/problem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- telling ---- */

static void add_text(json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

static json_object *setting_json(const server *s, const config_key *key)
{
    static server_config defaults;
    static const char *const types[] = {
        [CONFIG_TEXT] = "text", [CONFIG_NUMBER] = "number", [CONFIG_DURATION] = "duration", [CONFIG_SIZE] = "size"};
    char text[CONFIG_VALUE_MAX];
    json_object *json = json_object_new_object();
    add_text(json, "name", key->name);
    add_text(json, "type", types[key->type]);
    add_text(json, "value", config_format(key, &s->config, text));
    config_set(server_config_keys, &defaults, key->name, key->fallback, NULL);
    add_text(json, "default", config_format(key, &defaults, text));
    if (key->type != CONFIG_TEXT) {
        bool here = setting_is_changeable(&s->settings, key);
        add_text(json, "least", config_format_bound(key, here ? setting_least(key) : key->min, text));
        add_text(json, "most", config_format_bound(key, key->max, text));
    }
    add_text(json, "help", key->help);
    add_text(json, "source", setting_source_name(s->settings.source[key - server_config_keys]));
    json_object_object_add(json, "changeable", json_object_new_boolean(setting_is_changeable(&s->settings, key)));
    return json;
}

static json_object *password_json(const server *s)
{
    json_object *json = json_object_new_object();
    add_text(json, "name", SETTING_PASSWORD);
    add_text(json, "type", "secret");
    json_object_object_add(json, "set", json_object_new_boolean(s->config.smtp_password_kept));
    add_text(json, "help", "The password for that; kept sealed, and never shown");
    add_text(json, "source", setting_source_name(s->config.smtp_password_kept ? SETTING_DATABASE : SETTING_DEFAULT));
    json_object_object_add(json, "changeable", json_object_new_boolean(setting_password_is_changeable(&s->settings)));
    return json;
}

void api_settings_get(http_exchange *x)
{
    const server *s = x->server;
    if (http_not_modified(x, s->settings.revision))
        return;
    json_object *json = json_object_new_object(), *list = json_object_new_array();
    for (const config_key *key = server_config_keys; key->name; key++) {
        json_object_array_add(list, setting_json(s, key));
        if (strcmp(key->name, "smtp_user") == 0)
            json_object_array_add(list, password_json(s));
    }
    json_object_object_add(json, "revision", json_object_new_uint64(s->settings.revision));
    add_text(json, "file", s->settings.file);
    json_object_object_add(json, "settings", list);
    http_etag(x, s->settings.revision);
    http_respond_json(x, 200, json);
}

/* ---- changing ---- */

/* The setting that a message names first; NULL: none. */
static const char *named_in(const char *message)
{
    size_t length = strspn(message, "abcdefghijklmnopqrstuvwxyz_");
    if (length == strlen(SETTING_PASSWORD) && memcmp(message, SETTING_PASSWORD, length) == 0)
        return SETTING_PASSWORD;
    for (const config_key *key = server_config_keys; key->name; key++)
        if (strlen(key->name) == length && memcmp(message, key->name, length) == 0)
            return key->name;
    return NULL;
}

static void respond_refused(http_exchange *x, const meshping_error *err)
{
    int status = problem_http_status(err->status);
    const char *name = named_in(err->message);
    if (status == 500 || !name) {
        http_respond_error(x, err);
        return;
    }
    json_object *problem = problem_json(status, err->message);
    if (problem)
        json_object_object_add(problem, "setting", json_object_new_string(name));
    http_respond_problem_json(x, status, problem);
}

/* As it would stand in a file; a whole number may be written as one. False: it is neither, nor null. */
static bool take_value(const char **value, json_object *json, char number[32])
{
    *value = NULL;
    if (!json)
        return true;
    if (json_object_is_type(json, json_type_int)) {
        snprintf(number, 32, "%" PRId64, json_object_get_int64(json));
        *value = number;
        return true;
    }
    *value = json_body_string(json);
    return *value != NULL;
}

/* Of each value at most `width` bytes. */
static void put_changes(const http_exchange *x, text_buffer *text, const setting_change *changes, size_t count,
                        int width)
{
    for (size_t i = 0; i < count; i++) {
        char old[CONFIG_VALUE_MAX];
        const config_key *key = config_find(server_config_keys, changes[i].name);
        const char *now = changes[i].value;
        if (!key) {
            text_printf(text, "; %s %s", changes[i].name, now ? "another" : "taken away");
            continue;
        }
        now = now ? now : key->fallback;
        config_format(key, &x->server->config, old);
        text_printf(text, "; %s %.*s -> %.*s", key->name, width, *old ? old : "nothing", width, *now ? now : "nothing");
    }
}

/* "retention 24h -> 7d; smtp_password another": what is secret is not told. Nothing pushes another one out. */
static void describe(http_exchange *x, const setting_change *changes, size_t count)
{
    text_buffer text = {0};
    for (int width = CONFIG_VALUE_MAX; width; width /= 2) {
        text.length = 0;
        put_changes(x, &text, changes, count, width);
        if (text.length < sizeof x->audit.detail + 2)
            break;
    }
    http_audit_detail(x, "%s", text.data ? text.data + 2 : "");
    text_dispose(&text);
}

void api_settings_patch(http_exchange *x)
{
    setting_change changes[SETTINGS_MAX];
    char numbers[SETTINGS_MAX][32];
    meshping_error err = {0};
    size_t count = 0;
    if (!http_may_change(x, x->server->settings.revision, "the settings"))
        return;
    json_object_object_foreach(x->json, name, value)
    {
        if (count == SETTINGS_MAX) {
            http_respond_problem(x, 400, "there are not so many settings");
            return;
        }
        changes[count].name = name;
        if (!take_value(&changes[count].value, value, numbers[count])) {
            http_respond_problem(x, 400, "%.40s: a string, a whole number or null is needed", name);
            return;
        }
        count++;
    }
    describe(x, changes, count);
    if (settings_change(x->server, changes, count, &err) != MESHPING_OK)
        respond_refused(x, &err);
    else
        api_settings_get(x);
}

/* ---- e-mail ---- */

void api_settings_test_mail(http_exchange *x)
{
    const char *to = http_json_needed(x, "to");
    if (!to)
        return;
    if (!*to || !http_text_is_email(to, MESHPING_USER_EMAIL_MAX)) {
        http_respond_problem(x, 400, "\"to\" must be an address such as anna@example.org");
        return;
    }
    if (!mail_is_configured(&x->server->config)) {
        http_respond_problem(x, 409, "no SMTP server is set: save smtp_url, smtp_from and public_url first");
        return;
    }
    http_audit_object(x, "%s", to);
    http_audit_detail(x, "by %s", x->server->config.smtp_url);
    mail_test(x, to);
}
