#pragma once
// AdamW, Adam and SGD over flat buffers: all parameters of one weight-decay group are slices of one tensor, so are
// their gradients and moments, and an update is one fused operator a group however many tensors the model has.

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "core/config.h"
#include "core/safetensors.h"
#include "models/leaf_gradients.h"

namespace torch::nn {
class Module;  // its own header costs every file that includes it a second to compile
}

namespace genzoo {

class Workers;

/// Adam with decoupled weight decay. Loshchilov & Hutter (2019), algorithm 2. The decay acts on parameters with two or
/// more dimensions (matrices, convolutions, embeddings), not on biases and gains.
struct AdamWConfig {
  static constexpr const char* kName = "adamw";
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
  void fields(Fields& f);
};

/// Kingma & Ba (2015), algorithm 1.
struct AdamConfig {
  static constexpr const char* kName = "adam";
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  void fields(Fields& f);
};

/// Stochastic gradient descent with momentum; weight decay is added to the gradient of parameters with two or more
/// dimensions.
struct SGDConfig {
  static constexpr const char* kName = "sgd";
  double lr = 0.1;
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0.0;
  void fields(Fields& f);
};

using OptimizerConfig = std::variant<AdamWConfig, AdamConfig, SGDConfig>;

double base_lr(const OptimizerConfig& config);

/// A module's parameters laid into flat buffers. The module's own tensors become views of them, and so do their
/// gradients, which autograd then accumulates in place.
class FlatParameters final {
 public:
  /// Where one parameter lies.
  struct Slice {
    std::string name;
    int64_t group;
    int64_t offset;
    std::vector<int64_t> shape;
    std::vector<int64_t> strides;  ///< of convolutions: channels last
  };
  /// Parameters that share dtype and weight decay.
  struct Group {
    Tensor values;     ///< (P) padded: every slice begins at a multiple of 64 bytes
    Tensor gradients;  ///< (P)
    bool decays;
  };

  /// Of the parameters that learn. Call once, after the module has its final device; do not call zero_grad() on the
  /// module afterwards.
  explicit FlatParameters(torch::nn::Module& module);

  /// A replica's: its parameters become views of the values of `original`, a module of the same kind; its gradients are
  /// its own.
  FlatParameters(torch::nn::Module& replica, const FlatParameters& original);

  /// Begins to add up gradients anew: they may be read after finish_gradients() only. On the CPU the zeros are written
  /// for those alone that need them.
  void start_gradients();
  void finish_gradients();
  /// Whether nothing was added since start_gradients(). If so, the caller writes all gradients, and need not finish.
  bool claim_gradients() { return leaves_->claim(); }
  /// Whoever computes gradients on this thread while it lives puts them where they belong, instead of handing them to
  /// autograd, which would add them in another pass over memory.
  LeafGradients::Scope collecting() { return LeafGradients::Scope(*leaves_); }

  void zero_gradients();
  std::vector<Group>& groups() { return groups_; }
  const std::vector<Group>& groups() const { return groups_; }
  const std::vector<Slice>& slices() const { return slices_; }

  /// The slice of a buffer laid out like group `slice.group`, in the parameter's shape and strides.
  static Tensor view(const Tensor& flat, const Slice& slice);

  /// Euclidean norm of all gradients together. (), on the device
  Tensor gradient_norm(Workers* workers = nullptr) const;

  /// The values of all groups as they are now.
  std::vector<Tensor> copy_of_values() const;
  /// |values - before| / |before|, Euclidean norms over all parameters together. (), on the device
  Tensor relative_change(const std::vector<Tensor>& before) const;

 private:
  std::vector<Group> groups_;
  std::vector<Slice> slices_;
  std::unique_ptr<LeafGradients> leaves_;
};

/// An optimizer of one module. Its state is saved under parameter names, so it survives a reordering of members.
class Optimizer final {
 public:
  Optimizer(torch::nn::Module& module, const OptimizerConfig& config);

  FlatParameters& parameters() { return parameters_; }
  const FlatParameters& parameters() const { return parameters_; }
  double base_lr() const { return genzoo::base_lr(config_); }

  /// Scales the gradients that the next step() takes down to a norm of at most max_norm, without waiting for the
  /// device; returns the norm before. (), on the device
  Tensor clip(double max_norm, Workers* workers = nullptr);

  /// The next step() also moves `means`, one a group and laid out like its values, towards the new values:
  /// mean += weight (value - mean), in the same pass over memory.
  void average_next(const std::vector<Tensor>& means, double weight);

  /// One update at learning rate lr from the gradients that are there, in one pass over memory; on the CPU by the
  /// workers, if given.
  void step(double lr, Workers* workers = nullptr);

  /// The two halves of step(). The rate also lies on the device, always at the same address: apply() recorded once can
  /// be repeated at another rate.
  void set_rate(double lr);
  void apply(Workers* workers = nullptr);

  /// `<parameter>.exp_avg` and so on, and `step`. Views: copy before the next step if they must not change.
  NamedTensors state() const;
  /// Throws RunError naming every tensor that is missing, left over or of another shape.
  void load(const NamedTensors& state);

 private:
  struct Moments {
    Tensor first, second;  ///< like Group::values; SGD has no second
  };
  std::vector<std::pair<const char*, const Tensor*>> moment_names(const Moments& m) const;
  void adam_step(size_t group, double weight_decay, const AdamConfig& config, Workers* workers);
  void move_average(size_t group);  ///< in a pass of its own

  OptimizerConfig config_;
  FlatParameters parameters_;
  std::vector<Moments> moments_;
  Tensor step_count_;            ///< () float32, as the fused operators want it
  double rate_ = 0.0;            ///< learning rate
  Tensor rate_on_device_;        ///< () the same, for LibTorch's operators; undefined where the kernels update all
  double gradient_scale_ = 1.0;  ///< of the next step, where the kernels apply it
  std::vector<Tensor> means_;    ///< that the next step moves; empty: none
  double average_weight_ = 0.0;
  Tensor average_weight_on_device_;  ///< () the same, where a recorded step reads it; undefined on the CPU
};

}  // namespace genzoo
