# SPDX-License-Identifier: Apache-2.0
# The page, bundled and gzipped, as a library of one C file: meshpingd/ui_assets.h says how it looks.
#   MESHPING_UI=BUILD     npm ci and esbuild, in the build tree; again only when something of it changed
#   MESHPING_UI=PREBUILT  meshpingd/ui/dist as it is there (made elsewhere with: npm ci && npm run build)
#   MESHPING_UI=OFF       an empty table; the server says so in plain text
set(ui_source ${PROJECT_SOURCE_DIR}/meshpingd/ui)
set(ui_build ${PROJECT_BINARY_DIR}/meshpingd/ui)
set(ui_c ${ui_build}/ui_assets.c)
set(ui_embed ${PROJECT_SOURCE_DIR}/cmake/embed_ui.cmake)
file(MAKE_DIRECTORY ${ui_build})

if(MESHPING_UI STREQUAL "BUILD")
  find_program(NODE_EXECUTABLE NAMES node nodejs)
  find_program(NPM_EXECUTABLE npm)
  if(NOT NODE_EXECUTABLE OR NOT NPM_EXECUTABLE)
    message(FATAL_ERROR "The page needs node (18 or newer) and npm. Install them (apt install nodejs npm), or configure with "
                        "-DMESHPING_UI=PREBUILT (bundle in meshpingd/ui/dist) or -DMESHPING_UI=OFF (no page).")
  endif()
  set(ui_stamp ${ui_build}/node_modules/.installed)
  add_custom_command(
    OUTPUT ${ui_stamp}
    COMMAND ${CMAKE_COMMAND} -E copy ${ui_source}/package.json ${ui_source}/package-lock.json ${ui_source}/tsconfig.json ${ui_build}
    COMMAND ${CMAKE_COMMAND} -E chdir ${ui_build} ${NPM_EXECUTABLE} ci --no-audit --no-fund --loglevel=error
    COMMAND ${CMAKE_COMMAND} -E touch ${ui_stamp}
    DEPENDS ${ui_source}/package.json ${ui_source}/package-lock.json ${ui_source}/tsconfig.json
    COMMENT "The page: npm ci" VERBATIM)
  file(GLOB_RECURSE ui_sources CONFIGURE_DEPENDS ${ui_source}/src/*)
  set(ui_dist ${ui_build}/dist)
  set(ui_manifest ${ui_dist}/manifest.json)
  add_custom_command(
    OUTPUT ${ui_manifest}
    COMMAND ${NODE_EXECUTABLE} ${ui_source}/build.mjs --modules ${ui_build}/node_modules --out ${ui_dist}
    DEPENDS ${ui_stamp} ${ui_sources} ${ui_source}/build.mjs
    COMMENT "The page: bundle" VERBATIM)
elseif(MESHPING_UI STREQUAL "PREBUILT")
  set(ui_dist ${ui_source}/dist)
  set(ui_manifest ${ui_dist}/manifest.json)
  if(NOT EXISTS ${ui_manifest})
    message(FATAL_ERROR "MESHPING_UI=PREBUILT, but there is no ${ui_manifest}. Make it with: cd meshpingd/ui && npm ci && npm run build")
  endif()
elseif(MESHPING_UI STREQUAL "OFF")
  set(ui_dist "")
  set(ui_manifest "")
else()
  message(FATAL_ERROR "MESHPING_UI is '${MESHPING_UI}'; it must be BUILD, PREBUILT or OFF")
endif()

add_custom_command(
  OUTPUT ${ui_c}
  COMMAND ${CMAKE_COMMAND} -D DIST=${ui_dist} -D OUT=${ui_c} -P ${ui_embed}
  DEPENDS ${ui_manifest} ${ui_embed}
  COMMENT "The page: embed" VERBATIM)
add_library(meshpingd_ui STATIC ${ui_c})
target_include_directories(meshpingd_ui PUBLIC ${PROJECT_SOURCE_DIR})

if(MESHPING_UI STREQUAL "BUILD" AND BUILD_TESTING)
  add_test(NAME unit/ui_types COMMAND ${NODE_EXECUTABLE} ${ui_source}/build.mjs --modules ${ui_build}/node_modules --check)
  add_test(NAME unit/ui COMMAND ${NODE_EXECUTABLE} ${ui_source}/build.mjs --modules ${ui_build}/node_modules --test ${ui_build}/test)
  set_tests_properties(unit/ui_types unit/ui PROPERTIES LABELS unit TIMEOUT 120)
endif()
