// Notes on a comparison as a whole.
#include "evaluation/comparison_notes.h"

#include "tests/evaluation/example_comparison.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;

std::string all_of(const Comparison& comparison, const Budget& budget) {
  std::string text;
  for (const std::string& note : training_notes(comparison, budget)) text += note + "\n";
  return text;
}

TEST_CASE("a budget that was missed by more than a tenth is told", "[evaluation][comparison]") {
  Comparison comparison = example::images();
  CHECK(training_notes(comparison, StepsBudget{6000}).empty());
  CHECK(training_notes(comparison, SecondsBudget{60}).size() == 1);  // what it is of
  for (ComparedRun& run : comparison.models[1].runs) run.costs->training_seconds = 68;
  const std::string notes = all_of(comparison, SecondsBudget{60});
  CHECK_THAT(notes, Contains(comparison.models[1].name +
                             " took 68.0\u00a0s of training on average, with a budget of 60.0\u00a0s"));
  CHECK(notes.find(comparison.models[0].name + " took") == std::string::npos);
  comparison.models[1].given = true;  // no budget bound it
  CHECK(training_notes(comparison, SecondsBudget{60}).size() == 1);
  comparison.models[1].given = false;
  for (ComparedRun& run : comparison.models[1].runs) run.ending = Ending::diverged;
  CHECK(training_notes(comparison, SecondsBudget{60}).size() == 1);
  for (ComparedRun& run : comparison.models[1].runs) {
    run.ending = Ending::complete;
    run.costs->training_seconds = {};  // unknown is not missed
  }
  CHECK(training_notes(comparison, SecondsBudget{60}).size() == 1);
}

TEST_CASE("trainings of other machines and programs are told", "[evaluation][comparison]") {
  Comparison comparison = example::images();
  comparison.models[0].runs[1].costs->trained_on = "cuda:0, 2 threads";
  const std::string name = comparison.models[0].name;
  CHECK_THAT(all_of(comparison, OwnSteps{}), Contains("cuda:0, 2 threads (" + name + ")"));
  comparison.models[0].runs[1].costs->trained_on = "";  // of a bare checkpoint nothing is known
  CHECK(training_notes(comparison, OwnSteps{}).empty());
  comparison.models[1].runs[0].costs->trained_by = "genzoo 0.0.9";
  CHECK_THAT(all_of(comparison, OwnSteps{}), Contains("genzoo 0.0.9 (" + comparison.models[1].name + ")"));
}

TEST_CASE("a comparison of nothing but diverged trainings says so", "[evaluation][comparison]") {
  Comparison comparison = example::images();
  for (ComparedModel& model : comparison.models) {
    for (ComparedRun& run : model.runs) run.ending = Ending::diverged;
  }
  REQUIRE(comparison.models.back().external);  // of those nothing is known
  comparison.models.back().runs[0].ending = Ending::complete;
  CHECK(all_diverged(comparison));
  CHECK_THAT(all_of(comparison, OwnSteps{}), Contains("every training diverged"));
  comparison.models[0].runs[0].ending = Ending::complete;
  CHECK_FALSE(all_diverged(comparison));
  CHECK_FALSE(all_diverged(Comparison{}));
}

}  // namespace
}  // namespace genzoo
