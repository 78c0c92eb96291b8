#include "trainers/step.h"

#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <stdexcept>

#include "core/error.h"

namespace genzoo {
namespace {

/// Adds `terms` / `parts` to `sum`.
void add_share(Terms& sum, const Terms& terms, int64_t parts) {
  for (const auto& [name, value] : terms) {
    const Tensor whole = value.detach().to(torch::kFloat);
    const Tensor share = parts == 1 ? whole : whole / static_cast<double>(parts);
    const auto [place, is_new] = sum.try_emplace(name, share);
    if (!is_new) place->second = place->second + share;
  }
}

/// Clips if asked to, and updates. Puts the gradient's norm into the terms when it was computed anyway or is to be
/// measured, and then also how far the weights moved; `player` stands before the names.
void descend(Optimizer& optimizer, const StepConfig& config, const StepInputs& inputs, int64_t step, bool measured,
             Workers* workers, Terms& terms, const std::string& player = "") {
  const torch::NoGradGuard no_grad;
  optimizer.parameters().finish_gradients();
  if (config.clip_norm > 0) {
    terms[player + "gradient_norm"] = optimizer.clip(config.clip_norm, workers);
  } else if (measured) {
    terms[player + "gradient_norm"] = optimizer.parameters().gradient_norm(workers);
  }
  std::vector<Tensor> before;
  if (measured) before = optimizer.parameters().copy_of_values();
  if (!inputs.rates_are_set) {
    optimizer.set_rate(learning_rate(config.schedule, optimizer.base_lr(), step, config.steps));
  }
  optimizer.apply(workers);
  if (measured) terms[player + "update_ratio"] = optimizer.parameters().relative_change(before);
}

/// The gradient of loss / parts: what one of so many equal parts adds to that of the mean.
void backward(const Tensor& loss, int64_t parts) { (parts == 1 ? loss : loss / static_cast<double>(parts)).backward(); }

torch::Device device_of(const Batch& batch) { return batch.x.device(); }

/// While it lives, the discriminator's parameters are constants in all models, so that no gradient is computed for
/// them.
class Frozen final {
 public:
  explicit Frozen(const std::vector<AnyModel*>& models) {
    for (const AnyModel* model : models) {
      for (const Tensor& p : model->can.game->discriminator->parameters()) {
        if (p.requires_grad()) parameters_.push_back(p);
      }
    }
    set(false);
  }
  ~Frozen() { set(true); }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

 private:
  void set(bool requires_grad) {
    for (auto& p : parameters_) p.set_requires_grad(requires_grad);
  }
  std::vector<Tensor> parameters_;
};

}  // namespace

Rng loss_stream(const StepInputs& inputs, uint64_t seed, int64_t index, int64_t shard, torch::Device device) {
  if (inputs.stream) return inputs.stream(index, shard, device);
  return Rng::for_batch(seed, Purpose::loss, static_cast<uint64_t>(index), static_cast<uint64_t>(shard), device);
}

GradientStep::GradientStep(AnyModel& model, const OptimizerConfig& optimizer, StepConfig config)
    : config_(std::move(config)),
      optimizer_(*model.module, optimizer),
      shards_(model, config_.shards),
      learner_(shards_, optimizer_.parameters(), [](AnyModel& m) -> torch::nn::Module& { return *m.module; }) {}

Terms GradientStep::update(const StepInputs& inputs, int64_t step, bool measured) {
  const OneThread serial(shards_.workers() != nullptr);
  optimizer_.parameters().start_gradients();
  Terms terms;
  for (int64_t micro = 0; micro < config_.accumulate; ++micro) {
    const int64_t index = step * config_.accumulate + micro;
    const Batch batch = inputs.batch(index);
    const Terms part = shards_.accumulate(learner_, [&](int64_t shard, AnyModel& model) {
      Rng rng = loss_stream(inputs, config_.seed, index, shard, device_of(batch));
      Loss loss;
      {
        const Autocast autocast(device_of(batch), config_.precision);
        loss = model.can.loss(shard_of(batch, shard, config_.shards), rng, step);
      }
      backward(loss.total, config_.accumulate * config_.shards);
      loss.terms["loss"] = loss.total.detach();
      return std::move(loss.terms);
    });
    add_share(terms, part, config_.accumulate);
  }
  descend(optimizer_, config_, inputs, step, measured, shards_.workers(), terms);
  return terms;
}

std::optional<double> GradientStep::learning_rate_at(int64_t step) const {
  return learning_rate(config_.schedule, optimizer_.base_lr(), step, config_.steps);
}

AdversarialStep::AdversarialStep(AnyModel& model, const OptimizerConfig& generator,
                                 const OptimizerConfig& discriminator, StepConfig config)
    : n_critic_(model.can.game->n_critic),
      config_(std::move(config)),
      generator_(*model.can.game->generator, generator),
      discriminator_(*model.can.game->discriminator, discriminator),
      shards_(model, config_.shards),
      generator_learner_(shards_, generator_.parameters(),
                         [](AnyModel& m) -> torch::nn::Module& { return *m.can.game->generator; }),
      discriminator_learner_(shards_, discriminator_.parameters(),
                             [](AnyModel& m) -> torch::nn::Module& { return *m.can.game->discriminator; }) {}

Terms AdversarialStep::update(const StepInputs& inputs, int64_t step, bool measured) {
  const OneThread serial(shards_.workers() != nullptr);
  Terms terms;
  // Everything a shard needs again for the generator's turn: its fakes, with their graph, and its stream.
  std::vector<Tensor> fakes(static_cast<size_t>(config_.shards));

  for (int64_t turn = 0; turn < n_critic_; ++turn) {
    const int64_t index = step * n_critic_ + turn;
    const bool last = turn + 1 == n_critic_;
    const Batch batch = inputs.batch(index);
    discriminator_.parameters().start_gradients();
    Terms turn_terms = shards_.accumulate(discriminator_learner_, [&](int64_t shard, AnyModel& model) {
      const AdversarialGame& game = *model.can.game;
      Rng rng = loss_stream(inputs, config_.seed, index, shard, device_of(batch));
      const Batch real = shard_of(batch, shard, config_.shards);
      Loss loss;
      {
        const Autocast autocast(device_of(batch), config_.precision);
        Tensor fake;
        {
          // Only the fakes that the generator will learn from need their graph.
          const torch::AutoGradMode with_graph(last);
          fake = game.generate_fake(real.size(), rng);
        }
        if (last) fakes[static_cast<size_t>(shard)] = fake;
        loss = game.discriminator_loss(real, fake, rng);
      }
      backward(loss.total, config_.shards);
      loss.terms["discriminator_loss"] = loss.total.detach();
      return std::move(loss.terms);
    });
    descend(discriminator_, config_, inputs, step, measured && last, shards_.workers(), turn_terms, "discriminator_");
    if (last) add_share(terms, turn_terms, 1);
  }

  generator_.parameters().start_gradients();
  const Frozen frozen(shards_.models());
  Terms turn_terms = shards_.accumulate(generator_learner_, [&](int64_t shard, AnyModel& model) {
    const Tensor& fake = fakes[static_cast<size_t>(shard)];
    Rng rng = loss_stream(inputs, config_.seed, step, config_.shards + shard, fake.device());
    Loss loss;
    {
      const Autocast autocast(fake.device(), config_.precision);
      loss = model.can.game->generator_loss(fake, rng);
    }
    backward(loss.total, config_.shards);
    loss.terms["generator_loss"] = loss.total.detach();
    return std::move(loss.terms);
  });
  descend(generator_, config_, inputs, step, measured, shards_.workers(), turn_terms, "generator_");
  add_share(terms, turn_terms, 1);
  terms["loss"] = terms.at("discriminator_loss") + terms.at("generator_loss");
  return terms;
}

std::optional<double> AdversarialStep::learning_rate_at(int64_t step) const {
  return learning_rate(config_.schedule, generator_.base_lr(), step, config_.steps);
}

Terms FitStep::update(const StepInputs& /*inputs*/, int64_t /*step*/, bool /*measured*/) {
  const torch::NoGradGuard no_grad;
  return fit_(training_);
}

void require_settings(const TrainConfig& train, const AnyModel& model) {
  if (model.can.fit && train.steps != 1) {
    throw UsageError(
        fmt::format("{} learns in one pass over its data: set train.steps to 1, not {}", model.family, train.steps));
  }
  if (model.can.fit && train.ema) {
    throw UsageError(fmt::format("train.ema: {} counts and has no weights to average; leave it out", model.family));
  }
  if (model.can.game && train.accumulate > 1) {
    throw UsageError(fmt::format("train.accumulate {}: {} has two players, whose gradients are not accumulated; take 1",
                                 train.accumulate, model.family));
  }
  const bool overridden = !std::holds_alternative<SameOptimizer>(train.optimizers.generator) ||
                          !std::holds_alternative<SameOptimizer>(train.optimizers.discriminator);
  if (overridden && !model.can.game) {
    throw UsageError(
        fmt::format("train.optimizers is for two players, and {} is one; set train.optimizer", model.family));
  }
}

std::unique_ptr<Step> make_step(AnyModel& model, const OptimizerConfig& optimizer, const OptimizerConfig& generator,
                                const OptimizerConfig& discriminator, const StepConfig& config,
                                const Examples& training) {
  if (model.can.fit) {
    if (!training.x.defined()) throw std::logic_error(fmt::format("make_step: {} counts all examples", model.family));
    return std::make_unique<FitStep>(model, training);
  }
  if (model.can.game) return std::make_unique<AdversarialStep>(model, generator, discriminator, config);
  return std::make_unique<GradientStep>(model, optimizer, config);
}

Loss held_out_loss(const AnyModel& model, const Batch& batch, Rng& rng) {
  if (model.can.loss) return model.can.loss(batch, rng, kAfterTraining);
  if (model.can.token_log_prob) return {-model.can.token_log_prob(batch.x, batch.y).mean(), {}};
  return {at::cross_entropy_loss(model.can.class_logits(batch.x), batch.y), {}};
}

}  // namespace genzoo
