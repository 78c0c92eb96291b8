#pragma once
// Threads of this process that share work whose pieces are large: each computes its piece on one thread, where a
// parallel operator would start and join threads for every tensor.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace genzoo {

/// While it lives, LibTorch's operators of this thread run on it alone: how a sum is cut into threads then does not
/// change its bits, and the threads of its pool do not wait, spinning, on the cores that workers need.
class OneThread final {
 public:
  explicit OneThread(bool wanted = true);
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

class Workers final {
 public:
  /// `count` at least 1. The caller of run() is worker 0; count - 1 threads are started.
  explicit Workers(int count);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int count() const { return static_cast<int>(threads_.size()) + 1; }

  /// task(w) for each worker w at once; comes back when all are done. LibTorch's operators run on one thread meanwhile,
  /// under the caller's modes (gradients, profiling). Throws what the first of the tasks threw that threw.
  void run(const std::function<void(int worker)>& task);

 private:
  void work(int worker);

  std::mutex mutex_;
  std::condition_variable begin_, done_;
  const std::function<void(int)>* task_ = nullptr;
  // Written under the mutex; read without it by those who are about to wait.
  std::atomic<int64_t> round_{0};  ///< how often run() was called
  std::atomic<int> pending_{0};    ///< threads still at work
  bool ending_ = false;
  std::vector<std::exception_ptr> failures_;
  std::vector<std::thread> threads_;  ///< last: they use the rest
};

/// f(begin, end) over 0 ... n - 1 in as many even parts as there are workers, cut at multiples of `align`; without
/// workers over LibTorch's threads. A range too short to be worth a second thread is one part.
void for_ranges(Workers* workers, int64_t n, int64_t align, const std::function<void(int64_t begin, int64_t end)>& f);

}  // namespace genzoo
