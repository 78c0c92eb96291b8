#include "core/workers.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace genzoo {
namespace {

/// Until `ready`, but not long: a thread that sleeps takes tens of microseconds to wake, as long as a small piece of
/// work. It gives way to whoever wants the core meanwhile.
template <class Ready>
void wait_a_little(const Ready& ready) {
  constexpr auto kLongest = std::chrono::microseconds(100);
  const auto start = std::chrono::steady_clock::now();
  while (!ready() && std::chrono::steady_clock::now() - start < kLongest) std::this_thread::yield();
}

}  // namespace

OneThread::OneThread(bool wanted) : before_(wanted ? at::get_num_threads() : 0) {
  if (wanted) at::set_num_threads(1);
}

OneThread::~OneThread() {
  if (before_ > 0) at::set_num_threads(before_);
}

Workers::Workers(int count) : failures_(static_cast<size_t>(count)) {
  for (int worker = 1; worker < count; ++worker) threads_.emplace_back([this, worker] { work(worker); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  begin_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::work(int worker) {
  at::globalContext().setFlushDenormal(true);  // a flag of each thread
  const OneThread one_thread;
  for (int64_t seen = 0;;) {
    const std::function<void(int)>* task = nullptr;
    wait_a_little([&] { return round_ > seen; });
    {
      std::unique_lock lock(mutex_);
      begin_.wait(lock, [&] { return ending_ || round_ > seen; });
      if (ending_) return;
      seen = round_;
      task = task_;
    }
    std::exception_ptr failure;
    try {
      (*task)(worker);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failures_[static_cast<size_t>(worker)] = failure;
    if (--pending_ == 0) done_.notify_one();
  }
}

void Workers::run(const std::function<void(int worker)>& task) {
  const OneThread one_thread;
  const at::ThreadLocalState modes;
  const std::function<void(int)> with_modes = [&](int worker) {
    const at::ThreadLocalStateGuard same(modes);
    task(worker);
  };
  {
    const std::lock_guard lock(mutex_);
    task_ = &with_modes;
    pending_ = static_cast<int>(threads_.size());
    ++round_;
  }
  begin_.notify_all();
  std::exception_ptr failure;
  try {
    task(0);
  } catch (...) {
    failure = std::current_exception();
  }
  wait_a_little([&] { return pending_ == 0; });
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return pending_ == 0; });
  failures_[0] = failure;
  for (const std::exception_ptr& one : failures_) {
    if (one) std::rethrow_exception(one);
  }
}

void for_ranges(Workers* workers, int64_t n, int64_t align, const std::function<void(int64_t begin, int64_t end)>& f) {
  constexpr int64_t kWorthAThread = 1 << 14;
  if (n == 0) return;
  const int64_t threads = workers ? workers->count() : at::get_num_threads();
  const int64_t parts = n < kWorthAThread ? 1 : threads;
  const int64_t blocks = (n + align - 1) / align;
  const int64_t size = (blocks + parts - 1) / parts * align;  // of a part
  const auto part = [&](int64_t i) {
    if (i * size < n) f(i * size, std::min(n, (i + 1) * size));
  };
  if (parts == 1) {
    part(0);
  } else if (workers) {
    workers->run([&](int worker) { part(worker); });
  } else {
    at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) part(i);
    });
  }
}

}  // namespace genzoo
