#pragma once
// Where the gradients of a model's parameters are added up, in as few passes over memory as there can be.

#include <torch/types.h>

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace genzoo {

using torch::Tensor;

/// The gradients of some parameters (leaves whose grad() is defined), and which of them are still to be written.
///
/// start() makes all of them zero without touching memory: the first contribution to one is written, those after it are
/// added. Contributions come from autograd, and, while a Scope lives, from layers that compute a gradient right where
/// it belongs. finish() writes the zeros that nothing was added to; only then may the gradients be read.
class LeafGradients final {
 public:
  /// One parameter's.
  class Slot final {
   public:
    explicit Slot(Tensor gradient) : gradient_(std::move(gradient)) {}

    /// For a product that adds beta times what was there: 0 the first time, then 1. The caller does write.
    float beta() { return std::exchange(fresh_, false) ? 0.0F : 1.0F; }
    /// The gradient, its zeros written if nothing else was: to add to.
    const Tensor& zeroed();
    /// The gradient's memory; may only be read after beta() or zeroed().
    const Tensor& memory() const { return gradient_; }

   private:
    friend class LeafGradients;
    Tensor gradient_;
    bool fresh_ = false;  ///< zero, but not written
  };

  /// While it lives, layers on this thread write the gradients of these leaves themselves: at() finds them.
  class Scope final {
   public:
    explicit Scope(LeafGradients& gradients);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    LeafGradients* before_;
  };

  explicit LeafGradients(const std::vector<Tensor>& leaves);
  ~LeafGradients();
  LeafGradients(const LeafGradients&) = delete;
  LeafGradients& operator=(const LeafGradients&) = delete;

  void start();
  void finish();
  /// Whether nothing was added since start(). If so, the caller writes all of them, and they count as written.
  bool claim();

  /// The slot of this leaf in this thread's innermost scope; nullptr if there is none: autograd is to add it up.
  static Slot* at(const Tensor& leaf);
  /// What a layer adds this leaf's gradient to: the slot's, or zeros in `result`, which the layer returns to autograd;
  /// undefined, when none is wanted.
  static Tensor place(const Tensor& leaf, bool wanted, Tensor& result);

 private:
  struct Leaf {
    Tensor tensor;
    std::optional<unsigned> hook;
    std::shared_ptr<Slot> slot;
  };
  std::vector<Leaf> leaves_;
  std::unordered_map<const c10::TensorImpl*, Slot*> slots_;
};

}  // namespace genzoo
