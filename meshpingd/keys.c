/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CERTIFICATE_DAYS 3650L
#define SECRET_LEN 32

/* Makes PATH.new with `mode`; sync_close renames it, so that half a key is never left under the name. */
static FILE *create(const char *path, mode_t mode, char *temporary)
{
    snprintf(temporary, KEYS_PATH_MAX + 8, "%s.new", path);
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

static meshping_status sync_close(FILE *file, bool written, const char *path, const char *temporary,
                                  meshping_error *err)
{
    bool good = written && fflush(file) == 0 && fsync(fileno(file)) == 0;
    good = fclose(file) == 0 && good && rename(temporary, path) == 0;
    if (!good) {
        int code = errno;
        unlink(temporary);
        return meshping_error_set_errno(err, MESHPING_IO, code, "cannot write %s", path);
    }
    return MESHPING_OK;
}

static meshping_status key_open(EVP_PKEY **out, const char *path, meshping_error *err)
{
    char temporary[KEYS_PATH_MAX + 8];
    FILE *file = fopen(path, "re");
    if (file) {
        *out = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
        return *out
                   ? MESHPING_OK
                   : meshping_error_set(err, MESHPING_CORRUPT,
                                        "%s is no private key: restore it from a backup (agents know the server by it)",
                                        path);
    }
    if (errno != ENOENT)
        return meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot read %s", path);
    *out = EVP_EC_gen("P-256");
    if (!*out)
        return meshping_error_set(err, MESHPING_CRYPTO, "cannot make a P-256 key");
    file = create(path, 0600, temporary);
    if (!file)
        return meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot write %s", path);
    return sync_close(file, PEM_write_PrivateKey(file, *out, NULL, NULL, 0, NULL, NULL) == 1, path, temporary, err);
}

/* "DNS:agents.meshping,DNS:localhost,IP:127.0.0.1,..." from "HOST:PORT, ..." */
static void alternative_names(char *out, size_t size, const char *names)
{
    size_t used = (size_t)snprintf(out, size, "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", MESHPING_AGENT_SNI);
    while (*names) {
        char item[MESHPING_HOST_MAX + 8], host[MESHPING_HOST_MAX];
        meshping_address address;
        size_t length = strcspn(names, ", ");
        if (length && length < sizeof item) {
            memcpy(item, names, length);
            item[length] = '\0';
            char *colon = strrchr(item, ':');
            if (colon)
                *colon = '\0';
            char *bare = item;
            if (*bare == '[') {
                bare++;
                bare[strcspn(bare, "]")] = '\0';
            }
            if (meshping_host_canonical(host, bare, NULL) == MESHPING_OK && used + sizeof host + 8 < size)
                used +=
                    (size_t)snprintf(out + used, size - used, ",%s:%s",
                                     meshping_address_parse(&address, host, NULL) == MESHPING_OK ? "IP" : "DNS", host);
        }
        names += length;
        names += strspn(names, ", ");
    }
}

static bool extend(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool good = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static X509 *certificate_make(EVP_PKEY *key, const char *names)
{
    char alternatives[4096];
    unsigned char serial[16];
    X509 *certificate = X509_new();
    BIGNUM *number = BN_new();
    alternative_names(alternatives, sizeof alternatives, names);
    bool good = certificate && number && RAND_bytes(serial, sizeof serial) == 1;
    if (good) {
        serial[0] &= 0x7f;
        good =
            BN_bin2bn(serial, sizeof serial, number) && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    }
    if (good) {
        X509_NAME *name = X509_get_subject_name(certificate);
        good =
            X509_set_version(certificate, 2) == 1 && X509_gmtime_adj(X509_getm_notBefore(certificate), -86400) &&
            X509_gmtime_adj(X509_getm_notAfter(certificate), CERTIFICATE_DAYS * 86400) &&
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"meshpingd", -1, -1, 0) == 1 &&
            X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
            extend(certificate, NID_subject_alt_name, alternatives) &&
            extend(certificate, NID_ext_key_usage, "serverAuth") && X509_sign(certificate, key, EVP_sha256()) > 0;
    }
    BN_free(number);
    if (!good) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static meshping_status certificate_open(const char *path, EVP_PKEY *key, const char *names, meshping_error *err)
{
    char temporary[KEYS_PATH_MAX + 8];
    FILE *file = fopen(path, "re");
    X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (file)
        fclose(file);
    if (certificate && X509_check_private_key(certificate, key) == 1) {
        X509_free(certificate);
        return MESHPING_OK;
    }
    X509_free(certificate);
    certificate = certificate_make(key, names);
    if (!certificate)
        return meshping_error_set(err, MESHPING_CRYPTO, "cannot make a certificate");
    file = create(path, 0644, temporary);
    meshping_status status = file ? sync_close(file, PEM_write_X509(file, certificate) == 1, path, temporary, err)
                                  : meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot write %s", path);
    X509_free(certificate);
    return status;
}

/* A secret of 32 bytes in a file of its own (0400). `lost`: what its loss means, for people. */
static meshping_status secret_open(uint8_t secret[SECRET_LEN], const char *state_dir, const char *name,
                                   const char *lost, meshping_error *err)
{
    char path[KEYS_PATH_MAX], temporary[KEYS_PATH_MAX + 8];
    uint8_t more;
    snprintf(path, sizeof path, "%s/%s", state_dir, name);
    FILE *file = fopen(path, "re");
    if (file) {
        bool whole = fread(secret, 1, SECRET_LEN, file) == SECRET_LEN && fread(&more, 1, 1, file) == 0;
        fclose(file);
        return whole ? MESHPING_OK
                     : meshping_error_set(err, MESHPING_CORRUPT, "%s is damaged: restore it, or remove it (%s)", path,
                                          lost);
    }
    if (errno != ENOENT)
        return meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot read %s", path);
    if (RAND_bytes(secret, SECRET_LEN) != 1)
        return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers to be had");
    file = create(path, 0400, temporary);
    if (!file)
        return meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot write %s", path);
    return sync_close(file, fwrite(secret, 1, SECRET_LEN, file) == SECRET_LEN, path, temporary, err);
}

static meshping_status pin_of(uint8_t pin[MESHPING_PIN_LEN], EVP_PKEY *key)
{
    unsigned char *spki = NULL, digest[SHA256_DIGEST_LENGTH];
    int length = i2d_PUBKEY(key, &spki);
    bool good = length > 0 && SHA256(spki, (size_t)length, digest);
    OPENSSL_free(spki);
    if (good)
        memcpy(pin, digest, MESHPING_PIN_LEN);
    return good ? MESHPING_OK : MESHPING_CRYPTO;
}

static void sync_directory_of(const char *path)
{
    char directory[KEYS_PATH_MAX];
    snprintf(directory, sizeof directory, "%s", path);
    int fd = open(dirname(directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* Nothing when there is none. */
static meshping_status next_open(server_keys *keys, meshping_error *err)
{
    EVP_PKEY *key = NULL;
    memset(keys->pins.next, 0, sizeof keys->pins.next);
    if (access(keys->next_key_path, F_OK) != 0)
        return MESHPING_OK;
    meshping_status status = key_open(&key, keys->next_key_path, err);
    if (status == MESHPING_OK)
        status = pin_of(keys->pins.next, key);
    EVP_PKEY_free(key);
    return status;
}

meshping_status keys_next_make(server_keys *keys, meshping_error *err)
{
    EVP_PKEY *key = NULL;
    if (meshping_pins_have_next(&keys->pins))
        return meshping_error_set(err, MESHPING_STATE, "the server's key is being changed already");
    meshping_status status = key_open(&key, keys->next_key_path, err);
    EVP_PKEY_free(key);
    sync_directory_of(keys->next_key_path);
    return status == MESHPING_OK ? next_open(keys, err) : status;
}

/* Where the key is that the agents were told of. */
typedef enum next_place { NEXT_WAITS, NEXT_IN_PLACE, NEXT_NOWHERE } next_place;

static meshping_status find_next(next_place *place, const server_keys *keys, meshping_error *err)
{
    EVP_PKEY *key = NULL;
    uint8_t pin[MESHPING_PIN_LEN];
    *place = access(keys->next_key_path, F_OK) == 0 ? NEXT_WAITS : NEXT_NOWHERE;
    if (*place == NEXT_WAITS || access(keys->key_path, F_OK) != 0)
        return MESHPING_OK;
    meshping_status status = key_open(&key, keys->key_path, err);
    if (status == MESHPING_OK)
        status = pin_of(pin, key);
    if (status == MESHPING_OK && memcmp(pin, keys->pins.next, MESHPING_PIN_LEN) == 0)
        *place = NEXT_IN_PLACE;
    EVP_PKEY_free(key);
    return status;
}

meshping_status keys_next_check(const server_keys *keys, meshping_error *err)
{
    next_place place;
    meshping_status status = find_next(&place, keys, err);
    if (status == MESHPING_OK && place == NEXT_NOWHERE)
        status = meshping_error_set(err, MESHPING_STATE, "%s is gone: give the change up, and begin it anew",
                                    keys->next_key_path);
    return status;
}

meshping_status keys_next_drop(server_keys *keys, meshping_error *err)
{
    next_place place = NEXT_NOWHERE;
    meshping_status status = meshping_pins_have_next(&keys->pins) ? find_next(&place, keys, err) : MESHPING_OK;
    if (status == MESHPING_OK && place == NEXT_IN_PLACE)
        status = meshping_error_set(
            err, MESHPING_STATE,
            "the next key is in its place already, only its certificate is not in use: switch again");
    if (status != MESHPING_OK)
        return status;
    if (unlink(keys->next_key_path) != 0 && errno != ENOENT)
        return meshping_error_set_errno(err, MESHPING_IO, errno, "cannot remove %s", keys->next_key_path);
    sync_directory_of(keys->next_key_path);
    return next_open(keys, err);
}

meshping_status keys_next_take(server_keys *keys, const char *names, meshping_error *err)
{
    EVP_PKEY *key = NULL;
    uint8_t pin[MESHPING_PIN_LEN];
    /* it is not there when this was done before, and what comes after it failed */
    if (access(keys->next_key_path, F_OK) == 0 && rename(keys->next_key_path, keys->key_path) != 0)
        return meshping_error_set_errno(err, MESHPING_IO, errno, "cannot write %s", keys->key_path);
    sync_directory_of(keys->key_path);
    meshping_status status = key_open(&key, keys->key_path, err);
    if (status == MESHPING_OK)
        status = pin_of(pin, key);
    if (status == MESHPING_OK && memcmp(pin, keys->pins.next, MESHPING_PIN_LEN) != 0)
        status = meshping_error_set(err, MESHPING_STATE, "%s and %s are not the key that the agents were told of",
                                    keys->next_key_path, keys->key_path);
    if (status == MESHPING_OK)
        status = certificate_open(keys->certificate_path, key, names, err);
    EVP_PKEY_free(key);
    return status;
}

void keys_next_taken(server_keys *keys)
{
    memcpy(keys->pins.pin, keys->pins.next, MESHPING_PIN_LEN);
    memset(keys->pins.next, 0, MESHPING_PIN_LEN);
}

meshping_status keys_open(server_keys *out, const char *state_dir, const char *names, meshping_error *err)
{
    EVP_PKEY *key = NULL;
    snprintf(out->key_path, sizeof out->key_path, "%s/server.key", state_dir);
    snprintf(out->certificate_path, sizeof out->certificate_path, "%s/server.crt", state_dir);
    snprintf(out->next_key_path, sizeof out->next_key_path, "%s/server.next.key", state_dir);
    meshping_status status = key_open(&key, out->key_path, err);
    if (status == MESHPING_OK)
        status = certificate_open(out->certificate_path, key, names, err);
    if (status == MESHPING_OK)
        status = pin_of(out->pins.pin, key);
    if (status == MESHPING_OK)
        status = next_open(out, err);
    if (status == MESHPING_OK)
        status = secret_open(out->seal_key, state_dir, "seal.key", "open passphrases are then lost", err);
    if (status == MESHPING_OK)
        status = secret_open(out->ticket_key, state_dir, "ticket.key", "every agent then needs a passphrase", err);
    EVP_PKEY_free(key);
    return status;
}
