#include "trainers/estimate.h"

#include <ATen/record_function.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string_view>

#include "core/memory.h"
#include "core/workers.h"
#include "models/model.h"
#include "trainers/learner.h"
#include "trainers/precision.h"
#include "trainers/step.h"

namespace genzoo {
namespace {

/// Bytes that LibTorch's CPU allocator holds, and the most it held.
class AllocationMeter final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    const int64_t now = held_.fetch_add(bytes) + bytes;
    int64_t peak = peak_.load();
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t peak() const { return peak_; }

 private:
  std::atomic<int64_t> held_{0}, peak_{0};
};

/// FLOPs of the operators run by any thread while it lives: matrix products, convolutions, attention.
class FlopMeter final {
 public:
  FlopMeter() {
    flops() = 0;
    handle_ = at::addGlobalCallback(at::RecordFunctionCallback(&FlopMeter::begin)
                                        .needsInputs(true)
                                        .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  }
  ~FlopMeter() { at::removeCallback(handle_); }
  FlopMeter(const FlopMeter&) = delete;
  FlopMeter& operator=(const FlopMeter&) = delete;
  double total() const { return flops(); }

 private:
  static std::atomic<double>& flops() {
    static std::atomic<double> sum{0.0};
    return sum;
  }

  static Tensor tensor(const at::RecordFunction& f, size_t i) {
    const auto inputs = f.inputs();
    return i < inputs.size() && inputs[i].isTensor() ? inputs[i].toTensor() : Tensor();
  }

  /// The weight's elements meet every output pixel once per image.
  static double convolution(const Tensor& x, const Tensor& w, bool transposed, const Tensor& output) {
    if (!x.defined() || !w.defined() || x.dim() != 4) return 0;
    const Tensor& grid = transposed || !output.defined() ? x : output;
    return 2.0 * static_cast<double>(w.numel()) * static_cast<double>(grid.size(0) * grid.size(2) * grid.size(3));
  }

  /// Two products with the elements of all queries for every key, and five, for the scores are computed once more.
  /// Those that causality spares count too, by convention.
  static double attention(int64_t query_elements, int64_t keys, bool backward) {
    const double products = 4.0 * static_cast<double>(query_elements) * static_cast<double>(keys);
    return backward ? 2.5 * products : products;
  }

  static double count(const at::RecordFunction& f) {
    const std::string_view name = f.name();
    const auto product = [&](size_t a, size_t b) {
      const Tensor x = tensor(f, a), y = tensor(f, b);
      if (!x.defined() || !y.defined() || y.dim() == 0) return 0.0;
      return 2.0 * static_cast<double>(x.numel()) * static_cast<double>(y.size(-1));
    };
    if (name == "aten::mm" || name == "aten::bmm") return product(0, 1);
    if (name == "aten::addmm" || name == "aten::baddbmm") return product(1, 2);
    if (name.starts_with("genzoo::") && !f.inputs().empty() && f.inputs()[0].isDouble()) {
      return f.inputs()[0].toDouble();  // core/recorded_flops.h
    }
    if (name == "aten::convolution") {
      const auto inputs = f.inputs();
      const bool transposed = inputs[6].toBool();
      const Tensor x = tensor(f, 0), w = tensor(f, 1);
      if (!x.defined() || x.dim() != 4) return 0;
      if (transposed) return convolution(x, w, true, {});
      const auto stride = inputs[3].toIntVector(), padding = inputs[4].toIntVector();
      const auto along = [](const std::vector<int64_t>& list, size_t d) {
        return list.size() == 1 ? list[0] : list[d];
      };
      const auto side = [&](size_t d) {
        const auto dim = static_cast<int64_t>(d) + 2;
        return (x.size(dim) + 2 * along(padding, d) - w.size(dim)) / along(stride, d) + 1;
      };
      return 2.0 * static_cast<double>(w.numel()) * static_cast<double>(x.size(0) * side(0) * side(1));
    }
    if (name == "aten::convolution_backward") {
      // Gradients for the input and for the weight, each as dear as the convolution, of those that are asked for.
      const Tensor gradient = tensor(f, 0), x = tensor(f, 1), w = tensor(f, 2);
      const bool transposed = f.inputs()[7].toBool();
      const auto asked = f.inputs()[10].toBoolList();
      return ((asked[0] ? 1.0 : 0.0) + (asked[1] ? 1.0 : 0.0)) * convolution(x, w, transposed, gradient);
    }
    if (name == "genzoo::causal_attention" || name == "genzoo::causal_attention_backward") {  // of qkv (B, T, 3 C)
      const Tensor qkv = tensor(f, 0);
      return attention(qkv.numel() / 3, qkv.size(1), name.ends_with("backward"));
    }
    const bool forward = name == "aten::_scaled_dot_product_flash_attention_for_cpu" ||
                         name == "aten::_scaled_dot_product_flash_attention" ||
                         name == "aten::_scaled_dot_product_efficient_attention";
    const bool backward = name == "aten::_scaled_dot_product_flash_attention_for_cpu_backward" ||
                          name == "aten::_scaled_dot_product_flash_attention_backward" ||
                          name == "aten::_scaled_dot_product_efficient_attention_backward";
    if (forward || backward) {
      const Tensor q = tensor(f, backward ? 1 : 0), k = tensor(f, backward ? 2 : 1);
      if (!q.defined() || !k.defined()) return 0;
      return attention(q.numel(), k.size(-2), backward);
    }
    return 0;
  }

  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& f) {
    const double n = count(f);
    double sum = flops().load();
    while (!flops().compare_exchange_weak(sum, sum + n)) {
    }
    return nullptr;
  }

  at::CallbackHandle handle_;
};

int64_t bytes_of(const Examples& examples) {
  return (examples.x.defined() ? static_cast<int64_t>(examples.x.nbytes()) : 0) +
         (examples.y.defined() ? static_cast<int64_t>(examples.y.nbytes()) : 0);
}

/// The first of the shards, or turns, of a step: forward and backward, gradients where a training has them.
void one_pass(AnyModel& model, const ExperimentConfig& config, const Batch& batch) {
  const TrainConfig& t = config.train;
  const OneThread serial(t.shards > 1);
  const Batch part = shard_of(batch, 0, t.shards);
  Rng rng = Rng::for_batch(0, Purpose::loss, 0);
  const auto loss_of = [&](const auto& compute) {
    const Autocast autocast(torch::kCPU, t.precision);
    return compute();
  };
  if (model.can.loss) {
    FlatParameters parameters(*model.module);
    parameters.start_gradients();
    const auto collecting = parameters.collecting();
    loss_of([&] { return model.can.loss(part, rng, 0).total; }).backward();
    return;
  }
  const AdversarialGame& game = *model.can.game;
  FlatParameters generator(*game.generator), discriminator(*game.discriminator);
  for (int64_t turn = 0; turn < game.n_critic; ++turn) {
    const bool last = turn + 1 == game.n_critic;
    const Tensor fake = loss_of([&] {
      const torch::AutoGradMode with_graph(last);
      return game.generate_fake(part.size(), rng);
    });
    {
      discriminator.start_gradients();
      const auto collecting = discriminator.collecting();
      loss_of([&] { return game.discriminator_loss(part, fake, rng).total; }).backward();
    }
    if (!last) continue;
    generator.start_gradients();
    const auto collecting = generator.collecting();
    for (Tensor& p : game.discriminator->parameters()) p.set_requires_grad(false);
    loss_of([&] { return game.generator_loss(fake, rng).total; }).backward();
  }
}

constexpr int64_t kPromptTokens = 1, kNewTokens = 16;  // every pass is of one token

void generate_some(const AnyModel& model, const DataSpec& spec) {
  const EvalMode eval(*model.module);
  GenerateOptions options;
  options.tokens = kNewTokens;
  options.greedy = true;
  Rng rng = Rng::for_rows(0, Purpose::sample, 0, 1);
  model.can.generate(torch::arange(kPromptTokens, torch::kLong).remainder(spec.vocabulary).unsqueeze(0), options, rng);
}

/// Of the parameters: values, gradients, those of the workers of shards, moments, average.
int64_t copies_of_weights(const TrainConfig& t, int64_t workers) {
  const bool sgd = std::holds_alternative<SGDConfig>(t.optimizer);
  return 2 + workers + (sgd ? 1 : 2) + (t.ema ? 1 : 0);
}

}  // namespace

CostEstimate estimate_cost(const ExperimentConfig& config, const Dataset& dataset) {
  const TrainConfig& t = config.train;
  CostEstimate cost;
  cost.opening_bytes = peak_memory().value_or(0);
  start_peak_memory();
  const auto meter = std::make_shared<AllocationMeter>();
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    AnyModel model = make_learner(config, dataset.spec);
    model.module->train();
    require_settings(t, model);
    cost.parameters = parameter_count(*model.module);
    cost.counts = static_cast<bool>(model.can.fit);
    cost.trains = t.steps > 0 || !model.can.generate;
    const TrainingSource source(dataset.learning_from(t.examples), t.batch_size, model.can.context,
                                static_cast<uint64_t>(config.seed), torch::kCPU);
    const Batch batch = source.batch(0);
    const FlopMeter flops;
    if (cost.counts) {
      model.can.fit(dataset.learning_from(t.examples).train);
      for (const Tensor& buffer : model.module->buffers()) cost.weights_bytes += static_cast<int64_t>(buffer.nbytes());
    } else if (cost.trains) {
      one_pass(model, config, batch);
    } else {
      generate_some(model, dataset.spec);
    }
    cost.flops_per_step = cost.trains ? flops.total() * static_cast<double>(t.accumulate * t.shards)
                                      : flops.total() / static_cast<double>(kNewTokens);
  }
  const int64_t workers = t.shards > 1 ? workers_for(t.shards) : 0;
  const int64_t weight = cost.parameters * static_cast<int64_t>(sizeof(float));
  if (!cost.counts) cost.weights_bytes = cost.trains ? weight * copies_of_weights(t, workers) : weight;
  const int64_t held = cost.counts ? cost.weights_bytes : weight * (cost.trains ? 2 : 1);  // values and gradients
  cost.activation_bytes = std::max<int64_t>(0, meter->peak() - held) * std::max<int64_t>(1, workers);
  cost.data_bytes = bytes_of(dataset.train) + bytes_of(dataset.validation) + bytes_of(dataset.test);
  cost.program_bytes = std::max<int64_t>(0, peak_memory().value_or(0) - cost.data_bytes - meter->peak());
  return cost;
}

int64_t CostEstimate::memory_bytes() const {
  return std::max(opening_bytes, program_bytes + weights_bytes + activation_bytes + data_bytes);
}

std::string CostEstimate::describe() const {
  const auto megabytes = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  std::string text = fmt::format("parameters      {}\n", parameters);
  text += fmt::format("compute         {:.3g} GFLOP a {} (products, convolutions, attention)\n", flops_per_step * 1e-9,
                      trains ? "step" : "token");
  text += fmt::format(
      "memory          {:.0f} MB in all: {} {:.0f}, activations {:.0f}, data {:.0f}, the program {:.0f}",
      megabytes(memory_bytes()),
      counts   ? "counts"
      : trains ? "weights, gradients, moments"
               : "weights",
      megabytes(weights_bytes), megabytes(activation_bytes), megabytes(data_bytes), megabytes(program_bytes));
  if (opening_bytes == memory_bytes()) text += "; at most while the data are opened";
  return text + "\n";
}

}  // namespace genzoo
