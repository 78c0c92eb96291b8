# Compiles, links and runs a few lines against LibTorch::LibTorch, so that a LibTorch of another C++ ABI, or one whose own
# libraries are missing, is refused here with advice and not by a page of undefined references at the end of the build.

function(genzoo_check_libtorch)
  set(key "${LibTorch_LIBRARY_DIR} ${LibTorch_VERSION} ${GENZOO_CUDA} ${CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER_VERSION}")
  if("${GENZOO_LIBTORCH_CHECKED}" STREQUAL "${key}")
    return()
  endif()
  set(run_path ${LibTorch_LIBRARY_DIRS})
  list(TRANSFORM run_path PREPEND "-Wl,-rpath,")
  set(try_cuda)
  if(GENZOO_CUDA)
    set(try_cuda -DGENZOO_CUDA=1)
  endif()
  unset(_libtorch_runs CACHE)
  try_run(
    _libtorch_runs _libtorch_links ${PROJECT_BINARY_DIR}/libtorch_check ${PROJECT_SOURCE_DIR}/cmake/libtorch_check.cpp
    CMAKE_FLAGS "-DCMAKE_CXX_STANDARD=20"
    LINK_OPTIONS ${run_path}
    LINK_LIBRARIES LibTorch::LibTorch
    COMPILE_OUTPUT_VARIABLE build_output
    RUN_OUTPUT_VARIABLE run_output)
  set(links ${_libtorch_links})
  set(runs "${_libtorch_runs}")
  unset(_libtorch_runs CACHE)
  unset(_libtorch_links CACHE)
  set(advice "Use another LibTorch: run tools/setup without LIBTORCH set and without a torch in the active Python (it "
             "installs one into .venv/), or name one by -DLIBTORCH_ROOT=... after removing ${PROJECT_BINARY_DIR}.")
  string(CONCAT advice ${advice})
  if(GENZOO_CUDA)
    string(APPEND advice " A wheel installed for the CPU lacks what its CUDA half needs: GENZOO_CUDA=ON tools/setup, or "
                         "-DGENZOO_CUDA=OFF here.")
  endif()
  if(NOT links)
    if(build_output MATCHES "undefined (reference|symbol)[^\n]*(basic_string|std::string|cxx11)")
      message(FATAL_ERROR "LibTorch ${LibTorch_VERSION} in ${LibTorch_LIBRARY_DIR} was built with another C++ ABI (that of "
                          "std::string before C++11) than this compiler and this system's libraries. ${advice}")
    endif()
    message(FATAL_ERROR "LibTorch ${LibTorch_VERSION} in ${LibTorch_LIBRARY_DIR} does not compile or link here. "
                        "${advice}\nThe compiler said:\n${build_output}")
  endif()
  if(NOT runs EQUAL 0)
    message(FATAL_ERROR "LibTorch ${LibTorch_VERSION} in ${LibTorch_LIBRARY_DIR} links but does not run (${runs}): a library "
                        "it needs may be missing. ${advice}\nIt said:\n${run_output}")
  endif()
  set(GENZOO_LIBTORCH_CHECKED "${key}" CACHE INTERNAL "the LibTorch that passed the link test")
endfunction()
