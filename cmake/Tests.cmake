# One test binary, and one CTest test for each room, chosen by tag: starting a process with LibTorch costs half a second, so
# not one for each case.

find_package(Catch2 REQUIRED) # 2.13 or 3
file(GLOB_RECURSE _tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/*_test.cpp)
if(NOT _tests)
  return()
endif()
if(NOT TARGET Catch2::Catch2WithMain) # 2.13 of some distributions is headers only
  file(CONFIGURE OUTPUT ${_generated}/catch_main.cpp CONTENT "#define CATCH_CONFIG_MAIN\n#include <catch2/catch.hpp>\n")
  add_library(genzoo_catch_main STATIC ${_generated}/catch_main.cpp)
  target_link_libraries(genzoo_catch_main PUBLIC Catch2::Catch2)
  add_library(Catch2::Catch2WithMain ALIAS genzoo_catch_main)
endif()

add_executable(genzoo_tests ${_tests})
target_link_libraries(genzoo_tests PRIVATE genzoo_evaluation Catch2::Catch2WithMain)
target_precompile_headers(genzoo_tests PRIVATE ${PROJECT_SOURCE_DIR}/tests/support.h <nlohmann/json.hpp>)
# What is tested is optimized; the tests themselves compile in two thirds of the time when they are not.
target_compile_options(genzoo_tests PRIVATE -O0)
# GENZOO_PROGRAM is where the program of this build is, for the tests that run it as a user would.
target_compile_definitions(genzoo_tests PRIVATE GENZOO_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                                GENZOO_PROGRAM="${PROJECT_BINARY_DIR}/genzoo")

set(_rooms core data models trainers evaluation tools)
set(_untagged)
foreach(_room IN LISTS _rooms)
  string(APPEND _untagged "~[${_room}]")
  file(GLOB_RECURSE _tests_of_room CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${_room}/*_test.cpp)
  if(_tests_of_room)
    # Tests leave what they write in a folder of their own.
    set(_scratch ${PROJECT_BINARY_DIR}/test-scratch/${_room})
    file(MAKE_DIRECTORY ${_scratch})
    add_test(NAME ${_room} COMMAND genzoo_tests --warn NoAssertions "[${_room}]" WORKING_DIRECTORY ${_scratch})
    set_tests_properties(${_room} PROPERTIES ENVIRONMENT OMP_NUM_THREADS=2 TIMEOUT 900)
  endif()
endforeach()
# A case without the tag of a room would never run.
add_test(NAME every_test_has_a_room COMMAND genzoo_tests --list-tests "${_untagged}")
set_tests_properties(every_test_has_a_room PROPERTIES PASS_REGULAR_EXPRESSION "(^|[^0-9])0 (matching )?test cases")
