# FindWebP: libwebp and its container library, which holds the animation encoder. Result: target WebP::mux.

find_path(WebP_INCLUDE_DIR webp/mux.h)
find_library(WebP_LIBRARY webp)
find_library(WebP_MUX_LIBRARY NAMES webpmux libwebpmux)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(WebP REQUIRED_VARS WebP_INCLUDE_DIR WebP_LIBRARY WebP_MUX_LIBRARY
                                  REASON_FAILURE_MESSAGE "run tools/setup (libwebp-dev)")
if(WebP_FOUND AND NOT TARGET WebP::mux)
  add_library(WebP::mux INTERFACE IMPORTED)
  target_include_directories(WebP::mux SYSTEM INTERFACE ${WebP_INCLUDE_DIR})
  target_link_libraries(WebP::mux INTERFACE ${WebP_MUX_LIBRARY} ${WebP_LIBRARY})
endif()
mark_as_advanced(WebP_INCLUDE_DIR WebP_LIBRARY WebP_MUX_LIBRARY)
