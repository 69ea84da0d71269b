/* SPDX-License-Identifier: Apache-2.0 */
/* What this program is made of: its build, and each library with the version that runs and its licence. */
#include "common/hex.h"
#include "meshpingd/http.h"

#include <curl/curl.h>
#include <elf.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define BUILD_ID_TEXT_MAX 65

/* ---- the build's id, which the linker made of all that is in it ---- */

static bool take_note(char *text, const char *notes, size_t size)
{
    ElfW(Nhdr) note;
    for (size_t at = 0; at + sizeof note <= size;) {
        memcpy(&note, notes + at, sizeof note);
        size_t name = at + sizeof note, content = name + ((note.n_namesz + 3u) & ~3u);
        at = content + ((note.n_descsz + 3u) & ~3u);
        if (at > size)
            return false;
        if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || memcmp(notes + name, "GNU", 4) != 0)
            continue;
        size_t most = (BUILD_ID_TEXT_MAX - 1) / 2;
        hex_put(text, notes + content, note.n_descsz < most ? note.n_descsz : most);
        return true;
    }
    return false;
}

/* The program itself is the first. */
static int take_build_id(struct dl_phdr_info *info, size_t size, void *user)
{
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        const char *at = (const char *)info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_NOTE && take_note(user, at, header->p_memsz))
            break;
    }
    return 1;
}

/* ---- libraries ---- */

static void add_text(json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

static json_object *libraries(void)
{
    const struct {
        const char *name, *version, *licence, *url;
    } all[] = {
        {"curl", curl_version_info(CURLVERSION_NOW)->version, "curl", "https://curl.se/libcurl/"},
        {"GNU C library", gnu_get_libc_version(), "LGPL-2.1-or-later", "https://www.gnu.org/software/libc/"},
        {"inih", MESHPING_INIH_VERSION, "BSD-3-Clause", "https://github.com/benhoyt/inih"},
        {"json-c", json_c_version(), "MIT", "https://github.com/json-c/json-c"},
        {"libuv", uv_version_string(), "MIT", "https://libuv.org/"},
        {"libwebsockets", lws_get_library_version(), "MIT", "https://libwebsockets.org/"},
        {"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING), "Apache-2.0", "https://www.openssl.org/"},
        {"SQLite", meshping_store_engine_version(), "public domain", "https://www.sqlite.org/"},
        {"zlib", zlibVersion(), "Zlib", "https://zlib.net/"},
        {"Zstandard", ZSTD_versionString(), "BSD-3-Clause", "https://facebook.github.io/zstd/"},
    };
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        json_object *one = json_object_new_object();
        add_text(one, "name", all[i].name);
        add_text(one, "version", all[i].version);
        add_text(one, "licence", all[i].licence);
        add_text(one, "url", all[i].url);
        json_object_array_add(list, one);
    }
    return list;
}

void api_about(http_exchange *x)
{
    char build_id[BUILD_ID_TEXT_MAX] = "";
    json_object *json = json_object_new_object(), *build = json_object_new_object();
    dl_iterate_phdr(take_build_id, build_id);
    add_text(build, "id", build_id);
    add_text(build, "type", MESHPING_BUILD_TYPE);
    add_text(build, "compiler", MESHPING_COMPILER);
    add_text(build, "system", MESHPING_SYSTEM);
    add_text(json, "version", meshping_version());
    json_object_object_add(json, "build", build);
    add_text(json, "licence", "Apache-2.0");
    json_object_object_add(json, "schema_version", json_object_new_int64(meshping_store_schema_version()));
    json_object_object_add(json, "libraries", libraries());
    http_respond_json(x, 200, json);
}
