#include "tools/output.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "core/error.h"

namespace genzoo {
namespace {

[[noreturn]] void fail(int error) {
  if (error == EPIPE) throw OutputClosed{};
  throw RunError(fmt::format("cannot write to standard output: {}", std::generic_category().message(error)));
}

}  // namespace

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail(errno);
}

void print_json(const Json& json) {
  print(json.dump(/*indent=*/2, /*indent_char=*/' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n");
}

void flush_output() {
  if (std::fflush(stdout) != 0) fail(errno);
}

}  // namespace genzoo
