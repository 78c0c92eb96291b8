// genzoo VERB ...: finds the verb, runs it, and says in one line what went wrong.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "core/failure.h"
#include "core/version.h"
#include "tools/output.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

ExitCode show_help(const std::vector<std::string>& words) {
  if (words.size() > 1) throw UsageError(fmt::format("help: '{}' is one argument too many", words[1]));
  const bool all = words.empty() || words[0] == "help" || words[0] == "--help" || words[0] == "-h";
  print(all ? describe_program() : describe_verb(find_verb(words[0])));
  return ExitCode::done;
}

ExitCode run_program(const std::vector<std::string>& words) {
  if (words.empty()) {
    std::fputs(describe_program().c_str(), stderr);
    return ExitCode::usage;
  }
  const std::string& first = words[0];
  const std::vector<std::string> rest(words.begin() + 1, words.end());
  if (first == "help" || first == "--help" || first == "-h") return show_help(rest);
  if (first == "--version") {
    print(fmt::format("genzoo {} (commit {})\nLibTorch {}, {}\n", program_version(), git_commit(), libtorch_version(),
                      build_description()));
    return ExitCode::done;
  }
  if (first.starts_with('-')) {
    throw UsageError(
        fmt::format("no option {} before the verb; there are --version and --help; `genzoo help` tells more",
                    first.substr(0, first.find('='))));
  }
  const Verb& verb = find_verb(first);
  const auto end_of_options = std::ranges::find(rest, "--");
  for (auto word = rest.begin(); word != end_of_options; ++word) {
    if (*word == "--help" || *word == "-h") return show_help({verb.name});
  }
  return verb.run(parse_arguments(verb.name, verb.positionals, verb.options, rest));
}

void report(const Failure& failure) {
  const char* debug = std::getenv("GENZOO_DEBUG");
  std::fputs(failure.config ? failure.message.c_str() : ("genzoo: " + failure.message).c_str(), stderr);
  if (failure.message.empty() || failure.message.back() != '\n') std::fputs("\n", stderr);
  if (debug && std::string(debug) == "1" && failure.long_form != failure.message) {
    std::fputs((failure.long_form + "\n").c_str(), stderr);
  }
}

}  // namespace
}  // namespace genzoo

int main(int argc, char** argv) {
  using namespace genzoo;
  // A file opened later must not take the number of a standard stream that is closed, or messages go into it.
  for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; ++standard) {
    if (::fcntl(standard, F_GETFD) < 0) ::open("/dev/null", standard == STDIN_FILENO ? O_RDONLY : O_WRONLY);
  }
  // A reader that goes away is an error of the write, which is handled there; not the end of a training.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const ExitCode code = run_program({argv + 1, argv + argc});
    flush_output();
    return static_cast<int>(code);
  } catch (const OutputClosed&) {
    return static_cast<int>(ExitCode::done);
  } catch (...) {
    const Failure failure = describe_failure(std::current_exception());
    std::fflush(stdout);
    report(failure);
    return static_cast<int>(failure.code);
  }
}
