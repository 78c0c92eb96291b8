# FindLibTorch: imports LibTorch 2.6 or newer from a pip wheel, an unpacked archive or a distribution package.
#
# TorchConfig.cmake is not used: with the CUDA wheel it asks for nvcc and a CUDA language dialect that older CMakes do
# not know, neither of which a program without kernels of its own needs.
#
# Order of search:
#   1. LIBTORCH_ROOT (cache), the environment's LIBTORCH, the entries of CMAKE_PREFIX_PATH
#      (then the one that this build folder was configured with before, so that it does not change under the build)
#   2. the torch package of the active Python (found, not imported: that is fast and works without its dependencies)
#   3. the distribution's libtorch-dev
#   4. .venv/ in the source tree, made by tools/setup
# One named by the user (1) must work; the others are passed over when they are older than 2.6.
#
# Result: target LibTorch::LibTorch, LibTorch_VERSION, LibTorch_LIBRARY_DIRS (for the run path), LibTorch_HAS_CUDA.
# Option: GENZOO_CUDA.

set(LibTorch_MINIMUM 2.6)

# Sets in the caller's scope LIBTORCH_CANDIDATE_{INCLUDE,LIB,VERSION} for the LibTorch below `root`; false values when
# there is none.
function(_libtorch_probe root)
  set(include)
  set(lib)
  set(version)
  # CMAKE_PREFIX_PATH is given as .../torch or, as torch.utils.cmake_prefix_path prints it, as .../torch/share/cmake.
  foreach(base IN ITEMS ${root} ${root}/torch ${root}/libtorch ${root}/../..)
    get_filename_component(base "${base}" ABSOLUTE)
    if(EXISTS ${base}/include/torch/csrc/api/include/torch/torch.h)
      foreach(folder IN ITEMS lib lib/${CMAKE_LIBRARY_ARCHITECTURE} lib64)
        if(EXISTS ${base}/${folder}/libtorch_cpu.so)
          set(include ${base}/include)
          set(lib ${base}/${folder})
          break()
        endif()
      endforeach()
    endif()
    if(lib)
      break()
    endif()
  endforeach()
  if(lib)
    # The numbers moved from torch/version.h to torch/headeronly/version.h in 2.9.
    foreach(header IN ITEMS torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
      if(EXISTS ${include}/${header} AND NOT version)
        file(STRINGS ${include}/${header} lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
        string(REGEX REPLACE "[^0-9;]" "" numbers "${lines}")
        list(JOIN numbers "." version)
      endif()
    endforeach()
  endif()
  set(LIBTORCH_CANDIDATE_INCLUDE "${include}" PARENT_SCOPE)
  set(LIBTORCH_CANDIDATE_LIB "${lib}" PARENT_SCOPE)
  set(LIBTORCH_CANDIDATE_VERSION "${version}" PARENT_SCOPE)
endfunction()

# The folder of the active Python's torch package, empty if it has none.
function(_libtorch_of_python python result)
  set(folder)
  if(python)
    # The working directory is taken off the path: a folder there that happens to be called torch is no package.
    execute_process(
      COMMAND
        ${python} -c
        "import sys; sys.path = [p for p in sys.path if p]
from importlib.util import find_spec
spec = find_spec('torch')
print(spec.submodule_search_locations[0] if spec and spec.origin else '')"
      OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

set(LIBTORCH_ROOT "" CACHE PATH "folder of LibTorch (the one with include/ and lib/); empty: search")
set(_given ${LIBTORCH_ROOT} $ENV{LIBTORCH} ${CMAKE_PREFIX_PATH})
string(REPLACE ":" ";" _prefixes "$ENV{CMAKE_PREFIX_PATH}")
list(APPEND _given ${_prefixes})
# The active Python is the first on PATH; an activated environment puts itself there.
find_program(_libtorch_python NAMES python3 python NO_CACHE)
_libtorch_of_python("${_libtorch_python}" _python_torch)
file(GLOB _private ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)

set(LibTorch_VERSION)
set(LibTorch_INCLUDE_DIR)
set(LibTorch_LIBRARY_DIR)
foreach(_candidate IN LISTS _given GENZOO_LIBTORCH_REMEMBERED _python_torch ITEMS /usr/local /usr ${_private})
  _libtorch_probe(${_candidate})
  if(LIBTORCH_CANDIDATE_LIB)
    if(LIBTORCH_CANDIDATE_VERSION VERSION_GREATER_EQUAL LibTorch_MINIMUM)
      set(LibTorch_VERSION ${LIBTORCH_CANDIDATE_VERSION})
      set(LibTorch_INCLUDE_DIR ${LIBTORCH_CANDIDATE_INCLUDE})
      set(LibTorch_LIBRARY_DIR ${LIBTORCH_CANDIDATE_LIB})
      set(GENZOO_LIBTORCH_REMEMBERED ${_candidate} CACHE INTERNAL "where LibTorch was found")
      break()
    elseif(_candidate IN_LIST _given)
      message(FATAL_ERROR "LibTorch ${LIBTORCH_CANDIDATE_VERSION} in ${_candidate} is too old; genzoo needs "
                          "${LibTorch_MINIMUM} or newer. Name another by -DLIBTORCH_ROOT=..., or none and run tools/setup.")
    else()
      message(STATUS "LibTorch ${LIBTORCH_CANDIDATE_VERSION} in ${_candidate} passed over: older than ${LibTorch_MINIMUM}")
    endif()
  elseif(LIBTORCH_ROOT AND _candidate STREQUAL LIBTORCH_ROOT OR "${_candidate}" STREQUAL "$ENV{LIBTORCH}")
    message(FATAL_ERROR "no LibTorch in ${_candidate}: include/torch/csrc/api/include/torch/torch.h or "
                        "lib/libtorch_cpu.so is missing. Name the folder that holds include/ and lib/.")
  endif()
endforeach()

# CUDA: the library alone is not enough. Its headers and runtime come with the wheel's nvidia-* packages or a toolkit; a
# wheel installed for the CPU only has libtorch_cuda.so but not what that needs.
set(LibTorch_HAS_CUDA FALSE)
set(_cuda_includes)
set(_cuda_runtime)
if(EXISTS "${LibTorch_LIBRARY_DIR}/libtorch_cuda.so")
  set(LibTorch_HAS_CUDA TRUE)
  get_filename_component(_packages "${LibTorch_LIBRARY_DIR}/../../nvidia" ABSOLUTE)
  file(GLOB _cuda_includes ${_packages}/*/include ${_packages}/*/include/cccl)
  file(GLOB _cuda_runtime ${_packages}/*/lib/libcudart.so.*)
  file(GLOB _cublas ${_packages}/*/lib/libcublas.so.*)
  if(NOT _cublas)
    find_path(LibTorch_TOOLKIT_INCLUDE cuda_runtime_api.h HINTS $ENV{CUDA_HOME}/include /usr/local/cuda/include)
    find_library(LibTorch_TOOLKIT_CUDART cudart HINTS $ENV{CUDA_HOME}/lib64 /usr/local/cuda/lib64)
    find_library(_cublas cublas HINTS $ENV{CUDA_HOME}/lib64 /usr/local/cuda/lib64 NO_CACHE)
    if(LibTorch_TOOLKIT_INCLUDE AND LibTorch_TOOLKIT_CUDART)
      set(_cuda_includes ${LibTorch_TOOLKIT_INCLUDE})
      set(_cuda_runtime ${LibTorch_TOOLKIT_CUDART})
      if(EXISTS ${LibTorch_TOOLKIT_INCLUDE}/cccl)
        list(APPEND _cuda_includes ${LibTorch_TOOLKIT_INCLUDE}/cccl)
      endif()
    endif()
    mark_as_advanced(LibTorch_TOOLKIT_INCLUDE LibTorch_TOOLKIT_CUDART)
  endif()
endif()
set(_cuda_default OFF)
if(LibTorch_HAS_CUDA AND _cublas AND _cuda_runtime AND (EXISTS /dev/nvidiactl OR EXISTS /dev/dxg)) # dxg: WSL2
  set(_cuda_default ON)
endif()
option(GENZOO_CUDA "use LibTorch's CUDA half" ${_cuda_default})

include(FindPackageHandleStandardArgs)
set(_required LibTorch_LIBRARY_DIR LibTorch_INCLUDE_DIR)
if(GENZOO_CUDA)
  list(APPEND _required LibTorch_HAS_CUDA _cuda_runtime)
endif()
find_package_handle_standard_args(
  LibTorch
  REQUIRED_VARS ${_required}
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE
    "run tools/setup, which installs one into .venv/, or name yours by -DLIBTORCH_ROOT=... (GENZOO_CUDA=${GENZOO_CUDA})")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  set(LibTorch_LIBRARY_DIRS ${LibTorch_LIBRARY_DIR})
  set(_libraries ${LibTorch_LIBRARY_DIR}/libtorch_cpu.so)
  if(GENZOO_CUDA)
    list(APPEND _libraries ${LibTorch_LIBRARY_DIR}/libtorch_cuda.so ${LibTorch_LIBRARY_DIR}/libc10_cuda.so)
    foreach(_runtime IN LISTS _cuda_runtime)
      get_filename_component(_folder ${_runtime} DIRECTORY)
      list(APPEND LibTorch_LIBRARY_DIRS ${_folder})
    endforeach()
    list(APPEND _libraries ${_cuda_runtime})
  endif()
  list(APPEND _libraries ${LibTorch_LIBRARY_DIR}/libc10.so)
  # The wheel brings its own OpenMP runtime. Linking that very file keeps one thread pool; two would fight.
  file(GLOB _openmp ${LibTorch_LIBRARY_DIR}/libgomp*.so*)
  list(APPEND _libraries ${_openmp})

  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE ${LibTorch_INCLUDE_DIR}
                                                                 ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include)
  target_compile_definitions(LibTorch::LibTorch INTERFACE USE_DISTRIBUTED)
  target_compile_features(LibTorch::LibTorch INTERFACE cxx_std_20)
  # Without OpenMP at::parallel_for, an inline function, would silently run on one thread.
  target_compile_options(LibTorch::LibTorch INTERFACE -fopenmp)
  # Operators and the CUDA backend register themselves in static initialisers: the linker must not drop a library because
  # no symbol of it is named.
  target_link_options(LibTorch::LibTorch INTERFACE LINKER:--no-as-needed)
  target_link_libraries(LibTorch::LibTorch INTERFACE ${_libraries})
  if(GENZOO_CUDA)
    target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE ${_cuda_includes})
    target_compile_definitions(LibTorch::LibTorch INTERFACE GENZOO_CUDA=1)
  endif()
endif()
