#include "evaluation/comparison_folder.h"

#include "core/error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

std::string refusal(const fs::path& out, const Json& asked) {
  try {
    ComparisonFolder(out, asked);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

ComparedRun measured_run() {
  ComparedRun run;
  run.path = "runs/a";
  run.seed = 4;
  run.ending = Ending::unfinished;
  run.stopped_by = "budget of 60 s";
  run.evaluation = {.run = "runs/a",
                    .model = "m",
                    .dataset = "d",
                    .split = "test",
                    .step = 7,
                    .weights = "ema",
                    .metrics = {{.name = "frechet",
                                 .value = 1.5,
                                 .unit = "",
                                 .kind = "",
                                 .standard_error = {},
                                 .n = 10,
                                 .detail = "x",
                                 .of = "pixels",
                                 .better = Better::lower},
                                {.name = "likelihood",
                                 .value = NAN,
                                 .unit = "nats",
                                 .kind = "exact",
                                 .standard_error = 0.25,
                                 .n = 3,
                                 .detail = "",
                                 .of = "bits",
                                 .better = Better::higher}},
                    .notes = {"note"}};
  run.evaluation.missing["likelihood"] = "it has none";
  run.costs = Costs{.parameters = 5,
                    .training_flops = 1e12,
                    .steps = 7,
                    .item = "images",
                    .samples_per_s = 3.0,
                    .training_seconds = 2.5,
                    .items_per_s = {},
                    .peak_memory = 1 << 20,
                    .trained_on = "cpu, 2 threads",
                    .trained_by = "genzoo 0.1.0"};
  run.curve = {{1, 0.5, 3.0}, {2, 1.0, 2.0}};
  return run;
}

TEST_CASE("a comparison's folder goes on with the same request and refuses another", "[evaluation]") {
  const TempDir folder;
  const fs::path out = folder / "report";
  const Json asked = {{"seeds", 3}, {"budget", "60 s"}};
  {
    ComparisonFolder comparison(out, asked);
    CHECK_FALSE(comparison.decided("steps of a"));
    comparison.decide("steps of a", 120);
    CHECK(refusal(out, asked).find("another genzoo") != std::string::npos);  // while it is held
  }
  CHECK(ComparisonFolder(out, asked).decided("steps of a") == 120);
  CHECK(refusal(out, {{"seeds", 4}, {"budget", "60 s"}}).find("differs in seeds;") != std::string::npos);
  CHECK(refusal(out, {{"seeds", 3}}).find("differs in budget;") != std::string::npos);
}

TEST_CASE("a folder with something else in it is left alone", "[evaluation]") {
  const TempDir folder;
  write_file_whole(folder / "thesis.txt", "text");
  CHECK(refusal(folder.path(), {{"seeds", 1}}).find("not empty") != std::string::npos);
  CHECK(refusal(folder / "thesis.txt", {{"seeds", 1}}).find("that is a file") != std::string::npos);
  CHECK_FALSE(fs::exists(folder / "comparison.json"));
}

TEST_CASE("what was measured of some weights comes back whole, and of no others", "[evaluation]") {
  const TempDir folder;
  const ComparisonFolder comparison(folder / "report", {{"seeds", 1}});
  const ComparedRun run = measured_run();
  comparison.keep("a (runs/x y)", 4, "digest", run);
  const auto back = comparison.measured("a (runs/x y)", 4, "digest");
  REQUIRE(back);
  CHECK(back->to_json() == run.to_json());
  CHECK(std::isnan(back->evaluation.metrics[1].value));
  CHECK(back->evaluation.metrics[0].better == Better::lower);
  CHECK(back->curve.size() == 2);
  CHECK_FALSE(comparison.measured("a (runs/x y)", 4, "other weights"));
  CHECK_FALSE(comparison.measured("a (runs/x y)", 5, "digest"));
  CHECK_FALSE(comparison.measured("a (runs/x_y)", 4, "digest"));
}

TEST_CASE("a measured run that cannot be is damaged", "[evaluation]") {
  for (const auto& [key, word] : {std::pair{"/metrics/0/better", "sideways"}, std::pair{"/ending", "happily"}}) {
    Json json = measured_run().to_json();
    REQUIRE_NOTHROW(ComparedRun::from_json(json));
    json[Json::json_pointer(key)] = word;
    CHECK_THROWS_AS(ComparedRun::from_json(json), RunError);
  }
}

TEST_CASE("why something was decided stays beside it", "[evaluation]") {
  const TempDir folder;
  {
    ComparisonFolder comparison(folder / "report", {{"seeds", 1}});
    CHECK(comparison.noted("samples").empty());
    comparison.note("samples", "a is slow");
  }
  CHECK(ComparisonFolder(folder / "report", {{"seeds", 1}}).noted("samples") == "a is slow");
}

}  // namespace
}  // namespace genzoo
