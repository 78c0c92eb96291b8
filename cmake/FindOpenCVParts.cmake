# FindOpenCVParts: OpenCV's core, imgproc and imgcodecs, by their files. Distributions put OpenCVConfig.cmake into the
# package of all of OpenCV with its hundreds of dependencies; the three parts come in three small ones.
#
# Result: target OpenCV::parts.

find_path(OpenCVParts_INCLUDE_DIR opencv2/imgcodecs.hpp PATH_SUFFIXES opencv4 opencv5)
set(_libraries)
set(_required OpenCVParts_INCLUDE_DIR)
foreach(_part IN ITEMS imgcodecs imgproc core)
  find_library(OpenCVParts_${_part} opencv_${_part})
  list(APPEND _libraries ${OpenCVParts_${_part}})
  list(APPEND _required OpenCVParts_${_part})
endforeach()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenCVParts REQUIRED_VARS ${_required} REASON_FAILURE_MESSAGE
                                                                          "run tools/setup (libopencv-imgcodecs-dev)")
if(OpenCVParts_FOUND AND NOT TARGET OpenCV::parts)
  add_library(OpenCV::parts INTERFACE IMPORTED)
  target_include_directories(OpenCV::parts SYSTEM INTERFACE ${OpenCVParts_INCLUDE_DIR})
  target_link_libraries(OpenCV::parts INTERFACE ${_libraries})
endif()
mark_as_advanced(${_required})
