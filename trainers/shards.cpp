#include "trainers/shards.h"

#include <ATen/Parallel.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

namespace genzoo {
namespace {

/// While it lives, operators run on one thread: how a sum is cut into threads must not change its bits.
class OneThread final {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

std::vector<Tensor> copies(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> result;
  for (const Tensor& t : tensors) result.push_back(t.clone());
  return result;
}

/// Through variable_data(), which has a version of its own: a graph that is still to be run backward (the fakes') keeps
/// the running statistics it saw, and in training mode makes no use of them.
void assign(const std::vector<Tensor>& to, const std::vector<Tensor>& from) {
  for (size_t i = 0; i < to.size(); ++i) to[i].variable_data().copy_(from[i]);
}

/// One shard's contribution.
struct Part {
  std::vector<Tensor> gradients;  ///< one a group
  std::vector<Tensor> buffers;
  Terms terms;
};

}  // namespace

Batch shard_of(const Batch& batch, int64_t shard, int64_t shards) {
  if (shards == 1) return batch;
  const int64_t rows = batch.size() / shards;
  const auto rows_of = [&](const Tensor& t) { return t.defined() ? t.narrow(0, shard * rows, rows) : t; };
  return {rows_of(batch.x), rows_of(batch.y)};
}

Tensor tree_sum(std::vector<Tensor> parts) {
  for (size_t distance = 1; distance < parts.size(); distance *= 2) {
    for (size_t i = 0; i + distance < parts.size(); i += 2 * distance) parts[i].add_(parts[i + distance]);
  }
  return parts[0];
}

Terms for_each_shard(int64_t shards, torch::nn::Module& module, FlatParameters& parameters,
                     const std::function<Terms(int64_t shard)>& part) {
  if (shards == 1) return part(0);
  const OneThread one_thread;
  const std::vector<Tensor> buffers = module.buffers();
  std::vector<Tensor> gradients;
  for (const auto& group : parameters.groups()) gradients.push_back(group.gradients);
  const std::vector<Tensor> buffers_before = copies(buffers), gradients_before = copies(gradients);

  std::vector<Part> parts;
  for (int64_t shard = 0; shard < shards; ++shard) {
    {
      const torch::NoGradGuard no_grad;
      parameters.zero_gradients();
      assign(buffers, buffers_before);
    }
    Terms terms = part(shard);
    parts.push_back({copies(gradients), copies(buffers), std::move(terms)});
  }

  const torch::NoGradGuard no_grad;
  const auto mean_of = [&](const auto& pick) {
    std::vector<Tensor> each;
    for (Part& p : parts) each.push_back(pick(p));
    return tree_sum(std::move(each)).div_(static_cast<double>(shards));
  };
  for (size_t g = 0; g < gradients.size(); ++g) {
    gradients[g].copy_(gradients_before[g] + mean_of([&](Part& p) { return p.gradients[g]; }));
  }
  for (size_t b = 0; b < buffers.size(); ++b) {
    // Counters and flags agree between shards; statistics are averaged.
    if (buffers[b].is_floating_point())
      buffers[b].variable_data().copy_(mean_of([&](Part& p) { return p.buffers[b]; }));
  }
  Terms terms;
  for (const auto& [name, value] : parts[0].terms) {
    terms[name] = mean_of([&, key = name](Part& p) { return p.terms.at(key).clone(); });
  }
  return terms;
}

}  // namespace genzoo
