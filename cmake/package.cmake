# SPDX-License-Identifier: Apache-2.0
# Install rules, by component, and the Debian packages made of them (scripts/build --deb).
#   server  meshpingd        agent  meshping-agent        lib  libmeshping0
#   dev     libmeshping-dev  python python3-meshping (its rules: bindings/python)
set(sysconf ${CMAKE_INSTALL_FULL_SYSCONFDIR}/meshping)

install(PROGRAMS packaging/agent/meshping-agent-join DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT agent)
install(TARGETS meshping_shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT lib NAMELINK_COMPONENT dev)
install(TARGETS meshping_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
install(DIRECTORY libmeshping/include/meshping DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev
        FILES_MATCHING PATTERN "*.h")

# The .pc file finds its prefix from where it lies: right in /usr, and in any --prefix given to `cmake --install`.
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(pkgconfig/libmeshping.pc.in libmeshping.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/libmeshping.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

# Units name the paths of this installation; configuration files come from the daemons' own tables of keys.
set(bindir ${CMAKE_INSTALL_FULL_BINDIR})
function(install_daemon part daemon)
  cmake_parse_arguments(arg "" "" "CONF;SAMPLE" ${ARGN})
  set(unit ${CMAKE_BINARY_DIR}/packaging/${daemon}.service)
  set(conf ${CMAKE_BINARY_DIR}/packaging/${daemon}.conf)
  configure_file(packaging/${part}/${daemon}.service.in ${unit} @ONLY)
  add_custom_command(
    OUTPUT ${conf}
    COMMAND ${CMAKE_SOURCE_DIR}/packaging/sample_conf.sh ${conf} ${daemon} ${arg_CONF} -- ${arg_SAMPLE}
    DEPENDS ${daemon} packaging/sample_conf.sh VERBATIM)
  add_custom_target(${daemon}_conf ALL DEPENDS ${conf})
  install(TARGETS ${daemon} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${part})
  install(FILES ${unit} DESTINATION lib/systemd/system COMPONENT ${part})
  install(FILES ${conf} DESTINATION ${sysconf} COMPONENT ${part})
endfunction()
install_daemon(server meshpingd SAMPLE $<TARGET_FILE:meshpingd> --sample-config)
install_daemon(agent meshping-agent CONF passphrase_file=${sysconf}/passphrase
               SAMPLE $<TARGET_FILE:meshping-agent> run --sample-config)
foreach(pair server:meshpingd agent:meshping-agent lib:libmeshping0 dev:libmeshping-dev python:python3-meshping)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 part)
  list(GET pair 1 package)
  if(MESHPING_PYTHON OR NOT part STREQUAL python)
    list(APPEND CPACK_COMPONENTS_ALL ${part})
    install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${part} RENAME copyright)
  endif()
  string(TOUPPER ${part} PART)
  set(CPACK_DEBIAN_${PART}_PACKAGE_NAME ${package})
  set(CPACK_DEBIAN_${PART}_PACKAGE_SHLIBDEPS ON)
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_SET_DESTDIR ON) # /etc is outside the prefix
set(CPACK_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_NAME meshping)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "Meshping developers <meshping@localhost>")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/lib)
set(version "${PROJECT_VERSION}-1")

# libwebsockets loads its libuv support with dlopen, which dpkg-shlibdeps cannot see.
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "adduser, libwebsockets-evlib-uv")
set(CPACK_DEBIAN_AGENT_PACKAGE_DEPENDS "adduser, libwebsockets-evlib-uv")
set(CPACK_DEBIAN_LIB_PACKAGE_DEPENDS "libwebsockets-evlib-uv")
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libmeshping0 (= ${version})")
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "libmeshping0 (= ${version}), python3 (>= 3.11), python3 (<< 3.12)")
set(CPACK_DEBIAN_LIB_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)

set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "mesh network monitor")
set(CPACK_COMPONENT_SERVER_DESCRIPTION "The server of Meshping takes in what the agents of meshping-agent measure,
keeps it in SQLite, and shows it as a live matrix of agents and targets in
the browser.")
set(CPACK_COMPONENT_AGENT_DESCRIPTION "The agent of Meshping pings every target of its server's list every few
seconds and reports what it saw. It joins a server with meshping-agent-join
and a passphrase from the server's page; its command ping needs no server.")
set(CPACK_COMPONENT_LIB_DESCRIPTION "The library of Meshping: probe engine, sample blocks, buffer, protocol,
session and store, without a loop of its own.")
set(CPACK_COMPONENT_DEV_DESCRIPTION "Headers, static library and pkg-config file of Meshping's library.")
set(CPACK_COMPONENT_PYTHON_DESCRIPTION "Python bindings of Meshping's library: ping, read a store, encode and decode
messages and sample blocks.")

set(scripts ${CMAKE_SOURCE_DIR}/packaging)
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA
    "${scripts}/server/postinst;${scripts}/server/prerm;${scripts}/server/postrm;${scripts}/server/conffiles")
set(CPACK_DEBIAN_AGENT_PACKAGE_CONTROL_EXTRA
    "${scripts}/agent/postinst;${scripts}/agent/prerm;${scripts}/agent/postrm;${scripts}/agent/conffiles")
set(CPACK_DEBIAN_LIB_PACKAGE_CONTROL_EXTRA "${scripts}/lib/triggers")
include(CPack)
