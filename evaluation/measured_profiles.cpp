#include "evaluation/measured_profiles.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "core/error.h"
#include "data/pairs.h"
#include "evaluation/likelihood.h"
#include "evaluation/measured_likelihood.h"
#include "trainers/learner.h"
#include "trainers/optimizer.h"
#include "trainers/precision.h"

namespace genzoo {
namespace {

constexpr int64_t kTranslatedPairs = 2000, kGradientPairs = 500;  // of each split, at most
constexpr int64_t kShortest = 16, kLongest = 512;                 // sources that are timed, tokens
constexpr int64_t kTokensTogether = 4096;
constexpr double kSecondsOfLength = 0.5;  // of one length; four times as many for the third step

std::vector<Split> held_out(const Dataset& dataset) {
  std::vector<Split> splits;
  for (const Split split : {Split::validation, Split::test}) {
    if (dataset.has(split)) splits.push_back(split);
  }
  return splits;
}

int64_t pairs_of(int64_t wanted, int64_t limit) { return limit > 0 ? std::min(wanted, limit) : wanted; }

/// "of at most 2,000 pairs each of validation and test".
std::string which_pairs(const Dataset& dataset, int64_t most) {
  std::string names;
  for (const Split split : held_out(dataset)) {
    names += fmt::format("{}{}", names.empty() ? "" : " and ", kSplitNames[static_cast<int>(split)]);
  }
  return fmt::format("of at most {} pairs each of {}", most, names);
}

ProfileAxis distance_axis(const DataSpec& spec) {
  return {.title = "distance before the source's end", .unit = counted_in(spec) + "s"};
}

struct Matches {
  Profile by_length, by_distance;
};

/// Both profiles of one pass; by_distance is without points where the data have no distance.
Matches matches_of(const LoadedModel& loaded, const Dataset& dataset, int64_t limit) {
  const int64_t most = pairs_of(kTranslatedPairs, limit);
  Translations all;
  std::vector<int64_t> distances;
  for (const Split split : held_out(dataset)) {
    Translations texts = translations_of(loaded, dataset, split, most);
    const auto count = static_cast<int64_t>(texts.made.size());
    if (dataset.distance) {
      const Tensor distance = dataset.distance(dataset[split].x.narrow(/*dim=*/0, 0, count).to(torch::kLong));
      distances.insert(distances.end(), distance.const_data_ptr<int64_t>(), distance.const_data_ptr<int64_t>() + count);
    }
    std::ranges::move(texts.made, std::back_inserter(all.made));
    std::ranges::move(texts.wanted, std::back_inserter(all.wanted));
    std::ranges::move(texts.source_tokens, std::back_inserter(all.source_tokens));
  }
  Matches matches{match_profile(all, all.source_tokens), {}};
  matches.by_length.name = "exact_match_by_length";
  matches.by_length.x = {.title = "length of the source", .unit = counted_in(dataset.spec) + "s"};
  matches.by_length.detail = "share of sources whose target is made without a mistake, the likeliest token always; " +
                             which_pairs(dataset, most);
  if (!dataset.distance) return matches;
  matches.by_distance = match_profile(all, distances);
  matches.by_distance.name = "recall_by_distance";
  matches.by_distance.x = distance_axis(dataset.spec);
  matches.by_distance.y.title = "recalled";
  matches.by_distance.detail = "share of values that are told right, by how far they stand before the source's end; " +
                               which_pairs(dataset, most);
  return matches;
}

/// `model`: of the data that `loaded` is of.
Profile gradient_profile(const LoadedModel& loaded, const AnyModel& model, const Dataset& dataset, int64_t limit) {
  const int64_t most = pairs_of(kGradientPairs, limit);
  const EvalMode eval(*model.module);
  MeansByPlace means;
  for (const Split split : held_out(dataset)) {
    const EvaluationSource source(dataset, split, evaluation_batch(model.can), /*context=*/0, most, loaded.device);
    for (int64_t b = 0; b < source.batches(); ++b) {
      const Batch batch = source.batch(b);
      const Tensor x = batch.x.to(torch::kCPU);
      add_gradients(means, model.can.source_gradients(batch.x, batch.y), x, loaded.spec,
                    dataset.distance ? dataset.distance(x) : Tensor());
    }
  }
  Profile profile;
  profile.name = "gradient_by_distance";
  profile.x = distance_axis(dataset.spec);
  profile.y = {.title = "gradient's norm", .unit = "nats", .log = true};
  profile.points = means.points();
  profile.detail =
      fmt::format("mean norm of the gradient of log p(target | source) with respect to the vector of {}; {}",
                  dataset.distance ? "the source's token that the target is made of" : "each token of the source",
                  which_pairs(dataset, most));
  return profile;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Random pairs of sources of so many tokens, their ends among them.
Batch random_pairs(const DataSpec& spec, int64_t length, int64_t count, torch::Device device) {
  Rng rng = Rng::for_batch(kEvaluationSeed, Purpose::synthetic_data, static_cast<uint64_t>(length));
  const auto ended = [&](int64_t tokens) {
    const Tensor end = torch::full({count, 1}, spec.end_token, torch::kLong);
    return torch::cat({rng.integers(spec.end_token, {count, tokens - 1}), end}, /*dim=*/1).to(device);
  };
  Tensor x = ended(length);
  return {x, ended(spec.shape[1])};
}

/// One step of training without its update, as trainers do it: seconds.
double seconds_of_step(const AnyModel& model, FlatParameters& parameters, const Batch& batch, Precision precision) {
  const auto start = std::chrono::steady_clock::now();
  Rng rng = Rng::for_batch(kEvaluationSeed, Purpose::loss, 0, 0, batch.x.device());
  parameters.start_gradients();
  {
    const auto collecting = parameters.collecting();
    Tensor loss;
    {
      const Autocast autocast(batch.x.device(), precision);
      loss = model.can.loss(batch, rng, /*step=*/0).total;
    }
    loss.backward();
  }
  parameters.finish_gradients();
  parameters.gradient_norm().item<double>();  // waits for the device
  return seconds_since(start);
}

}  // namespace

std::vector<ProfilePoint> MeansByPlace::points() const {
  std::vector<ProfilePoint> points;
  for (const auto& [x, mean] : means_) {
    points.push_back(
        {.x = static_cast<double>(x), .mean = mean.mean(), .standard_error = mean.standard_error(), .n = mean.count()});
  }
  return points;
}

Profile match_profile(const Translations& texts, const std::vector<int64_t>& places) {
  MeansByPlace means;
  for (size_t i = 0; i < texts.made.size(); ++i) means.add(places[i], texts.made[i] == texts.wanted[i] ? 1 : 0);
  Profile profile;
  profile.y = {.title = "exact match", .unit = "share"};
  profile.points = means.points();
  return profile;
}

void add_gradients(MeansByPlace& means, const Tensor& norms, const Tensor& x, const DataSpec& spec,
                   const Tensor& only) {
  const Tensor values = norms.to(torch::kCPU, torch::kDouble).contiguous();
  const Tensor ends = up_to_end(x, spec.end_token).sum(/*dim=*/1) - 1;
  const auto norm = values.accessor<double, 2>();
  for (int64_t i = 0; i < values.size(0); ++i) {
    const auto end = ends[i].item<int64_t>();
    if (only.defined()) {
      const auto distance = only[i].item<int64_t>();
      means.add(distance, norm[i][end - distance]);
      continue;
    }
    const int64_t read = spec.chat.empty() ? end + 1 : end;
    for (int64_t s = 0; s < read; ++s) means.add(end - s, norm[i][s]);
  }
}

Profile tokens_per_second(const LoadedModel& loaded, double seconds) {
  const AnyModel model = make_learner(loaded.config, loaded.spec);
  model.module->to(loaded.device);
  model.module->train();
  FlatParameters parameters(*model.module);
  Profile profile;
  profile.name = "tokens_per_second_by_length";
  profile.x = {.title = "length of the source", .unit = counted_in(loaded.spec) + "s", .log = true};
  profile.y = {.title = "speed of training", .unit = counted_in(loaded.spec) + "s/s", .log = true};
  profile.detail = fmt::format(
      "{}s of sources and targets per second of a step of training, forward and backward, on about {} of them at "
      "once; random sources, with targets of {}; {}, {} thread{}, {}: a timing",
      counted_in(loaded.spec), kTokensTogether, loaded.spec.shape[1], loaded.device.str(), at::get_num_threads(),
      at::get_num_threads() == 1 ? "" : "s", kPrecisionNames[static_cast<int>(loaded.config.train.precision)]);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t length = kShortest; length <= kLongest && seconds_since(start) < seconds; length *= 2) {
    const int64_t count = std::max<int64_t>(1, kTokensTogether / length);
    const Batch batch = random_pairs(loaded.spec, length, count, loaded.device);
    const auto tokens = static_cast<double>(batch.x.numel() + batch.y.numel());
    const auto step = [&] { return seconds_of_step(model, parameters, batch, loaded.config.train.precision); };
    try {
      step();  // the first of a size takes memory
    } catch (const UsageError&) {
      break;  // beyond its context, and so are all that are longer
    }
    RunningMean speed;
    const auto begin = std::chrono::steady_clock::now();
    while (speed.count() < 3 || seconds_since(begin) < kSecondsOfLength) {
      speed.add(tokens / step());
      if (seconds_since(begin) > 4 * kSecondsOfLength) break;
    }
    profile.points.push_back({.x = static_cast<double>(length),
                              .mean = speed.mean(),
                              .standard_error = speed.standard_error(),
                              .n = speed.count()});
  }
  return profile;
}

std::vector<Profile> profiles_of(const LoadedModel& loaded, const Dataset& dataset, int64_t limit,
                                 double timing_seconds) {
  const Abilities& can = loaded.model.can;
  std::vector<Profile> profiles;
  const auto add = [&](Profile profile) {
    if (!profile.points.empty()) profiles.push_back(std::move(profile));
  };
  if (can.translate) {
    auto [by_length, by_distance] = matches_of(loaded, dataset, limit);
    add(std::move(by_length));
    add(std::move(by_distance));
  }
  if (can.source_gradients) {
    add(gradient_profile(loaded, loaded.model, dataset, limit));
    if (loaded.config.train.init_from.empty()) {  // what began with another's weights was not as it is drawn
      const AnyModel untrained = make_learner(loaded.config, loaded.spec);
      untrained.module->to(loaded.device);
      Profile before = gradient_profile(loaded, untrained, dataset, limit);
      before.name += "_untrained";
      before.y.title += " before training";
      add(std::move(before));
    }
  }
  if (timing_seconds > 0 && can.loss && loaded.spec.kind == DataKind::pairs) {
    add(tokens_per_second(loaded, timing_seconds));
  }
  return profiles;
}

}  // namespace genzoo
