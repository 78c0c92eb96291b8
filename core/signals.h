#pragma once
// SIGINT and SIGTERM only set a flag, which the training loop reads between steps.

namespace genzoo {

/// Catches SIGINT and SIGTERM while it lives; a second SIGINT ends the program at once. One at a time.
class SignalGuard final {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  /// The signal that came (SIGINT or SIGTERM), or 0.
  static int received();
};

}  // namespace genzoo
