/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page's files, kept gzipped in the program. They are the same for everybody and hold no data, so they need no
 * session. libwebsockets' own file serving is not used: it has no compressed files.
 */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#if __has_include("meshpingd/ui_assets.h")
#include "meshpingd/ui_assets.h"
#define HAVE_UI 1
#else
#define HAVE_UI 0
#endif

#define INFLATED_MAX (16u << 20) /* a file of the bundle, unpacked */

#if HAVE_UI
static const struct ui_asset *find(const char *path)
{
    for (unsigned i = 0; i < ui_asset_count; i++)
        if (strcmp(ui_assets[i].path, path) == 0)
            return &ui_assets[i];
    return NULL;
}

/* For the rare client without gzip. NULL: out of memory, or damaged. */
static char *unpack(const struct ui_asset *asset, size_t *length)
{
    z_stream stream = {0};
    size_t capacity = (size_t)asset->gzip_length * 4 + 1024;
    char *out = NULL;
    int result = Z_BUF_ERROR;
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return NULL;
    stream.next_in = (Bytef *)(uintptr_t)asset->gzip;
    stream.avail_in = asset->gzip_length;
    while (capacity <= INFLATED_MAX) {
        char *more = realloc(out, capacity);
        if (!more)
            break;
        out = more;
        stream.next_out = (Bytef *)out + stream.total_out;
        stream.avail_out = (uInt)(capacity - stream.total_out);
        result = inflate(&stream, Z_FINISH);
        if (result != Z_BUF_ERROR || stream.avail_out != 0)
            break;
        capacity *= 2;
    }
    *length = stream.total_out;
    inflateEnd(&stream);
    if (result != Z_STREAM_END) {
        free(out);
        return NULL;
    }
    return out;
}

static void respond_asset(http_exchange *x, const struct ui_asset *asset)
{
    http_cache(x, asset->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    http_header(x, "ETag", "%s", asset->etag);
    http_header(x, "Vary", "Accept-Encoding");
    if (http_etag_listed(x->if_none_match, asset->etag, false) == HTTP_ETAG_LISTED) {
        http_respond_empty(x, 304);
        return;
    }
    if (x->accepts_gzip) {
        http_header(x, "Content-Encoding", "gzip");
        http_respond_borrowed(x, 200, asset->content_type, (const char *)asset->gzip, asset->gzip_length);
        return;
    }
    size_t length = 0;
    char *plain = unpack(asset, &length);
    if (plain)
        http_respond(x, 200, asset->content_type, plain, length);
    else
        http_respond_problem(x, 406, "this file is served with Content-Encoding: gzip only");
}

bool page_asset(http_exchange *x)
{
    const struct ui_asset *asset = find(x->path);
    if (asset)
        respond_asset(x, asset);
    return asset != NULL;
}

void page_get(http_exchange *x)
{
    const struct ui_asset *asset = find("/");
    if (asset)
        respond_asset(x, asset);
    else
        http_respond_problem(x, 404, "this server was built without its pages (MESHPING_UI=OFF); the API is there");
}
#else
bool page_asset(http_exchange *x)
{
    (void)x;
    return false;
}

void page_get(http_exchange *x)
{
    http_respond_problem(x, 404, "this server was built without its pages (MESHPING_UI=OFF); the API is there");
}
#endif
