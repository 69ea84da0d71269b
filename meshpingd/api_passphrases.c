/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/http.h"

#include "common/hex.h"
#include "meshpingd/looks.h"
#include <meshping/protocol.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define HOURS_MAX 8760
#define USES_MAX 100000

static bool parse_tid(uint8_t tid[MESHPING_TID_LEN], const char *hex)
{
    return strlen(hex) == 2 * MESHPING_TID_LEN && hex_get(tid, MESHPING_TID_LEN, hex);
}

static json_object *passphrase_json(const meshping_passphrase_record *record)
{
    char id[2 * MESHPING_TID_LEN + 1];
    json_object *json = json_object_new_object();
    json_object_object_add(json, "id", json_object_new_string(hex_put(id, record->tid, MESHPING_TID_LEN)));
    json_object_object_add(json, "label", json_object_new_string(record->label));
    json_object_object_add(json, "created_ms", json_object_new_int64(record->created_ms));
    json_object_object_add(json, "expires_ms", json_object_new_int64(record->expires_ms));
    json_object_object_add(json, "uses_max", json_object_new_uint64(record->uses_max));
    json_object_object_add(json, "uses", json_object_new_uint64(record->uses));
    json_object_object_add(json, "revoked", json_object_new_boolean(record->revoked));
    json_object_object_add(json, "advertise", json_object_new_string(record->advertise));
    json_object_object_add(json, "preapprove", json_object_new_uint64(record->preapprove_max));
    json_object_object_add(json, "preapproved", json_object_new_uint64(record->preapprove_uses));
    json_object_object_add(json, "preapprove_from", json_object_new_string(record->preapprove_from));
    return json;
}

void api_passphrases_list(http_exchange *x)
{
    meshping_passphrase_record *records = NULL;
    meshping_error err = {0};
    size_t count = 0;
    if (meshping_store_passphrases(x->server->store, &records, &count, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    json_object *json = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < count; i++)
        json_object_array_add(list, passphrase_json(&records[i]));
    json_object_object_add(json, "passphrases", list);
    meshping_free(records);
    http_respond_json(x, 200, json);
}

/* Both ask for the passphrase without echo: it must be in no argument and in no shell history. */
static json_object *commands_json(void)
{
    json_object *commands = json_object_new_object();
    json_object_object_add(
        commands, "deb", json_object_new_string("sudo apt install ./meshping-agent_*.deb && sudo meshping-agent-join"));
    json_object_object_add(commands, "run",
                           json_object_new_string("sudo meshping-agent run --passphrase-file - "
                                                  "--state-dir /var/lib/meshping-agent"));
    return commands;
}

/* text: shown this once, and wiped. */
static void respond_issued(http_exchange *x, char text[MESHPING_PASSPHRASE_TEXT_MAX],
                           const meshping_passphrase_record *record)
{
    json_object *json = passphrase_json(record);
    json_object_object_add(json, "passphrase", json_object_new_string(text));
    json_object_object_add(json, "commands", commands_json());
    OPENSSL_cleanse(text, MESHPING_PASSPHRASE_TEXT_MAX);
    http_respond_json(x, 201, json);
}

void api_passphrase_create(http_exchange *x)
{
    bool ok;
    char text[MESHPING_PASSPHRASE_TEXT_MAX], said[PASSPHRASE_TEXT_MAX], id[2 * MESHPING_TID_LEN + 1];
    meshping_passphrase_record record = {0};
    meshping_error err = {0};
    passphrase_request request = {0};
    request.advertise = http_json_string(x, "advertise", &ok);
    if (!ok)
        return;
    request.label = http_json_string(x, "label", &ok);
    if (!ok)
        return;
    request.hours = (uint32_t)http_json_number(x, "hours", 0, 1, HOURS_MAX, &ok);
    if (!ok)
        return;
    request.uses = (uint32_t)http_json_number(x, "uses", 0, 1, USES_MAX, &ok);
    if (!ok)
        return;
    request.preapprove = (uint32_t)http_json_number(x, "preapprove", 0, 1, USES_MAX, &ok);
    if (!ok)
        return;
    request.preapprove_from = http_json_string(x, "preapprove_from", &ok);
    if (!ok)
        return;
    if (request.advertise && !request.advertise[0])
        request.advertise = NULL;
    if (!request.advertise && !x->server->config.advertise[0]) {
        http_respond_problem(x, 400, "say where agents find this server: \"advertise\": \"HOST:PORT\"");
        return;
    }
    if (request.label && !looks_whole(request.label)) {
        http_respond_problem(x, 400, "\"label\" holds a control character, or another one that is not seen");
        return;
    }
    if (request.label && strlen(request.label) >= sizeof record.label) {
        http_respond_problem(x, 400, "\"label\" has %zu bytes, at most %zu are allowed", strlen(request.label),
                             sizeof record.label - 1);
        return;
    }
    meshping_status status = server_passphrase_make(x->server, &request, text, &record, &err);
    if (status == MESHPING_OK) {
        http_audit_object(x, "%s", hex_put(id, record.tid, MESHPING_TID_LEN));
        http_audit_detail(x, "%s", server_passphrase_text(said, &record));
        status = server_passphrase_issue(x->server, &record, x->identity.user, &err);
    }
    if (status == MESHPING_OK)
        respond_issued(x, text, &record);
    else
        http_respond_error(x, &err);
    OPENSSL_cleanse(text, sizeof text);
}

/* The one of the path; false: it was answered. */
static bool passphrase_of_path(http_exchange *x, meshping_passphrase_record *record)
{
    uint8_t tid[MESHPING_TID_LEN];
    meshping_error err = {0};
    meshping_status status = MESHPING_NOT_FOUND;
    if (parse_tid(tid, x->params.value[0]))
        status = meshping_store_passphrase(x->server->store, tid, record, &err);
    if (status == MESHPING_NOT_FOUND)
        http_respond_problem(x, 404, "there is no passphrase with this id");
    else if (status != MESHPING_OK)
        http_respond_error(x, &err);
    return status == MESHPING_OK;
}

void api_passphrase_rotate(http_exchange *x)
{
    char text[MESHPING_PASSPHRASE_TEXT_MAX], said[PASSPHRASE_TEXT_MAX], id[2 * MESHPING_TID_LEN + 1];
    meshping_passphrase_record old, record;
    meshping_error err = {0};
    if (!passphrase_of_path(x, &old))
        return;
    meshping_status status = server_passphrase_make_like(x->server, &old, text, &record, &err);
    if (status == MESHPING_OK) {
        http_audit_detail(x, "by %s, %s", hex_put(id, record.tid, MESHPING_TID_LEN),
                          server_passphrase_text(said, &record));
        status = server_passphrase_issue(x->server, &record, x->identity.user, &err);
    }
    if (status == MESHPING_OK)
        status = server_passphrase_revoke(x->server, old.tid, x->identity.user, &err);
    if (status == MESHPING_OK)
        respond_issued(x, text, &record);
    else
        http_respond_error(x, &err);
    OPENSSL_cleanse(text, sizeof text);
}

void api_passphrase_revoke(http_exchange *x)
{
    meshping_passphrase_record record;
    meshping_error err = {0};
    if (!passphrase_of_path(x, &record))
        return;
    http_audit_detail(x, "%s", record.label);
    if (server_passphrase_revoke(x->server, record.tid, x->identity.user, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_empty(x, 204);
}
