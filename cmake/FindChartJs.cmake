# FindChartJs: the one-file build of Chart.js 3 or newer, which reports draw their curves with. Result: ChartJs_FILE,
# ChartJs_VERSION. One that is not the distribution's: -DChartJs_FILE=/path/to/chart.min.js.

find_file(ChartJs_FILE chart.min.js PATH_SUFFIXES share/javascript/chart.js share/nodejs/chart.js/dist
          DOC "Chart.js, one file for <script>")
if(ChartJs_FILE AND EXISTS "${ChartJs_FILE}")
  file(READ ${ChartJs_FILE} _chartjs_head LIMIT 400)
  if(_chartjs_head MATCHES "Chart\\.js v([0-9.]+)")
    set(ChartJs_VERSION ${CMAKE_MATCH_1})
  endif()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ChartJs REQUIRED_VARS ChartJs_FILE ChartJs_VERSION VERSION_VAR ChartJs_VERSION
                                          REASON_FAILURE_MESSAGE "run tools/setup (libjs-chart.js)")
mark_as_advanced(ChartJs_FILE)
