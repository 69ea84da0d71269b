/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/admin_cli.h"

#include "meshpingd/breached.h"
#include "meshpingd/http_text.h"
#include "meshpingd/password.h"
#include "meshpingd/server.h"
#include "meshpingd/user_names.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USAGE                                                                                                          \
    "usage: meshpingd admin create --name NAME --password-file FILE [--config FILE] [--state-dir DIR]   "              \
    "(password FILE -: standard input)"

typedef struct arguments {
    const char *name, *password_file, *config_file, *state_dir;
} arguments;

static int fail(int status, const char *message)
{
    fprintf(stderr, "meshpingd admin: %s\n", message);
    return status;
}

static bool parse(arguments *out, int argc, char **argv)
{
    *out = (arguments){0};
    if (argc < 2 || strcmp(argv[1], "create") != 0)
        return false;
    for (int i = 2; i < argc; i++) {
        static const char *names[] = {"--name", "--password-file", "--config", "--state-dir"};
        const char **places[] = {&out->name, &out->password_file, &out->config_file, &out->state_dir};
        bool found = false;
        for (size_t k = 0; k < sizeof names / sizeof *names && !found; k++) {
            size_t length = strlen(names[k]);
            if (strcmp(argv[i], names[k]) == 0 && i + 1 < argc) {
                *places[k] = argv[++i];
                found = true;
            } else if (strncmp(argv[i], names[k], length) == 0 && argv[i][length] == '=') {
                *places[k] = argv[i] + length + 1;
                found = true;
            }
        }
        if (!found)
            return false;
    }
    return out->name && out->password_file && (out->state_dir || out->config_file);
}

/* Without one newline at its end. */
static meshping_status read_password(char *password, size_t size, const char *path, meshping_error *err)
{
    bool standard_input = strcmp(path, "-") == 0;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    if (!file)
        return meshping_error_set_errno(err, MESHPING_IO, errno, "%s", path);
    size_t length = fread(password, 1, size - 1, file);
    bool failed = ferror(file), more = length == size - 1;
    if (!standard_input)
        fclose(file);
    if (failed)
        return meshping_error_set(err, MESHPING_IO, "%s cannot be read", path);
    if (more)
        return meshping_error_set(err, MESHPING_INVALID, "%s is too long for a password", path);
    if (length && password[length - 1] == '\n')
        length--;
    if (length && password[length - 1] == '\r')
        length--;
    password[length] = 0;
    if (strlen(password) != length)
        return meshping_error_set(err, MESHPING_INVALID, "%s holds a NUL", path);
    return MESHPING_OK;
}

static meshping_status check_password(const arguments *args, const server_config *config, const char *password,
                                      meshping_error *err)
{
    bool found = false;
    meshping_error why = {0};
    meshping_status status = password_check(password, strlen(password), args->name, err);
    if (status != MESHPING_OK || !config->breached_passwords[0])
        return status;
    status = breached_find(&found, config->breached_passwords, password, strlen(password), &why);
    if (status != MESHPING_OK)
        return meshping_error_set(err, status, "breached_passwords: %.100s: %s", config->breached_passwords,
                                  why.message);
    return found ? password_refuse_breached(err) : MESHPING_OK;
}

static meshping_status create(const arguments *args, meshping_error *err)
{
    static server_config config; /* large */
    char password[PASSWORD_BYTES_MAX + 4], path[600];
    uint8_t salt[PASSWORD_SALT_LEN];
    meshping_store *store = NULL;
    meshping_store_options options;
    meshping_user_record user = {.role = MESHPING_ROLE_ADMIN, .created_ms = meshping_now_read().unix_ns / 1000000};
    meshping_status status = password_check_name(args->name, strlen(args->name), err);
    if (status == MESHPING_OK)
        status = server_config_read(&config, args->config_file, err);
    const char *state_dir = args->state_dir ? args->state_dir : config.state_dir;
    if (status == MESHPING_OK)
        status = read_password(password, sizeof password, args->password_file, err);
    if (status == MESHPING_OK)
        status = check_password(args, &config, password, err);
    if (status != MESHPING_OK)
        goto out;
    if (access(state_dir, W_OK | X_OK) != 0) {
        status = meshping_error_set_errno(err, MESHPING_IO, errno, "%s", state_dir);
        goto out;
    }
    http_text_copy(user.name, sizeof user.name, args->name);
    if (RAND_bytes(salt, sizeof salt) != 1) {
        status = meshping_error_set(err, MESHPING_CRYPTO, "no random numbers");
        goto out;
    }
    status = password_encode(user.password, password, strlen(password), PASSWORD_SCRYPT_N, salt, err);
    if (status != MESHPING_OK)
        goto out;

    snprintf(path, sizeof path, "%s/%s", state_dir, SERVER_DATABASE_NAME);
    meshping_store_options_init(&options);
    options.path = path;
    status = meshping_store_open(&store, &options, err);
    if (status == MESHPING_BUSY)
        status = meshping_error_set(
            err, MESHPING_BUSY, "a server runs on %s: stop it first, or open its page with the code of %s/setup-code",
            state_dir, state_dir);
    if (status != MESHPING_OK)
        goto out;
    status = user_name_free(store, user.name, 0, err);
    if (status == MESHPING_OK)
        status = meshping_store_user_save(store, &user, false, err);
    if (status == MESHPING_OK) {
        /* the set-up code is for the first administrator only */
        snprintf(path, sizeof path, "%s/setup-code", state_dir);
        unlink(path);
    }
out:
    meshping_store_close(store);
    OPENSSL_cleanse(password, sizeof password);
    return status;
}

int admin_main(int argc, char **argv)
{
    arguments args;
    meshping_error err = {0};
    if (!parse(&args, argc, argv))
        return fail(2, USAGE);
    if (create(&args, &err) != MESHPING_OK)
        return fail(1, err.message);
    printf("administrator %s made\n", args.name);
    return 0;
}
