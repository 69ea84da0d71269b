# SPDX-License-Identifier: Apache-2.0
# cmake -D DIST=folder-with-manifest.json|"" -D OUT=file.c -P embed_ui.cmake
# Writes the table of meshpingd/ui_assets.h; the bodies come in by .incbin, so no compiler has to parse them.
set(blobs "")
set(rows "")
set(count 0)
if(DIST)
  file(READ ${DIST}/manifest.json manifest)
  string(JSON count LENGTH "${manifest}" files)
  math(EXPR last "${count} - 1")
  foreach(i RANGE ${last})
    string(JSON path GET "${manifest}" files ${i} path)
    string(JSON type GET "${manifest}" files ${i} content_type)
    string(JSON gzip GET "${manifest}" files ${i} gzip)
    string(JSON immutable GET "${manifest}" files ${i} immutable)
    if(immutable)
      set(immutable true)
    else()
      set(immutable false)
    endif()
    file(SIZE ${DIST}/${gzip} size)
    file(SHA256 ${DIST}/${gzip} hash)
    string(SUBSTRING ${hash} 0 20 hash)
    string(APPEND blobs "extern const unsigned char ui_blob_${i}[];\n"
      "__asm__(\".pushsection .rodata\\n.balign 16\\n.globl ui_blob_${i}\\n.hidden ui_blob_${i}\\nui_blob_${i}:\\n\"\n"
      "        \".incbin \\\"${DIST}/${gzip}\\\"\\n.popsection\\n\");\n")
    string(APPEND rows "    {\"${path}\", \"${type}\", ui_blob_${i}, ${size}u, \"\\\"${hash}\\\"\", ${immutable}},\n")
  endforeach()
endif()
if(count EQUAL 0)
  set(rows "    {0, 0, 0, 0, 0, false}, /* C has no empty array; the count says 0 */\n")
endif()
file(WRITE ${OUT} "/* Made by cmake/embed_ui.cmake; do not edit. */\n#include \"meshpingd/ui_assets.h\"\n\n${blobs}\n"
  "const struct ui_asset ui_assets[] = {\n${rows}};\nconst unsigned ui_asset_count = ${count};\n")
