/* SPDX-License-Identifier: Apache-2.0 */
/* The browser's side as it is carried inside the daemon: each file gzipped once, at build time. cmake/ui.cmake makes
 * the table. */
#ifndef MESHPINGD_UI_ASSETS_H
#define MESHPINGD_UI_ASSETS_H

#include <stdbool.h>

struct ui_asset {
    const char *path;          /* of the URL, with its slash: "/assets/app-1A2B.js"; the page itself is "/" */
    const char *content_type;  /* for the header, charset included */
    const unsigned char *gzip; /* the body as it goes out, with Content-Encoding: gzip */
    unsigned gzip_length;
    const char *etag; /* for the header, quotes included */
    bool immutable;   /* the name carries a hash of the content: may be cached for ever; else no-cache and the ETag */
};

/* Sorted by path (strcmp). Empty in a build without the page (MESHPING_UI=OFF). */
extern const struct ui_asset ui_assets[];
extern const unsigned ui_asset_count;

#endif
