# core/kernels/*.vec.cpp, compiled for each instruction set with the flags that LibTorch's own kernels of that set have, so
# that <ATen/cpu/vec/vec.h> is the right one. No precompiled header: what it brings must not be compiled for AVX-512.

file(GLOB _vec_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/core/kernels/*.vec.cpp)

# genzoo_kernels(NAME flags...): a copy of all kernels in namespace kernels_NAME.
function(genzoo_kernels name)
  add_library(genzoo_kernels_${name} OBJECT ${_vec_sources})
  target_include_directories(genzoo_kernels_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(genzoo_kernels_${name} PRIVATE LibTorch::LibTorch)
  target_compile_definitions(genzoo_kernels_${name} PRIVATE GENZOO_KERNELS=kernels_${name})
  # Some releases of GCC find the deliberately undefined registers of their own AVX-512 intrinsics uninitialized.
  target_compile_options(genzoo_kernels_${name} PRIVATE ${ARGN} $<$<CONFIG:Release>:-O3>
                                                        $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
                                                        $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>)
  target_sources(genzoo_core PRIVATE $<TARGET_OBJECTS:genzoo_kernels_${name}>)
endfunction()

genzoo_kernels(plain -DCPU_CAPABILITY=DEFAULT -DCPU_CAPABILITY_DEFAULT)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  genzoo_kernels(avx2 -DCPU_CAPABILITY=AVX2 -DCPU_CAPABILITY_AVX2 -mavx2 -mfma -mf16c)
  genzoo_kernels(
    avx512
    -DCPU_CAPABILITY=AVX512
    -DCPU_CAPABILITY_AVX512
    -mavx512f
    -mavx512bw
    -mavx512vl
    -mavx512dq
    -mfma
    -mf16c)
  target_compile_definitions(genzoo_core PRIVATE GENZOO_X86_KERNELS)
  # Of products in bfloat16: called only where the processor has these instructions, too.
  set_source_files_properties(
    ${PROJECT_SOURCE_DIR}/core/kernels/blocks_16.vec.cpp ${PROJECT_SOURCE_DIR}/core/kernels/minimal_filtering_16.vec.cpp
    PROPERTIES COMPILE_OPTIONS $<$<STREQUAL:$<TARGET_PROPERTY:NAME>,genzoo_kernels_avx512>:-mavx512bf16>)
endif()
