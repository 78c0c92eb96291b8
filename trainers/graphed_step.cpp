#include "trainers/graphed_step.h"

#include <torch/utils.h>

#include <stdexcept>
#include <utility>

namespace genzoo {
namespace {

[[noreturn]] void refuse() {
  throw std::logic_error("trainers/graphed_step: two updates asked for different things, so there is none to record");
}

/// Through which two points a line of whole numbers goes.
std::pair<int64_t, int64_t> line_through(int64_t x0, int64_t y0, int64_t x1, int64_t y1) {
  const int64_t slope = (y1 - y0) / (x1 - x0), offset = y0 - slope * x0;
  if (slope * x1 + offset != y1) refuse();
  return {slope, offset};
}

Tensor copy_if_any(const Tensor& t) { return t.defined() ? t.clone() : t; }

void fill_with(const Tensor& place, const Tensor& values) {
  if (place.defined() != values.defined() || (place.defined() && place.sizes() != values.sizes())) refuse();
  if (place.defined()) place.copy_(values, /*non_blocking=*/true);
}

}  // namespace

GraphedStep::GraphedStep(std::unique_ptr<Step> inner, StepConfig config, int64_t settles_at,
                         std::unique_ptr<Recorder> recorder)
    : inner_(std::move(inner)), config_(std::move(config)), settles_at_(settles_at), recorder_(std::move(recorder)) {}

Terms GraphedStep::update(const StepInputs& inputs, int64_t step, bool measured) {
  if (measured || step < settles_at_) return inner_->update(inputs, step, measured);
  if (!recorded_) {
    if (rehearsals_.size() < 2) return rehearse(inputs, step);
    prepare();
    record(step);
    recorded_ = true;
  }
  fill(inputs, step);
  recorder_->replay();
  return terms();
}

Terms GraphedStep::rehearse(const StepInputs& inputs, int64_t step) {
  Rehearsal asked{.step = step, .indices = {}, .batches = {}, .streams = {}, .terms = {}};
  StepInputs noted([&](int64_t index) {
    asked.indices.push_back(index);
    return asked.batches.emplace_back(inputs.batch(index));
  });
  noted.stream = [&](int64_t index, int64_t shard, torch::Device device) {
    asked.streams.push_back({index, shard});
    device_ = device;
    return loss_stream(inputs, config_.seed, index, shard, device);
  };
  recorder_->rehearse([&] { asked.terms = inner_->update(noted, step, /*measured=*/false); });
  rehearsals_.push_back(std::move(asked));
  return rehearsals_.back().terms;
}

/// The tensors that stay where they are.
void GraphedStep::prepare() {
  const Rehearsal &a = rehearsals_[0], &b = rehearsals_[1];
  if (a.indices.size() != b.indices.size() || a.streams.size() != b.streams.size()) refuse();
  const auto index = [&](int64_t of_a, int64_t of_b) {
    const auto [slope, offset] = line_through(a.step, of_a, b.step, of_b);
    return Index{slope, offset};
  };
  for (size_t i = 0; i < b.batches.size(); ++i) {
    batches_.push_back({index(a.indices[i], b.indices[i]), {copy_if_any(b.batches[i].x), copy_if_any(b.batches[i].y)}});
  }
  for (size_t i = 0; i < b.streams.size(); ++i) {
    if (a.streams[i].shard != b.streams[i].shard) refuse();
    draws_.push_back({index(a.streams[i].index, b.streams[i].index), b.streams[i].shard, std::make_unique<DrawTape>()});
  }
  for (const auto& [name, value] : b.terms) names_.push_back(name);
  values_ = torch::zeros({static_cast<int64_t>(names_.size())}, torch::TensorOptions(device_).dtype(torch::kFloat));
  rehearsals_.clear();
}

void GraphedStep::record(int64_t step) {
  StepInputs statics([this](int64_t) { return batches_.at(next_batch_++).batch; });
  statics.stream = [this](int64_t, int64_t, torch::Device device) {
    return draws_.at(next_draws_++).tape->stream(device);
  };
  statics.rates_are_set = true;
  recorder_->record([this, step, statics] {
    next_batch_ = next_draws_ = 0;
    const Terms made = inner_->update(statics, step, /*measured=*/false);
    if (made.size() != names_.size()) refuse();
    std::vector<Tensor> values;
    for (const auto& [name, value] : made) values.push_back(value.to(torch::kFloat));
    values_.copy_(at::stack(values));
  });
}

void GraphedStep::fill(const StepInputs& inputs, int64_t step) {
  const torch::NoGradGuard no_grad;
  for (const StaticBatch& place : batches_) {
    const Batch batch = inputs.batch(place.index.at(step));
    fill_with(place.batch.x, batch.x);
    fill_with(place.batch.y, batch.y);
  }
  for (const StaticDraws& draws : draws_) {
    draws.tape->draw_anew(loss_stream(inputs, config_.seed, draws.index.at(step), draws.shard, device_));
  }
  for (const auto& [player, optimizer] : inner_->optimizers()) {
    optimizer->set_rate(learning_rate(config_.schedule, optimizer->base_lr(), step, config_.steps));
  }
}

/// A copy: the next replay writes where the values are.
Terms GraphedStep::terms() const {
  const Tensor values = values_.clone();
  Terms terms;
  for (size_t i = 0; i < names_.size(); ++i) terms[names_[i]] = values.select(0, static_cast<int64_t>(i));
  return terms;
}

}  // namespace genzoo
