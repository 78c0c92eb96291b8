#pragma once
// Any exception as a person should hear of it: one line and an exit code, whatever library it came from.

#include <exception>
#include <string>

#include "core/error.h"

namespace genzoo {

struct Failure {
  ExitCode code = ExitCode::failed;
  std::string message;    ///< one line, without the program's name; of config mistakes a line each
  bool config = false;    ///< lines that begin with the config's file, line and column, to be shown as they are
  std::string long_form;  ///< all the exception says, traces of calls included, for those who debug
};

/// What went wrong. Out of memory, LibTorch's errors, the file system's and unknown ones have exit code 1.
Failure describe_failure(const std::exception_ptr& exception);

}  // namespace genzoo
