#pragma once
// Exponential moving average of a module's weights: what is sampled from and evaluated.

#include <memory>
#include <vector>

#include "core/safetensors.h"
#include "trainers/optimizer.h"

namespace torch::nn {
class Module;  // its own header costs every file that includes it a second to compile
}

namespace genzoo {

/// The average of a module's parameters and floating-point buffers. Its half-life is counted in images (examples), so
/// a change of batch size does not change its meaning; while training is young the half-life is at most a twentieth of
/// the examples seen, as in Karras et al. (2022). Integer buffers are copied.
class Ema final {
 public:
  /// `optimizer` is the module's, and takes one step an update.
  Ema(Optimizer& optimizer, torch::nn::Module& module, double halflife_images);

  /// Before an update that brings the examples seen to `images`, `batch` of them in this update: the optimizer's step
  /// moves the averages of the parameters, too, while they are at hand.
  void begin_update(int64_t images, int64_t batch);
  /// After it: the buffers' turn, which nobody's step passes over.
  void end_update();

  void restart();  ///< the averages are the weights as they are now

  NamedTensors state() const;            ///< by parameter and buffer name; views
  void load(const NamedTensors& state);  ///< throws RunError if a name or shape differs

  /// While it lives the module holds the averaged weights; its own afterwards.
  class Swap final {
   public:
    explicit Swap(Ema& ema) : ema_(ema) { ema_.exchange(); }
    ~Swap() { ema_.exchange(); }
    Swap(const Swap&) = delete;
    Swap& operator=(const Swap&) = delete;

   private:
    Ema& ema_;
  };

 private:
  void exchange();  ///< swaps the averages' and the module's contents

  struct Averaged {
    std::string name;
    Tensor live;  ///< the module's tensor
    Tensor mean;
  };
  Optimizer* optimizer_;
  std::vector<Tensor> means_;  ///< of the optimizer's groups
  std::vector<Averaged> buffers_;
  double halflife_images_;
  double weight_ = 0.0;  ///< of the update that has begun
};

}  // namespace genzoo
