#include "evaluation/benchmark.h"

#include <ATen/Parallel.h>

#include "core/error.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"

namespace genzoo {
namespace {

constexpr double kSeconds = 0.02;

}  // namespace

TEST_CASE("a benchmark of every family trains what a training would", "[evaluation][benchmark]") {
  const int threads = at::get_num_threads();
  for (const auto& [model, data] : {std::pair(tiny::kFlow, tiny::kPoints), std::pair(tiny::kVae, tiny::kPoints),
                                    std::pair(tiny::kGan, tiny::kNoise), std::pair(tiny::kTransformer, tiny::kText)}) {
    INFO(model);
    const Benchmark line = run_benchmark(tiny::experiment(model, data), kSeconds, {});
    CHECK(line.workload == "tiny");
    CHECK(line.threads == 1);
    CHECK(line.batch == 16);
    CHECK(line.seconds > 0);
    CHECK(line.seconds_min <= line.seconds);
    CHECK(line.seconds <= line.seconds_max);
    const double items = line.unit == "tokens/s" ? 16 * 8 : 16;
    CHECK(line.items_per_second * line.seconds == Approx(items));
    CHECK(line.parameters > 0);
    CHECK(line.flops > 0);
    CHECK(line.peak_memory > 1 << 20);
    CHECK(line.start_to_first > line.start_to_step);
    CHECK(line.loss_first.has_value());
    CHECK(*line.loss_first != *line.loss_last);
  }
  at::set_num_threads(threads);
}

TEST_CASE("a benchmark of no steps measures generation", "[evaluation][benchmark]") {
  const int threads = at::get_num_threads();
  const Benchmark line =
      run_benchmark(tiny::experiment(tiny::kTransformer, tiny::kText, {"train.steps=0"}), kSeconds, {});
  CHECK(line.unit == "tokens/s");
  CHECK(line.batch == 1);
  CHECK(line.items_per_second * line.seconds == Approx(1));
  CHECK(line.bytes == 4.0 * static_cast<double>(line.parameters));
  CHECK_FALSE(line.loss_first.has_value());
  const Json json = line.to_json();
  CHECK(json.at("mode") == "decode");
  CHECK(json.at("loss_first").is_null());
  CHECK_THROWS_AS(run_benchmark(tiny::experiment(tiny::kVae, tiny::kPoints, {"train.steps=0"}), kSeconds, {}),
                  UsageError);
  CHECK_THROWS_AS(run_benchmark(tiny::experiment(tiny::kTransformer, tiny::kText), kSeconds, {}, WeightType::int8),
                  UsageError);
  at::set_num_threads(threads);
}

TEST_CASE("a benchmark generates with weights of the precision's type, or of another that is asked for",
          "[evaluation][benchmark]") {
  const int threads = at::get_num_threads();
  const auto measure = [](const std::string& precision, std::optional<WeightType> type) {
    return run_benchmark(
        tiny::experiment(tiny::kTransformer, tiny::kText, {"train.steps=0", "train.precision=" + precision}), kSeconds,
        {}, type);
  };
  const Benchmark halves = measure("bfloat16", {}), bytes = measure("bfloat16", WeightType::int8);
  CHECK(halves.bytes == 2.0 * static_cast<double>(halves.parameters));
  CHECK(halves.to_json().at("dtype") == "bf16");
  CHECK(bytes.bytes == static_cast<double>(bytes.parameters));
  CHECK(bytes.to_json().at("dtype") == "int8");
  at::set_num_threads(threads);
}

TEST_CASE("where data are missing, others of their size stand in, and the line says so", "[evaluation][benchmark]") {
  const int threads = at::get_num_threads();
  const Benchmark line = run_benchmark(tiny::experiment(tiny::kFlow, "{debd: {name: nltcs}}"), kSeconds, {});
  CHECK(line.data == "random, in place of debd_nltcs, which is missing: vectors of 16 dimensions, 2 levels");
  CHECK_THROWS_AS(run_benchmark(tiny::experiment(tiny::kVae, "{mnist: {root: /nowhere}}"), kSeconds, {}), DataMissing);
  at::set_num_threads(threads);
}

TEST_CASE("a benchmark's line has the keys of the rivals' scripts, and shares of the limits",
          "[evaluation][benchmark]") {
  Benchmark line;
  line.workload = "some";
  line.precision = "bfloat16";
  line.seconds = line.seconds_min = line.seconds_max = 0.5;
  line.flops = 1e9;
  const MachineLimits limits{4e9, 8e9, 1e9, 2e9};
  const Json json = line.to_json(limits);
  for (const char* key : {"workload", "peer", "mode", "dtype", "threads", "batch", "ms_per_step", "ms_min", "ms_max",
                          "items_per_s", "unit", "params", "start_to_first_step_s", "peak_rss_mb", "loss_first",
                          "loss_last", "gflop_per_step", "other_cpu"}) {
    INFO(key);
    CHECK(json.contains(key));
  }
  CHECK(json.at("dtype") == "bf16");
  CHECK(json.at("ms_per_step") == 500.0);
  CHECK(json.at("share_of_products").get<double>() == Approx(0.25));
  CHECK(json.at("share_of_memory").is_null());
}

TEST_CASE("the machine's limits are above zero, and bfloat16 products are counted alike", "[evaluation][benchmark]") {
  const MachineLimits limits = measure_limits(0.02);
  for (const double limit : {limits.float32_flops, limits.bfloat16_flops, limits.read_bytes, limits.update_bytes}) {
    CHECK(limit > 1e7);
    CHECK(limit < 1e16);
  }
}

}  // namespace genzoo
