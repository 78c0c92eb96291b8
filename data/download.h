#pragma once
// One file over HTTP. The only place that knows libcurl.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace genzoo {

/// How a download ended.
enum class Download {
  complete,     ///< everything the server had to send has come
  interrupted,  ///< the connection broke after some bytes came: going on may help
  refused,      ///< the server could not be reached or said no
  no_resume,    ///< the server cannot go on from where the partial file ends
};

struct DownloadResult {
  Download how;
  std::string reason;  ///< in words, when not complete
};

/// Appends to `part` what `url` (http or https) has beyond its present size. Throws RunError when `part` cannot be
/// written to (full disk), keeping what came.
DownloadResult download(const std::string& url, const std::filesystem::path& part,
                        const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace genzoo
