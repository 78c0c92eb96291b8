// Profiles of models of pairs: what is measured of them, and how it is kept.
#include "evaluation/profile.h"

#include <cmath>

#include "core/error.h"
#include "data/pair_tasks.h"
#include "data/pairs.h"
#include "evaluation/evaluate.h"
#include "evaluation/measured_profiles.h"
#include "evaluation/measured_run.h"
#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using tiny::contains;
using tiny::loaded;
using tiny::message_of;

constexpr const char* kSeq2Seq = "{recurrent_seq2seq: {n_embd: 6, hidden: 8}}";

Dataset recall(int64_t test_pairs = 6) {
  RecallConfig config;
  config.max_pairs = 3;
  config.keys = 8;
  config.values = 3;
  config.examples = 300;
  config.test_pairs = test_pairs;
  config.test = 120;
  return open(config, DataPlaces{});
}

const Profile* find(const std::vector<Profile>& profiles, const std::string& name) {
  const auto found = std::ranges::find(profiles, name, &Profile::name);
  return found == profiles.end() ? nullptr : &*found;
}

std::vector<double> places(const Profile& profile) {
  std::vector<double> x;
  for (const ProfilePoint& point : profile.points) x.push_back(point.x);
  return x;
}

/// Makes the target of every source, given as many of them as the data have.
AnyModel knowing(const Dataset& dataset, const std::function<bool(const Tensor& x)>& knows) {
  AnyModel model = loaded(kSeq2Seq, dataset.spec).model;
  model.can.translate = [&dataset, knows](const Tensor& x, const TranslateOptions&, Rng&) {
    const Tensor distance = dataset.distance(x);
    const Tensor ends = up_to_end(x, dataset.spec.end_token).sum(1) - 1;
    Tensor y = torch::full({x.size(0), 2}, dataset.spec.end_token, torch::kLong);
    for (int64_t i = 0; i < x.size(0); ++i) {
      if (knows(x[i])) y[i][0] = x[i][ends[i].item<int64_t>() - distance[i].item<int64_t>()];
    }
    return y;
  };
  return model;
}

TEST_CASE("a profile is read back as it was written, and a damaged one is refused", "[evaluation][profiles]") {
  const Profile profile{
      .name = "p",
      .x = {.title = "length", .unit = "chars", .log = true},
      .y = {.title = "speed", .unit = ""},
      .points = {{.x = 1, .mean = 0.5, .standard_error = 0.25, .n = 4}, {.x = 2.5, .mean = 3, .n = 1}},
      .detail = "how"};
  CHECK(Profile::from_json(profile.to_json()) == profile);
  CHECK(profile.x.words() == "length, chars");
  CHECK(profile.y.words() == "speed");
  Profile broken = profile;
  broken.points[0].mean = NAN;
  CHECK(broken.to_json()["points"][0]["mean"].is_null());
  CHECK(std::isnan(Profile::from_json(broken.to_json()).points[0].mean));
  for (const char* key : {"name", "x", "y", "points", "detail"}) {
    Json damaged = profile.to_json();
    damaged.erase(key);
    CHECK_THROWS_AS(Profile::from_json(damaged), RunError);
  }
  Evaluation evaluation;
  evaluation.profiles = {profile, profile};
  CHECK((Evaluation::from_json(evaluation.to_json()).profiles == evaluation.profiles));
}

TEST_CASE("exact matches are told by a place of each text", "[evaluation][profiles]") {
  const Profile profile = match_profile({{"a", "b", "c", "dd"}, {"a", "x", "c", "d"}, {}}, {3, 3, 2, 3});
  REQUIRE(profile.points.size() == 2);
  CHECK(profile.points[0] == ProfilePoint{.x = 2, .mean = 1, .standard_error = {}, .n = 1});
  CHECK(profile.points[1].x == 3);
  CHECK(profile.points[1].mean == Approx(1.0 / 3));
  CHECK(*profile.points[1].standard_error == Approx(std::sqrt(2.0 / 9 / 2)));
  CHECK(profile.points[1].n == 3);
}

TEST_CASE("gradients are told by their distance before the end of each source, or those of one token",
          "[evaluation][profiles]") {
  const Tensor x = torch::tensor({{1, 2, 9, 9}, {3, 9, 9, 9}}), norms = torch::tensor({{5.0, 6.0, 7.0, 0.0},  //
                                                                                       {1.0, 3.0, 0.0, 0.0}});
  MeansByPlace all, one, chat;
  DataSpec spec;
  spec.end_token = 9;
  add_gradients(all, norms, x, spec, /*only=*/{});
  const auto points = all.points();
  REQUIRE(points.size() == 3);
  CHECK(points[0].mean == 5);  // the ends: 7 and 3
  CHECK(points[1].mean == 3.5);
  CHECK(points[2] == ProfilePoint{.x = 2, .mean = 5, .standard_error = {}, .n = 1});
  add_gradients(one, norms, x, spec, torch::tensor({2, 1}));
  REQUIRE(one.points().size() == 2);
  CHECK(one.points()[0] == ProfilePoint{.x = 1, .mean = 1, .standard_error = {}, .n = 1});
  CHECK(one.points()[1] == ProfilePoint{.x = 2, .mean = 5, .standard_error = {}, .n = 1});
  spec.chat = "{}";  // whatever it is
  add_gradients(chat, norms, x, spec, {});
  CHECK(chat.points().size() == 2);
  CHECK(chat.points()[0].x == 1);
}

TEST_CASE("what a model of pairs knows is told by length and by distance, of validation and test together",
          "[evaluation][profiles]") {
  const Dataset set = recall();
  LoadedModel m = loaded(kSeq2Seq, set.spec);
  m.model.can = knowing(set, [&](const Tensor& x) { return set.distance(x.unsqueeze(0)).item<int64_t>() <= 4; }).can;
  const std::vector<Profile> profiles = profiles_of(m, set, /*limit=*/0, /*timing_seconds=*/0);
  const Profile* by_distance = find(profiles, "recall_by_distance");
  REQUIRE(by_distance);
  CHECK(places(*by_distance) == std::vector<double>{2, 4, 6, 8, 10, 12});
  int64_t n = 0;
  for (const ProfilePoint& point : by_distance->points) {
    CHECK(point.mean == (point.x <= 4 ? 1 : 0));
    n += point.n;
  }
  CHECK(n == 30 + 120);
  const Profile* by_length = find(profiles, "exact_match_by_length");
  REQUIRE(by_length);
  CHECK(places(*by_length) == std::vector<double>{5, 7, 9, 11, 13});
  CHECK(by_length->points.front().mean == 1);  // of two pairs: at most 4 back
  CHECK(by_length->points.back().mean < 0.7);
  CHECK(contains(by_length->detail, "each of validation and test"));
  CHECK_FALSE(find(profiles, "tokens_per_second_by_length"));
  const std::vector<Profile> few = profiles_of(m, set, /*limit=*/10, 0);
  int64_t counted = 0;
  for (const ProfilePoint& point : find(few, "exact_match_by_length")->points) counted += point.n;
  CHECK(counted == 20);
  const Dataset untested = recall(/*test_pairs=*/0);
  LoadedModel other = loaded(kSeq2Seq, untested.spec);
  const std::vector<Profile> validation = profiles_of(other, untested, 0, 0);
  CHECK(contains(find(validation, "exact_match_by_length")->detail, "each of validation"));
  CHECK(places(*find(validation, "recall_by_distance")) == std::vector<double>{2, 4, 6});
}

TEST_CASE("gradients reach back to the value asked for, in the trained model and in a new one",
          "[evaluation][profiles]") {
  const Dataset set = recall();
  const LoadedModel m = loaded(kSeq2Seq, set.spec);
  const std::vector<Profile> profiles = profiles_of(m, set, 0, 0);
  const Profile *trained = find(profiles, "gradient_by_distance"),
                *fresh = find(profiles, "gradient_by_distance_untrained");
  REQUIRE((trained && fresh));
  CHECK(places(*trained) == std::vector<double>{2, 4, 6, 8, 10, 12});
  CHECK(trained->y.log);
  // By hand, of the values that stand two tokens before the end.
  RunningMean mean;
  for (const Split split : {Split::validation, Split::test}) {
    const Tensor x = set[split].x.to(torch::kLong), y = set[split].y.to(torch::kLong);
    const Tensor norms = m.model.can.source_gradients(x, y), distance = set.distance(x);
    const Tensor ends = up_to_end(x, set.spec.end_token).sum(1) - 1;
    for (int64_t i = 0; i < x.size(0); ++i) {
      if (distance[i].item<int64_t>() == 2) mean.add(norms[i][ends[i].item<int64_t>() - 2].item<double>());
    }
  }
  CHECK(trained->points[0].mean == Approx(mean.mean()).epsilon(1e-4));
  CHECK(trained->points[0].n == mean.count());
  CHECK(fresh->points[0].mean != trained->points[0].mean);
  CHECK((profiles_of(m, set, 0, 0)[2].points == trained->points));  // the same every time
  // Of data without a distance all tokens count, the end first.
  ReverseConfig letters;
  letters.length = 5;
  letters.alphabet = 4;
  letters.examples = 200;
  const Dataset reversed = open(letters, DataPlaces{});
  const std::vector<Profile> others = profiles_of(loaded(kSeq2Seq, reversed.spec), reversed, 0, 0);
  CHECK(places(*find(others, "gradient_by_distance")) == std::vector<double>{0, 1, 2, 3, 4, 5});
  CHECK_FALSE(find(others, "recall_by_distance"));
}

TEST_CASE("training is timed by length up to the context, on a model of its own", "[evaluation][profiles]") {
  const Dataset set = recall();
  const LoadedModel m = loaded("{transformer: {n_layer: 1, n_head: 2, n_embd: 8, block_size: 64}}", set.spec);
  const std::vector<Tensor> before = [&] {
    std::vector<Tensor> values;
    for (const Tensor& p : m.model.module->parameters()) values.push_back(p.clone());
    return values;
  }();
  const Profile profile = tokens_per_second(m, /*seconds=*/10);
  CHECK(places(profile) == std::vector<double>{16, 32});  // 64 and a target do not fit
  CHECK((profile.x.log && profile.y.log));
  for (const ProfilePoint& point : profile.points) {
    CHECK(point.mean > 0);
    CHECK(point.n >= 3);
  }
  CHECK(contains(profile.detail, "cpu"));
  CHECK(contains(profile.detail, "thread"));
  size_t i = 0;
  for (const Tensor& p : m.model.module->parameters()) CHECK(torch::equal(p, before[i++]));
  CHECK(places(tokens_per_second(loaded(kSeq2Seq, set.spec), 1e-9)).empty());  // no time for any
}

TEST_CASE("profiles are measured where they are asked for, and in comparisons", "[evaluation][profiles]") {
  const Dataset set = recall();
  const LoadedModel m = loaded(kSeq2Seq, set.spec);
  EvaluateOptions options;
  CHECK(evaluate(m, set, options).profiles.empty());
  options.metrics = {"profiles"};
  const Evaluation evaluation = evaluate(m, set, options);
  CHECK(evaluation.metrics.empty());
  CHECK(evaluation.profiles.size() == 5);
  CHECK(evaluation.to_json()["profiles"].size() == 5);
  const ComparedRun run = measure_run(m, set, nullptr, {});
  CHECK(run.evaluation.profiles.size() == 5);
  CHECK((ComparedRun::from_json(run.to_json()).evaluation.profiles == run.evaluation.profiles));
  const Dataset text = tiny::verses();
  const LoadedModel other = loaded(tiny::kTransformer, text.spec);
  CHECK(contains(message_of<UsageError>([&] { evaluate(other, text, options); }), "has no profiles"));
  Protocol protocol;
  protocol.split = Split::validation;
  CHECK(measure_run(other, text, nullptr, protocol).evaluation.profiles.empty());
}

}  // namespace
}  // namespace genzoo
