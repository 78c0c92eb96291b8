#include "core/failure.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <filesystem>
#include <new>
#include <typeinfo>

namespace genzoo {
namespace {

/// Blank space of any kind as one blank: a message of several lines as one.
std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    const bool blank = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!blank) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

/// LibTorch reports a failed allocation on the CPU as an ordinary error; on a GPU it has a type of its own.
bool tells_of_memory(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) || text.find("DefaultCPUAllocator") != std::string::npos;
}

constexpr const char* kOutOfMemory = "out of memory; a smaller train.batch_size, model or number of samples needs less";

}  // namespace

Failure describe_failure(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const ConfigError& error) {
    return {error.code(), error.what(), /*config=*/true, error.what()};
  } catch (const Error& error) {
    return {error.code(), error.what(), false, error.what()};
  } catch (const c10::Error& error) {
    const std::string text = one_line(error.what_without_backtrace());
    return {ExitCode::failed, tells_of_memory(error) ? fmt::format("{} ({})", kOutOfMemory, text) : "LibTorch: " + text,
            false, error.what()};
  } catch (const std::bad_alloc& error) {
    return {ExitCode::failed, kOutOfMemory, false, error.what()};
  } catch (const std::filesystem::filesystem_error& error) {
    const std::string path = error.path1().string();
    return {ExitCode::failed, fmt::format("{}: {}", path, error.code().message()), false, error.what()};
  } catch (const std::exception& error) {
    return {ExitCode::failed, one_line(error.what()), false, fmt::format("{}: {}", typeid(error).name(), error.what())};
  } catch (...) {
    return {ExitCode::failed, "something was thrown that is no exception", false, ""};
  }
}

}  // namespace genzoo
