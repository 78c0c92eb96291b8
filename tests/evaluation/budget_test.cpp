#include "evaluation/budget.h"

#include "core/error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

TEST_CASE("a budget is a time, a number of steps, or nothing", "[evaluation]") {
  CHECK(parse_budget("") == Budget(OwnSteps{}));
  CHECK(parse_budget("120s") == Budget(SecondsBudget{120}));
  CHECK(parse_budget("2.5s") == Budget(SecondsBudget{2.5}));
  CHECK(parse_budget("5min") == Budget(SecondsBudget{300}));
  CHECK(parse_budget("1h") == Budget(SecondsBudget{3600}));
  CHECK(parse_budget("5000steps") == Budget(StepsBudget{5000}));
  CHECK(describe(parse_budget("5min")) == "300 s");
  CHECK(describe(parse_budget("7steps")) == "7 steps");
}

TEST_CASE("what is no budget is refused, with what would be one", "[evaluation]") {
  for (const char* text :
       {"120", "s", "-5s", "0s", "0steps", "2.5steps", "5 s", "5m", "nans", "infs", "1e300s", "5sec"}) {
    INFO(text);
    try {
      parse_budget(text);
      FAIL("accepted");
    } catch (const UsageError& error) {
      CHECK(std::string(error.what()).find("120s, 5min, 1h or 5000steps") != std::string::npos);
    }
  }
}

TEST_CASE("a time is as many steps as fit it, at least one", "[evaluation]") {
  CHECK(steps_within({60}, 0.5) == 120);
  CHECK(steps_within({60}, 0.7) == 85);
  CHECK(steps_within({60}, 100.0) == 1);
}

}  // namespace
}  // namespace genzoo
