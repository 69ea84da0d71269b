/* SPDX-License-Identifier: Apache-2.0 */
/* Targets and passphrases: what an administrator gives out. */
#include "common/log.h"
#include "meshpingd/keys.h"
#include "meshpingd/planning.h"
#include "meshpingd/samples.h"
#include "meshpingd/seal.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_HOURS 24
#define DEFAULT_USES 50
#define HOUR_MS INT64_C(3600000)

meshping_status server_targets_replace(server *s, meshping_target_list *list, const char *user, meshping_error *err)
{
    char text[128];
    meshping_target_list before = s->targets;
    list->revision = s->targets.revision;
    meshping_status status = planning_check(s, NULL, 0, list, err);
    if (status == MESHPING_OK)
        status = meshping_store_targets_save(s->store, list, err);
    if (status != MESHPING_OK) {
        meshping_target_list_dispose(list);
        return status;
    }
    s->targets = *list;
    *list = (meshping_target_list){0};
    samples_take_pauses(s);
    planning_due(s);
    planning_now(s);
    snprintf(text, sizeof text, "revision %llu: %zu targets, before %zu", (unsigned long long)s->targets.revision,
             s->targets.count, before.count);
    meshping_target_list_dispose(&before);
    log_info("targets", "%s%s%s", text, user ? ", by " : "", user ? user : "");
    meshping_store_event_add(s->store, server_unix_ms(), "targets", 0, user, text, NULL);
    return MESHPING_OK;
}

/* ---- passphrases ---- */

/* AD = tid: docs/PROTOCOL.md, At rest. */
static bool seal(const server *s, meshping_passphrase_record *record, const uint8_t key[MESHPING_PASSPHRASE_KEY_LEN])
{
    record->sealed_length = MESHPING_PASSPHRASE_KEY_LEN + SEAL_OVERHEAD;
    return seal_close(record->sealed_key, s->seal_key, record->tid, MESHPING_TID_LEN, key, MESHPING_PASSPHRASE_KEY_LEN);
}

static bool unseal(const server *s, const meshping_passphrase_record *record, uint8_t key[MESHPING_PASSPHRASE_KEY_LEN])
{
    return record->sealed_length == MESHPING_PASSPHRASE_KEY_LEN + SEAL_OVERHEAD &&
           seal_open(key, s->seal_key, record->tid, MESHPING_TID_LEN, record->sealed_key, record->sealed_length);
}

/* "HOST:PORT" or "[v6]:PORT", also as the first of a list. */
static meshping_status parse_advertise(meshping_passphrase *out, const char *text, meshping_error *err)
{
    char item[MESHPING_HOST_MAX + 8], *host = item, *end;
    size_t length = strcspn(text, ", ");
    if (!length || length >= sizeof item)
        return meshping_error_set(err, MESHPING_INVALID, "advertise: \"%s\" is not HOST:PORT", text);
    memcpy(item, text, length);
    item[length] = '\0';
    char *colon = strrchr(item, ':');
    if (!colon || colon == item)
        return meshping_error_set(err, MESHPING_INVALID, "advertise: \"%s\" is not HOST:PORT", item);
    *colon = '\0';
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port == 0 || port > 65535)
        return meshping_error_set(err, MESHPING_INVALID, "advertise: \"%s\" is not a port", colon + 1);
    if (*host == '[' && host[strlen(host) - 1] == ']') {
        host[strlen(host) - 1] = '\0';
        host++;
    } else if (strchr(host, ':')) {
        return meshping_error_set(err, MESHPING_INVALID, "advertise: write an IPv6 address as [ADDR]:PORT");
    }
    out->port = (uint16_t)port;
    return meshping_host_canonical(out->host, host, err);
}

meshping_status server_advertise_check(const char *list, meshping_error *err)
{
    meshping_passphrase unused;
    meshping_status status = MESHPING_OK;
    while (status == MESHPING_OK && *list) {
        status = parse_advertise(&unused, list, err);
        list += strcspn(list, ", ");
        list += strspn(list, ", ");
    }
    return status;
}

static unsigned hours_of(const meshping_passphrase_record *record)
{
    return (unsigned)((record->expires_ms - record->created_ms) / HOUR_MS);
}

meshping_status server_passphrase_make(server *s, const passphrase_request *request, char *text,
                                       meshping_passphrase_record *record, meshping_error *err)
{
    meshping_passphrase passphrase = {0};
    uint32_t hours = request->hours ? request->hours : DEFAULT_HOURS,
             uses = request->uses ? request->uses : DEFAULT_USES;
    const char *advertise = request->advertise && *request->advertise ? request->advertise : s->config.advertise;
    memset(record, 0, sizeof *record);
    if (request->preapprove > uses)
        return meshping_error_set(err, MESHPING_INVALID, "more are approved beforehand than may use it");
    if (request->preapprove &&
        meshping_registry_addresses(record->preapprove_from, request->preapprove_from ? request->preapprove_from : "",
                                    err) != MESHPING_OK)
        return MESHPING_INVALID;
    record->preapprove_max = request->preapprove;
    if (!*advertise)
        return meshping_error_set(err, MESHPING_INVALID,
                                  "give the address agents reach this server at, as HOST:PORT (or set advertise)");
    meshping_status status = parse_advertise(&passphrase, advertise, err);
    if (status != MESHPING_OK)
        return status;
    memcpy(passphrase.pin, s->keys->pins.pin, MESHPING_PIN_LEN);
    if (RAND_bytes(passphrase.key, sizeof passphrase.key) != 1)
        return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers to be had");
    record->created_ms = server_unix_ms();
    record->expires_ms = record->created_ms + hours * HOUR_MS;
    record->uses_max = uses;
    snprintf(record->advertise, sizeof record->advertise, "%.*s", (int)strcspn(advertise, ", "), advertise);
    snprintf(record->label, sizeof record->label, "%s", request->label ? request->label : "");
    status = meshping_passphrase_tid(record->tid, passphrase.key);
    if (status == MESHPING_OK && !seal(s, record, passphrase.key))
        status = meshping_error_set(err, MESHPING_CRYPTO, "cannot seal the passphrase's key");
    if (status == MESHPING_OK)
        status = meshping_passphrase_encode(text, &passphrase, err);
    OPENSSL_cleanse(&passphrase, sizeof passphrase);
    return status;
}

const char *server_passphrase_text(char *text, const meshping_passphrase_record *record)
{
    int length = snprintf(text, PASSPHRASE_TEXT_MAX, "for %s, %u uses, %u hours%s%s", record->advertise,
                          (unsigned)record->uses_max, hours_of(record), record->label[0] ? ": " : "", record->label);
    if (record->preapprove_max && length > 0 && length < PASSPHRASE_TEXT_MAX)
        snprintf(text + length, PASSPHRASE_TEXT_MAX - (size_t)length, ", the first %u from %.150s approved beforehand",
                 record->preapprove_max, record->preapprove_from);
    return text;
}

meshping_status server_passphrase_issue(server *s, const meshping_passphrase_record *record, const char *user,
                                        meshping_error *err)
{
    char event[PASSPHRASE_TEXT_MAX];
    meshping_status status = meshping_store_passphrase_save(s->store, record, err);
    if (status == MESHPING_OK)
        meshping_store_event_add(s->store, record->created_ms, "passphrase", 0, user,
                                 server_passphrase_text(event, record), NULL);
    return status;
}

meshping_status server_passphrase_revoke(server *s, const uint8_t tid[MESHPING_TID_LEN], const char *user,
                                         meshping_error *err)
{
    meshping_passphrase_record record;
    meshping_status status = meshping_store_passphrase(s->store, tid, &record, err);
    if (status != MESHPING_OK || record.revoked)
        return status;
    record.revoked = true;
    status = revocations_add(&s->revocations, REVOCATION_REVOKE, tid, MESHPING_TID_LEN, server_unix_ms(), err);
    if (status == MESHPING_OK)
        status = meshping_store_passphrase_save(s->store, &record, err);
    if (status == MESHPING_OK)
        meshping_store_event_add(s->store, server_unix_ms(), "revoke", 0, user, record.label, NULL);
    return status;
}

meshping_status server_passphrase_make_like(server *s, const meshping_passphrase_record *old, char *text,
                                            meshping_passphrase_record *record, meshping_error *err)
{
    passphrase_request request = {.advertise = old->advertise,
                                  .label = old->label,
                                  .hours = hours_of(old),
                                  .uses = old->uses_max,
                                  .preapprove = old->preapprove_max,
                                  .preapprove_from = old->preapprove_from};
    return server_passphrase_make(s, &request, text, record, err);
}

meshping_status server_passphrase_open(server *s, const uint8_t tid[MESHPING_TID_LEN], bool known_key,
                                       uint8_t key[MESHPING_PASSPHRASE_KEY_LEN], meshping_passphrase_record *record)
{
    meshping_error err;
    const char *why = NULL;
    meshping_status status = meshping_store_passphrase(s->store, tid, record, &err);
    if (status != MESHPING_OK)
        why = status == MESHPING_NOT_FOUND ? "unknown" : err.message;
    else if (record->revoked)
        why = "revoked";
    else if (record->expires_ms <= server_unix_ms())
        why = "expired";
    else if (!known_key && record->uses >= record->uses_max)
        why = "used up";
    else if (!unseal(s, record, key))
        why = "sealed with another seal.key";
    if (!why)
        return MESHPING_OK;
    log_warning("agents", "a passphrase was refused: %s", why);
    return MESHPING_NOT_FOUND;
}
