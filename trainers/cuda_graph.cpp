#include "trainers/cuda_graph.h"

#include <fmt/format.h>

#include "core/error.h"

#if defined(GENZOO_CUDA)
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <exception>
#include <string>
#endif

namespace genzoo {

#if defined(GENZOO_CUDA)
namespace {

using c10::cuda::CUDAStream;

/// What `later` is asked to do from now on waits for what `earlier` was asked to do before.
void order(CUDAStream earlier, CUDAStream later) {
  at::cuda::CUDAEvent event;
  event.record(earlier);
  event.block(later);
}

/// The first line of why: CUDA's errors go on with advice for programmers.
[[noreturn]] void refuse(const std::string& why) {
  throw UsageError(fmt::format(
      "train.cuda_graph: an update of this model cannot be recorded: {}; set it to false and go on with --resume",
      why.substr(0, why.find('\n'))));
}

/// Work is recorded on a stream of its own, for the default one cannot be, and rehearsed there: cuBLAS keeps a
/// workspace a stream, and autograd goes back over the streams that it came by. It is replayed on the caller's.
class CudaGraph final : public Recorder {
 public:
  explicit CudaGraph(torch::Device device)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  void rehearse(const Work& work) override {
    const CUDAStream callers = c10::cuda::getCurrentCUDAStream(stream_.device_index());
    order(callers, stream_);
    {
      const c10::cuda::CUDAStreamGuard guard(stream_);
      work();
    }
    order(stream_, callers);
  }

  void record(const Work& work) override {
    const c10::cuda::CUDAStreamGuard guard(stream_);
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();  // the recording takes memory of its own; the rehearsals' can go
    graph_ = std::make_unique<at::cuda::CUDAGraph>();
    // Of this thread only: autograd's takes part in the recording, and is free to take memory.
    graph_->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    std::string failure;
    try {
      work();
    } catch (const c10::OutOfMemoryError&) {
      break_off();
      throw;
    } catch (const c10::Error& error) {
      failure = error.what_without_backtrace();
    } catch (const std::exception& error) {
      failure = error.what();
    }
    try {
      graph_->capture_end();
    } catch (const c10::Error& error) {  // a recording that was broken off fails to end, too
      if (failure.empty()) failure = error.what_without_backtrace();
    }
    if (!failure.empty()) refuse(failure);
  }

  void replay() override { graph_->replay(); }

 private:
  /// Ends a recording that failed, which may fail as well.
  void break_off() {
    try {
      graph_->capture_end();
    } catch (const c10::Error&) {  // what went wrong first is what is told
    }
  }

  CUDAStream stream_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

}  // namespace

std::unique_ptr<Recorder> make_cuda_recorder(torch::Device device) { return std::make_unique<CudaGraph>(device); }

#else

std::unique_ptr<Recorder> make_cuda_recorder(torch::Device device) {
  throw UsageError(fmt::format("train.cuda_graph: this program was built without CUDA, and {} is none of its devices",
                               device.str()));
}

#endif

}  // namespace genzoo
