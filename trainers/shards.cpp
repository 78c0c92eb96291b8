#include "trainers/shards.h"

#include <ATen/Parallel.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/kernels/kernels.h"

namespace genzoo {
namespace {

std::vector<Tensor> copies(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> result;
  for (const Tensor& t : tensors) result.push_back(t.clone());
  return result;
}

/// Whether two tensors on the CPU are equal, bit by bit. Most buffers are constants: a few bytes compared spare the
/// operators that would copy and average them.
bool same_bits(const Tensor& a, const Tensor& b) {
  return a.is_cpu() && b.is_cpu() && a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         a.is_contiguous() && b.is_contiguous() && std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

/// Through variable_data(), which has a version of its own: a graph that is still to be run backward (the fakes') keeps
/// the running statistics it saw, and in training mode makes no use of them.
void assign(const Tensor& to, const Tensor& from) {
  if (!same_bits(to, from)) to.variable_data().copy_(from);
}

/// Copies, where `tensors` have changed since `before`, and else these.
std::vector<Tensor> changes(const std::vector<Tensor>& tensors, const std::vector<Tensor>& before) {
  std::vector<Tensor> result;
  for (size_t i = 0; i < tensors.size(); ++i) {
    result.push_back(same_bits(tensors[i], before[i]) ? before[i] : tensors[i].clone());
  }
  return result;
}

std::vector<Tensor> gradients_of(const FlatParameters& parameters) {
  std::vector<Tensor> gradients;
  for (const auto& group : parameters.groups()) gradients.push_back(group.gradients);
  return gradients;
}

/// sum = x + y over elements begin ... end - 1; sum may be x.
void add(const Tensor& sum, const Tensor& x, const Tensor& y, int64_t begin, int64_t end) {
  if (sum.is_cpu() && sum.scalar_type() == torch::kFloat) {
    kernels().add(sum.mutable_data_ptr<float>() + begin, x.const_data_ptr<float>() + begin,
                  y.const_data_ptr<float>() + begin, end - begin);
  } else {
    const auto part = [&](const Tensor& t) { return t.narrow(0, begin, end - begin); };
    Tensor out = part(sum);
    at::add_out(out, part(x), part(y));
  }
}

/// Adds the sum of `parts`, whose number is a power of two, as tree_sum() forms it, to `whole`, or writes it there when
/// that is `fresh`. Spoils the parts.
void add_up(const Tensor& whole, const std::vector<Tensor>& parts, bool fresh, Workers* workers) {
  for_ranges(workers, whole.numel(), /*align=*/64, [&](int64_t begin, int64_t end) {
    const size_t count = parts.size();
    for (size_t distance = 1; distance < count; distance *= 2) {
      const bool last = fresh && 2 * distance == count;
      for (size_t i = 0; i + distance < count; i += 2 * distance) {
        add(last ? whole : parts[i], parts[i], parts[i + distance], begin, end);
      }
    }
    if (!fresh) {
      add(whole, whole, parts[0], begin, end);
    } else if (count == 1) {
      whole.narrow(0, begin, end - begin).copy_(parts[0].narrow(0, begin, end - begin));
    }
  });
}

}  // namespace

/// What a shard leaves besides its gradient.
struct Shards::Outcome {
  std::vector<Tensor> buffers;
  Terms terms;
};

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

int64_t workers_for(int64_t shards) {
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::min<int64_t>(shards, at::get_num_threads()))));
}

Shards::Shards(AnyModel& model, int64_t shards) : model_(model), count_(shards) {
  if (shards == 1) return;
  const auto parameters = model.module->parameters();
  const bool on_cpu = parameters.empty() || parameters.front().is_cpu();
  const auto count = model.twin && on_cpu ? static_cast<int>(workers_for(shards)) : 1;
  for (int worker = 1; worker < count; ++worker) {
    twins_.push_back(model.twin());
    twins_.back().module->train(model.module->is_training());
    // What learns is shared by the learners; what does not, once and for all.
    const auto own = model.module->named_parameters();
    for (auto& item : twins_.back().module->named_parameters()) {
      if (!item.value().requires_grad()) item.value().set_data(own[item.key()]);
    }
  }
  workers_ = std::make_unique<Workers>(count);
}

std::vector<AnyModel*> Shards::models() {
  std::vector<AnyModel*> all{&model_};
  for (AnyModel& twin : twins_) all.push_back(&twin);
  return all;
}

Shards::Learner::Learner(Shards& shards, FlatParameters& parameters, const Player& player) : whole_(&parameters) {
  if (shards.count() == 1) return;
  for (AnyModel* model : shards.models()) replicas_.emplace_back(player(*model), parameters);
}

void Shards::compute(int worker, Learner& learner, const std::function<Terms(int64_t, AnyModel&)>& part,
                     const std::vector<Tensor>& buffers, std::vector<Outcome>& outcomes) {
  const int64_t each = count_ / workers_->count(), first = worker * each;
  AnyModel& model = *models()[static_cast<size_t>(worker)];
  FlatParameters& own = learner.replicas_[static_cast<size_t>(worker)];
  const std::vector<Tensor> gradients = gradients_of(own);
  const std::vector<Tensor> own_buffers = model.module->buffers();
  // Sums of 1, 2, 4, ... shards that wait for their equals: the left halves of the tree so far.
  std::vector<std::pair<int64_t, std::vector<Tensor>>> waiting;
  for (int64_t shard = first; shard < first + each; ++shard) {
    {
      const torch::NoGradGuard no_grad;
      own.start_gradients();
      for (size_t b = 0; b < buffers.size(); ++b) assign(own_buffers[b], buffers[b]);
    }
    Terms terms;
    {
      const auto collecting = own.collecting();
      terms = part(shard, model);
    }
    const torch::NoGradGuard no_grad;
    own.finish_gradients();
    outcomes[static_cast<size_t>(shard)] = {changes(own_buffers, buffers), std::move(terms)};
    int64_t size = 1;
    for (; !waiting.empty() && waiting.back().first == size; size *= 2) {
      // left + right, into the right one: the order of two floats in a sum does not change it
      for (size_t g = 0; g < gradients.size(); ++g) gradients[g].add_(waiting.back().second[g]);
      waiting.pop_back();
    }
    if (shard + 1 < first + each) waiting.emplace_back(size, copies(gradients));
  }
}

Terms Shards::accumulate(Learner& learner, const std::function<Terms(int64_t shard, AnyModel& model)>& part) {
  if (count_ == 1) {
    const auto collecting = learner.whole_->collecting();
    return part(0, model_);
  }
  const bool fresh = learner.whole_->claim_gradients();
  if (!fresh) learner.whole_->finish_gradients();
  const std::vector<Tensor> buffers = model_.module->buffers();
  const std::vector<Tensor> before = copies(buffers);
  std::vector<Outcome> outcomes(static_cast<size_t>(count_));
  workers_->run([&](int worker) { compute(worker, learner, part, before, outcomes); });

  const torch::NoGradGuard no_grad;
  for (size_t g = 0; g < learner.whole_->groups().size(); ++g) {
    std::vector<Tensor> parts;
    for (const FlatParameters& replica : learner.replicas_) parts.push_back(replica.groups()[g].gradients);
    add_up(learner.whole_->groups()[g].gradients, parts, fresh, workers_.get());
  }

  const auto mean_of = [&](const auto& pick) {
    std::vector<Tensor> each;
    for (Outcome& outcome : outcomes) each.push_back(pick(outcome));
    return tree_sum(std::move(each)).div_(static_cast<double>(count_));
  };
  for (size_t b = 0; b < buffers.size(); ++b) {
    const auto unchanged = [&](const Outcome& o) { return o.buffers[b].is_same(before[b]); };
    if (std::all_of(outcomes.begin(), outcomes.end(), unchanged)) continue;
    // Counters and flags agree between shards; statistics are averaged.
    const Tensor made = buffers[b].is_floating_point()
                            ? mean_of([&](Outcome& o) { return unchanged(o) ? before[b].clone() : o.buffers[b]; })
                            : outcomes.back().buffers[b];
    buffers[b].variable_data().copy_(made);
  }
  Terms terms;
  for (const auto& [name, value] : outcomes[0].terms) {
    terms[name] = mean_of([&, key = name](Outcome& o) { return o.terms.at(key).clone(); });
  }
  return terms;
}

}  // namespace genzoo
