# FindPCRE2: Perl-compatible regular expressions on bytes. Result: target PCRE2::pcre2-8.

find_path(PCRE2_INCLUDE_DIR pcre2.h)
find_library(PCRE2_LIBRARY pcre2-8)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(PCRE2 REQUIRED_VARS PCRE2_INCLUDE_DIR PCRE2_LIBRARY REASON_FAILURE_MESSAGE
                                                                                      "run tools/setup (libpcre2-dev)")
if(PCRE2_FOUND AND NOT TARGET PCRE2::pcre2-8)
  add_library(PCRE2::pcre2-8 INTERFACE IMPORTED)
  target_include_directories(PCRE2::pcre2-8 SYSTEM INTERFACE ${PCRE2_INCLUDE_DIR})
  target_link_libraries(PCRE2::pcre2-8 INTERFACE ${PCRE2_LIBRARY})
endif()
mark_as_advanced(PCRE2_INCLUDE_DIR PCRE2_LIBRARY)
