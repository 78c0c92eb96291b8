#include "core/signals.h"

#include <array>
#include <atomic>
#include <csignal>
#include <stdexcept>

namespace genzoo {
namespace {

constexpr std::array<int, 2> kCaught{SIGINT, SIGTERM};

std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing that locks");

std::atomic<bool> guarded{false};
std::array<struct sigaction, kCaught.size()> previous{};

extern "C" void note_signal(int signal) {
  if (received_signal.exchange(signal) != 0 && signal == SIGINT) {
    // The person does not want to wait. Raised again it takes effect when this handler returns, and the shell sees a
    // program ended by SIGINT.
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
}

}  // namespace

SignalGuard::SignalGuard() {
  if (guarded.exchange(true)) throw std::logic_error("core/signals: a second SignalGuard");
  received_signal = 0;
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;  // writes in progress go on
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kCaught.size(); ++i) {
    sigaction(kCaught[i], &action, &previous[i]);
    // Ignored on purpose, as a shell has it for what a script starts in the background.
    if (previous[i].sa_handler == SIG_IGN) sigaction(kCaught[i], &previous[i], nullptr);
  }
}

SignalGuard::~SignalGuard() {
  for (size_t i = 0; i < kCaught.size(); ++i) sigaction(kCaught[i], &previous[i], nullptr);
  guarded = false;
}

int SignalGuard::received() { return received_signal; }

}  // namespace genzoo
