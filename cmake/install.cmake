# cmake --install: the program, libtstar.so and libtstar.a with the header, what pkg-config and find_package read,
# manual pages and completions of shells.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# ---- libraries ----
add_library(tstar_shared SHARED)
target_link_libraries(tstar_shared PRIVATE engine)
add_library(tstar_static STATIC $<TARGET_OBJECTS:engine>)
foreach(kind shared static)
  target_include_directories(tstar_${kind} INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(tstar_${kind} PROPERTIES OUTPUT_NAME tstar)
endforeach()
# Before 1.0 every minor version may change the interface.
set_target_properties(tstar_shared PROPERTIES EXPORT_NAME tstar VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
# Hidden as they are compiled, but for names that the compiler makes itself, those of OpenMP's critical sections.
list(JOIN TSTAR_SHOWN_NAMES "; " shown)
file(WRITE ${CMAKE_BINARY_DIR}/tstar.map "{ global: tstar_*; ${shown}; local: *; };\n")
target_link_options(tstar_shared PRIVATE -Wl,--version-script=${CMAKE_BINARY_DIR}/tstar.map)
add_library(tstar::tstar ALIAS tstar_shared)
add_library(tstar::tstar_static ALIAS tstar_static)

# What a program with the static library in it needs besides, for CMake and for pkg-config.
set(TSTAR_STATIC_LIBRARIES lapacke dnnl gomp m dl)
target_link_libraries(tstar_static INTERFACE
  $<INSTALL_INTERFACE:png>
  $<INSTALL_INTERFACE:jpeg>
  $<INSTALL_INTERFACE:zip>
  $<INSTALL_INTERFACE:z>
  $<INSTALL_INTERFACE:yaml>
  $<INSTALL_INTERFACE:jansson>
  $<INSTALL_INTERFACE:openblas>)
foreach(name ${TSTAR_STATIC_LIBRARIES})
  target_link_libraries(tstar_static INTERFACE $<INSTALL_INTERFACE:${name}>)
endforeach()
target_link_options(tstar_static INTERFACE ${TSTAR_SHOWN})

# ---- documents: made by the program from its table of options ----
set(documents ${CMAKE_BINARY_DIR}/documents)
add_custom_command(OUTPUT ${documents}/tstar.bash COMMAND tstar --documents ${documents} DEPENDS tstar
  COMMENT "Writing manual pages and completions")
add_custom_target(documents ALL DEPENDS ${documents}/tstar.bash)

# ---- what goes where ----
# The CUDA module is looked for beside the program, then where the library is.
file(RELATIVE_PATH to_libraries ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
set_target_properties(tstar PROPERTIES INSTALL_RPATH "$ORIGIN/${to_libraries}")
set_target_properties(tstar_shared PROPERTIES BUILD_RPATH "$ORIGIN" INSTALL_RPATH "$ORIGIN")

install(TARGETS tstar RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS tstar_shared tstar_static EXPORT tstar LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET tstar_cuda)
  install(TARGETS tstar_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(FILES include/tstar/tstar.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tstar)
install(DIRECTORY ${documents}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${documents}/tstar.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME tstar)
install(FILES ${documents}/_tstar DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)

set(packages ${CMAKE_INSTALL_LIBDIR}/cmake/tstar)
install(EXPORT tstar NAMESPACE tstar:: FILE tstar-targets.cmake DESTINATION ${packages})
file(WRITE ${CMAKE_BINARY_DIR}/tstar-config.cmake
  "include(\"\${CMAKE_CURRENT_LIST_DIR}/tstar-targets.cmake\")\n")
write_basic_package_version_file(${CMAKE_BINARY_DIR}/tstar-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/tstar-config.cmake ${CMAKE_BINARY_DIR}/tstar-config-version.cmake
  DESTINATION ${packages})

list(TRANSFORM TSTAR_STATIC_LIBRARIES PREPEND -l OUTPUT_VARIABLE static_libraries)
list(JOIN static_libraries " " static_libraries)
list(JOIN TSTAR_SHOWN " " static_options)
file(RELATIVE_PATH to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
configure_file(cmake/tstar.pc.in ${CMAKE_BINARY_DIR}/tstar.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/tstar.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
