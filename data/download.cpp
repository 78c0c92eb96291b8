#include "data/download.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "core/error.h"
#include "core/version.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr curl_off_t kLargestFile = curl_off_t{1} << 33;  // a mirror gone wrong should not fill the disk
constexpr long kConnectSeconds = 20;
constexpr long kStalledSeconds = 30;  // given up when fewer than kStalledBytes a second come for so long
constexpr long kStalledBytes = 100;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
struct CloseCurl {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};

struct Transfer {
  std::FILE* file;
  uint64_t before;  ///< bytes of the partial file when it began
  int write_error = 0;
  const std::function<void(uint64_t, uint64_t)>& progress;
};

size_t write_received(char* bytes, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t written = std::fwrite(bytes, size, count, transfer.file);
  if (written < count) transfer.write_error = errno;
  return written * size;
}

int report_progress(void* user, curl_off_t total, curl_off_t done, curl_off_t, curl_off_t) {
  const auto& transfer = *static_cast<Transfer*>(user);
  const auto known = total > 0 ? transfer.before + static_cast<uint64_t>(total) : 0;
  if (done > 0 && transfer.progress) transfer.progress(transfer.before + static_cast<uint64_t>(done), known);
  return 0;
}

void set_options(CURL* curl, const std::string& url, Transfer& transfer, char* message) {
  static const std::string agent = "genzoo/" + program_version();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, agent.c_str());
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);  // a 404's page is not the file
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
  // Neither the address nor what it leads to may be a file of this machine.
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kStalledBytes);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, kLargestFile);
  curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(transfer.before));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_received);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, report_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
}

Download kind_of(CURLcode code, CURL* curl, const Transfer& transfer) {
  if (code == CURLE_OK) return Download::complete;
  if (code == CURLE_RANGE_ERROR) return Download::no_resume;
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  constexpr long kRangeNotSatisfiable = 416;  // the partial file is longer than the whole one
  if (status == kRangeNotSatisfiable) return Download::no_resume;
  const bool broke = code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_OPERATION_TIMEDOUT ||
                     code == CURLE_GOT_NOTHING;
  return broke && static_cast<uint64_t>(std::ftell(transfer.file)) > transfer.before ? Download::interrupted
                                                                                     : Download::refused;
}

}  // namespace

DownloadResult download(const std::string& url, const fs::path& part,
                        const std::function<void(uint64_t done, uint64_t total)>& progress) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, CloseCurl> curl(started == CURLE_OK ? curl_easy_init() : nullptr);
  if (!curl) throw RunError("fetch: libcurl cannot start");

  const auto fail = [&](int error) {
    throw RunError(fmt::format("fetch: cannot write {}: {}", part.string(), std::generic_category().message(error)));
  };
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(part.c_str(), "ab"));
  if (!file) fail(errno);
  std::fseek(file.get(), 0, SEEK_END);
  Transfer transfer{file.get(), static_cast<uint64_t>(std::ftell(file.get())), 0, progress};
  std::array<char, CURL_ERROR_SIZE> message{};
  set_options(curl.get(), url, transfer, message.data());

  const CURLcode code = curl_easy_perform(curl.get());
  if (transfer.write_error != 0) fail(transfer.write_error);
  if (std::fflush(file.get()) != 0 || ::fsync(fileno(file.get())) != 0) fail(errno);
  const Download how = kind_of(code, curl.get(), transfer);
  if (how == Download::complete) return {how, ""};
  return {how, message[0] ? message.data() : curl_easy_strerror(code)};
}

}  // namespace genzoo
