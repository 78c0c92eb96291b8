#pragma once
// The errors a person may see. Each carries the program's exit code; its message is one line:
// what, where, got, wanted, what next.

#include <stdexcept>
#include <string>

namespace genzoo {

/// The program's exit codes; a promise to scripts.
enum class ExitCode : int {
  done = 0,
  failed = 1,         ///< while running: disk, data, device
  usage = 2,          ///< wrong command line or config
  diverged = 3,       ///< training met a non-finite number
  interrupted = 130,  ///< SIGINT, after saving a checkpoint
  terminated = 143,   ///< SIGTERM, after saving a checkpoint
};

/// An error with a message for people and an exit code for scripts.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Something outside failed while running: a disk, a damaged file, a device. Exit code 1.
class RunError : public Error {
 public:
  explicit RunError(const std::string& message) : Error(ExitCode::failed, message) {}
};

/// The user asked for something that cannot be. Exit code 2.
class UsageError final : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(ExitCode::usage, message) {}
};

/// Mistakes in a config: one line each, `FILE:LINE:COL: error: ...`, printed as they are. Exit code 2.
class ConfigError final : public Error {
 public:
  explicit ConfigError(const std::string& lines) : Error(ExitCode::usage, lines) {}
};

/// Training met a non-finite number. Exit code 3.
class DivergedError final : public Error {
 public:
  explicit DivergedError(const std::string& message) : Error(ExitCode::diverged, message) {}
};

}  // namespace genzoo
