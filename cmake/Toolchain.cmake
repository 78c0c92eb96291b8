# How this machine compiles and links fastest without running out of memory: ccache, a quick linker, bounded parallel jobs.

# ccache. The sloppiness is what it wants for precompiled headers.
find_program(GENZOO_CCACHE ccache)
mark_as_advanced(GENZOO_CCACHE)
if(GENZOO_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${GENZOO_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  endif()
endif()

# The linker: the first of these that the compiler can drive.
include(CheckLinkerFlag)
foreach(_linker IN ITEMS mold lld gold)
  check_linker_flag(CXX -fuse-ld=${_linker} GENZOO_LINKS_WITH_${_linker})
  if(GENZOO_LINKS_WITH_${_linker})
    add_link_options(-fuse-ld=${_linker})
    break()
  endif()
endforeach()

# A translation unit with torch.h takes over a gigabyte: about one job per 2 GB, counting a container's own limit.
cmake_host_system_information(RESULT _megabytes QUERY TOTAL_PHYSICAL_MEMORY)
foreach(_limit IN ITEMS /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes)
  if(EXISTS ${_limit})
    file(READ ${_limit} _bytes)
    string(STRIP "${_bytes}" _bytes)
    string(LENGTH "${_bytes}" _digits)
    if(_bytes MATCHES "^[0-9]+$" AND _digits LESS 16) # longer: "no limit" in the old hierarchy
      math(EXPR _cap "${_bytes} / 1048576")
      if(_cap LESS _megabytes)
        set(_megabytes ${_cap})
      endif()
    endif()
  endif()
endforeach()
include(ProcessorCount)
ProcessorCount(_cores)
math(EXPR _jobs "${_megabytes} / 2000")
if(_cores AND _cores LESS _jobs)
  set(_jobs ${_cores})
endif()
if(_jobs LESS 1)
  set(_jobs 1)
endif()
set(GENZOO_COMPILE_JOBS ${_jobs} CACHE STRING "translation units compiled at the same time (Ninja)")
set_property(GLOBAL PROPERTY JOB_POOLS compile=${GENZOO_COMPILE_JOBS} link=1)
set(CMAKE_JOB_POOL_COMPILE compile)
set(CMAKE_JOB_POOL_PRECOMPILE_HEADER compile)
set(CMAKE_JOB_POOL_LINK link)
