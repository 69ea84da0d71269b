/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's files. Each is written beside, synced and renamed, so that a power cut leaves the old or the new one. */
#include "net/internal.h"

#include "base/alloc.h"
#include "core/json.h"
#include "core/message.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LIMIT 4096
#define FILE_LIMIT (16 << 20)
#define TARGETS_A_PART 100
#define IDENTITY "identity.key"
#define NEXT_IDENTITY "identity.next"

meshping_status meshping__random(void *out, size_t length)
{
    uint8_t *at = out;
    while (length) {
        ssize_t got = getrandom(at, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return MESHPING_CRYPTO;
        at += got;
        length -= (size_t)got;
    }
    return MESHPING_OK;
}

static meshping_status fail(meshping_error *err, const char *what, const char *path)
{
    int code = errno;
    bool forbidden = code == EACCES || code == EPERM || code == EROFS;
    return meshping_error_set_errno(err, forbidden ? MESHPING_PERMISSION : MESHPING_IO, code, "%s %s", what, path);
}

meshping_status meshping__state_dir_open(int *lock_fd, const char *path, meshping_error *err)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail(err, "cannot make the state directory", path);
    if (stat(path, &st) != 0)
        return fail(err, "cannot use the state directory", path);
    if (!S_ISDIR(st.st_mode))
        return meshping_error_set(err, MESHPING_IO, "the state directory %s is not a directory", path);
    if (access(path, R_OK | W_OK | X_OK) != 0)
        return fail(err, "cannot write in the state directory", path);
    *lock_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock_fd < 0)
        return fail(err, "cannot use the state directory", path);
    if (flock(*lock_fd, LOCK_EX | LOCK_NB) == 0)
        return MESHPING_OK;
    if (errno != EWOULDBLOCK)
        return fail(err, "cannot lock the state directory", path);
    return meshping_error_set(err, MESHPING_BUSY, "another agent is running with the state directory %s", path);
}

static meshping_status path_of(char *out, const char *dir, const char *name, const char *suffix, meshping_error *err)
{
    if ((size_t)snprintf(out, PATH_LIMIT, "%s/%s%s", dir, name, suffix) >= PATH_LIMIT)
        return meshping_error_set(err, MESHPING_INVALID, "the state directory's name is too long");
    return MESHPING_OK;
}

static bool write_all(int fd, const void *data, size_t length)
{
    const char *at = data;
    while (length) {
        ssize_t put = write(fd, at, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        at += put;
        length -= (size_t)put;
    }
    return true;
}

static void sync_directory(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

static meshping_status file_save(const char *dir, const char *name, const void *data, size_t length,
                                 meshping_error *err)
{
    char path[PATH_LIMIT], temporary[PATH_LIMIT];
    meshping_status status = path_of(path, dir, name, "", err);
    if (status == MESHPING_OK)
        status = path_of(temporary, dir, name, ".new", err);
    if (status != MESHPING_OK)
        return status;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(err, "cannot write", temporary);
    if (!write_all(fd, data, length) || fsync(fd) != 0)
        status = fail(err, "cannot write", temporary);
    close(fd);
    if (status == MESHPING_OK && rename(temporary, path) != 0)
        status = fail(err, "cannot write", path);
    if (status != MESHPING_OK) {
        unlink(temporary);
        return status;
    }
    sync_directory(dir);
    return MESHPING_OK;
}

/* *data is the caller's, with a NUL behind its last byte. */
static meshping_status file_load(char **data, size_t *length, const char *dir, const char *name, meshping_error *err)
{
    char path[PATH_LIMIT];
    struct stat st;
    ssize_t got;
    *data = NULL;
    meshping_status status = path_of(path, dir, name, "", err);
    if (status != MESHPING_OK)
        return status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "%s is not there", path);
    if (fd < 0 || fstat(fd, &st) != 0) {
        status = fail(err, "cannot read", path);
        goto out;
    }
    if (st.st_size > FILE_LIMIT) {
        status = meshping_error_set(err, MESHPING_CORRUPT, "%s is too long to be ours", path);
        goto out;
    }
    *data = meshping__malloc((size_t)st.st_size + 1);
    if (!*data) {
        status = meshping_error_set(err, MESHPING_NOMEM, "out of memory");
        goto out;
    }
    got = read(fd, *data, (size_t)st.st_size);
    if (got < 0) {
        status = fail(err, "cannot read", path);
        goto out;
    }
    *length = (size_t)got;
    (*data)[got] = '\0';
out:
    if (fd >= 0)
        close(fd);
    if (status != MESHPING_OK) {
        meshping__free(*data);
        *data = NULL;
    }
    return status;
}

static meshping_status seed_load(uint8_t seed[MESHPING_KEY_LEN], const char *dir, const char *name, meshping_error *err)
{
    char *data = NULL;
    size_t length = 0;
    meshping_status status = file_load(&data, &length, dir, name, err);
    if (status == MESHPING_OK && length != MESHPING_KEY_LEN)
        status = meshping_error_set(err, MESHPING_CORRUPT, "%s/%s is damaged: restore it, or remove it and join anew",
                                    dir, name);
    if (status == MESHPING_OK)
        memcpy(seed, data, MESHPING_KEY_LEN);
    if (data)
        OPENSSL_cleanse(data, length);
    meshping__free(data);
    return status;
}

meshping_status meshping__state_identity(uint8_t seed[MESHPING_KEY_LEN], const char *dir, meshping_error *err)
{
    meshping_status status = seed_load(seed, dir, IDENTITY, err);
    if (status != MESHPING_NOT_FOUND)
        return status;
    status = meshping__random(seed, MESHPING_KEY_LEN);
    if (status != MESHPING_OK)
        return meshping_error_set(err, status, "no random numbers to be had");
    return file_save(dir, IDENTITY, seed, MESHPING_KEY_LEN, err);
}

meshping_status meshping__state_next_save(const uint8_t seed[MESHPING_KEY_LEN], const char *dir, meshping_error *err)
{
    return file_save(dir, NEXT_IDENTITY, seed, MESHPING_KEY_LEN, err);
}

meshping_status meshping__state_next_load(uint8_t seed[MESHPING_KEY_LEN], const char *dir, meshping_error *err)
{
    return seed_load(seed, dir, NEXT_IDENTITY, err);
}

meshping_status meshping__state_next_take(const char *dir, meshping_error *err)
{
    char from[PATH_LIMIT], to[PATH_LIMIT];
    meshping_status status = path_of(from, dir, NEXT_IDENTITY, "", err);
    if (status == MESHPING_OK)
        status = path_of(to, dir, IDENTITY, "", err);
    if (status == MESHPING_OK && rename(from, to) != 0)
        status = fail(err, "cannot write", to);
    if (status == MESHPING_OK)
        sync_directory(dir);
    return status;
}

meshping_status meshping__state_server_load(server_state *out, const char *dir, meshping_error *err)
{
    char *data = NULL;
    size_t length = 0;
    memset(out, 0, sizeof *out);
    meshping_status status = file_load(&data, &length, dir, "server.json", err);
    if (status != MESHPING_OK)
        return status;
    meshping__fields fields = {meshping__json_parse(data, length, err), err, MESHPING_OK};
    meshping__free(data);
    if (!fields.object || !json_object_is_type(fields.object, json_type_object)) {
        json_object_put(fields.object);
        return meshping_error_set(err, MESHPING_CORRUPT, "%s/server.json is damaged: remove it and join anew", dir);
    }
    meshping__field_text(&fields, "host", out->host, sizeof out->host, true);
    out->port = (uint16_t)meshping__field_u64(&fields, "port", 1, 65535);
    meshping__pins_decode(&fields, &out->pins);
    memcpy(out->passphrase_pin, out->pins.pin, sizeof out->passphrase_pin);
    if (meshping__field_has(&fields, "passphrase_pin"))
        meshping__field_bytes(&fields, "passphrase_pin", out->passphrase_pin, sizeof out->passphrase_pin);
    out->server_id = meshping__field_hex64(&fields, "server_id", true);
    out->enrolled = meshping__field_u64(&fields, "enrolled", 0, 1) == 1;
    out->family = (uint8_t)meshping__field_u64_or(&fields, "family", MESHPING_FAMILY_IPV6, MESHPING_FAMILY_NONE);
    out->has_ticket = meshping__field_has(&fields, "ticket");
    if (out->has_ticket)
        meshping__field_bytes(&fields, "ticket", out->ticket, sizeof out->ticket);
    json_object_put(fields.object);
    return fields.status == MESHPING_OK ? MESHPING_OK : MESHPING_CORRUPT;
}

meshping_status meshping__state_server_save(const server_state *state, const char *dir, meshping_error *err)
{
    json_object *object = json_object_new_object();
    size_t length = 0;
    meshping_status status = MESHPING_NOMEM;
    if (!object)
        return status;
    json_object_object_add(object, "host", json_object_new_string(state->host));
    json_object_object_add(object, "port", json_object_new_int(state->port));
    meshping__pins_encode(object, &state->pins);
    json_object_object_add(object, "passphrase_pin",
                           meshping__json_bytes(state->passphrase_pin, sizeof state->passphrase_pin));
    json_object_object_add(object, "server_id", meshping__json_hex64(state->server_id));
    json_object_object_add(object, "enrolled", json_object_new_int(state->enrolled));
    if (state->family)
        json_object_object_add(object, "family", json_object_new_int(state->family));
    if (state->has_ticket)
        json_object_object_add(object, "ticket", meshping__json_bytes(state->ticket, sizeof state->ticket));
    const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);
    if (text)
        status = file_save(dir, "server.json", text, length, err);
    json_object_put(object);
    return status;
}

/* The list's file is the messages that brought it, one a line. */
meshping_status meshping__state_targets_save(const meshping_target_list *list, const char *dir, meshping_error *err)
{
    meshping__bytes file = {0};
    meshping_status status = MESHPING_OK;
    uint32_t parts = (uint32_t)((list->count + TARGETS_A_PART - 1) / TARGETS_A_PART);
    if (parts == 0)
        parts = 1;
    for (uint32_t part = 0; part < parts && status == MESHPING_OK; part++) {
        char *text = NULL;
        size_t length = 0, first = (size_t)part * TARGETS_A_PART, rest = list->count - first;
        meshping_message message = {.event = MESHPING_EVENT_SERVER_MESSAGE};
        meshping_target_update *update = &message.u.target_update;
        update->revision = list->revision;
        update->part = part;
        update->parts = parts;
        update->list.items = list->items ? list->items + first : NULL;
        update->list.count = rest < TARGETS_A_PART ? rest : TARGETS_A_PART;
        status = meshping_message_encode(&text, &length, &message, err);
        if (status == MESHPING_OK) {
            meshping__bytes_put(&file, text, length);
            meshping__bytes_u8(&file, '\n');
        }
        meshping__free(text);
    }
    if (status == MESHPING_OK && file.failed)
        status = MESHPING_NOMEM;
    if (status == MESHPING_OK)
        status = file_save(dir, "targets.jsonl", file.data, file.length, err);
    meshping__bytes_dispose(&file);
    return status;
}

meshping_status meshping__state_targets_load(meshping_target_list *out, const char *dir, meshping_error *err)
{
    char *data = NULL;
    size_t length = 0;
    meshping_status status = file_load(&data, &length, dir, "targets.jsonl", err);
    for (char *at = data; status == MESHPING_OK && at < data + length;) {
        meshping_message message;
        char *end = memchr(at, '\n', (size_t)(data + length - at));
        if (!end)
            end = data + length;
        status = meshping_message_decode(&message, at, (size_t)(end - at), err);
        if (status != MESHPING_OK)
            break;
        if (message.event == MESHPING_EVENT_SERVER_MESSAGE && message.type == MESHPING_SERVER_MESSAGE_UPDATE_TARGETS) {
            out->revision = message.u.target_update.revision;
            for (size_t i = 0; i < message.u.target_update.list.count && status == MESHPING_OK; i++)
                status = meshping_target_list_append(out, &message.u.target_update.list.items[i], err);
        }
        meshping_message_dispose(&message);
        at = end + 1;
    }
    meshping__free(data);
    if (status != MESHPING_OK)
        meshping_target_list_dispose(out);
    return status;
}
