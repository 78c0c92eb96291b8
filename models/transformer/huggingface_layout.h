#pragma once
// How tensors of a transformer are named and laid out elsewhere: one table for both ways.

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace genzoo {

using torch::Tensor;
using Tensors = std::map<std::string, Tensor>;

/// How a weight lies there.
enum class Form {
  same,
  transposed,  ///< (in, out): GPT-2's Conv1D
  by_head,     ///< queries, keys and values of a head beside each other: (H, 3, D, in) for our (3, H, D, in)
};

/// A module of ours, and the one of theirs, or the two or three whose outputs ours has one after the other.
struct Part {
  const char* ours;
  std::vector<const char*> theirs;
  Form form = Form::same;
  bool has_bias = true;  ///< there, if the architecture has biases at all
};

struct Layout {
  const char* prefix;  ///< of all names but those of `bare`: "transformer."
  const char* layer;   ///< of layer i behind it: "h."
  std::vector<Part> outside, inside;
  std::vector<Part> bare;             ///< the head and what belongs to it
  bool biases;                        ///< the architecture has them, whether or not a model of ours does
  std::vector<const char*> constant;  ///< ends of names of tensors that are no parameters: masks, angles, copies
};

/// What of a model's settings the layout depends on.
struct LayoutSizes {
  int64_t n_layer = 0, n_head = 0, n_embd = 0;
  int64_t key_channels = 0;   ///< of all heads of keys
  Tensor channel_order = {};  ///< (D): which channel of a head of theirs ours is, of queries and keys by head
};

/// Their tensors as ours, float32; `own` has the shapes. Throws RunError naming what is missing, left over or of
/// another shape.
Tensors our_tensors(const Layout& layout, const LayoutSizes& sizes, const Tensors& own, Tensors theirs);

/// The way back. Biases that the architecture has and the model has not are zeros.
Tensors their_tensors(const Layout& layout, const LayoutSizes& sizes, const Tensors& own);

}  // namespace genzoo
