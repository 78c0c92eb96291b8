// The report's page in a real browser.
#include "evaluation/report.h"
#include "tests/evaluation/browser.h"
#include "tests/evaluation/example_comparison.h"

namespace genzoo {
namespace {

constexpr const char* kNoBrowser = "no chromium, chromium-browser or google-chrome that starts here";

TEST_CASE("a browser draws every report, on a phone as well", "[evaluation][report][browser]") {
  const auto browser = Browser::find();
  if (!browser) SKIP(kNoBrowser);
  std::vector<Browser::View> views;
  const std::vector<Comparison> comparisons = {example::images(), example::hostile(), example::texts(),
                                               example::points(), example::pairs()};
  for (const Comparison& comparison : comparisons) {
    const std::string page = report_html(comparison);
    for (const int width : {360, 1200}) views.push_back({page, width});
  }
  const std::vector<Json> seen = browser->look_at(views, "--window-size=1600,1200");
  const std::vector<int> charts = {2, 5, 4, 2, 2};
  for (size_t i = 0; i < seen.size(); ++i) {
    const Json& view = seen[i];
    INFO(i << ": " << view.dump());
    CHECK(view["problems"] == Json::array());
    CHECK(view["resources"] == Json::array());
    CHECK(view["width"] == views[i].width);
    CHECK(view["content"].get<int>() <= views[i].width);
    CHECK(view["charts"] == charts[i / 2]);
    CHECK(view["broken"] == 0);
    // The line of one seed crosses a chart of at least 250 pixels.
    CHECK(view["colored"].get<int>() > 100);
  }
  CHECK(seen[0]["pictures"] == 6 + 5 + 2 + 1);
  CHECK(seen[4]["pictures"] == 0);
  // Only where a loss of a million would flatten the rest does the axis leave it out, and says so.
  CHECK(seen[0]["hints"] == 0);
  CHECK(seen[2]["hints"] == 2);
}

TEST_CASE("the page is dark where the reader wants it", "[evaluation][report][browser]") {
  const auto browser = Browser::find();
  if (!browser) SKIP(kNoBrowser);
  const std::string page = report_html(example::images());
  const Json light = browser->look_at({{page, 800}}, "--blink-settings=preferredColorScheme=1").front();
  const Json dark = browser->look_at({{page, 800}}, "--blink-settings=preferredColorScheme=0").front();
  CHECK(light["background"] == "rgb(252, 251, 248)");
  CHECK(dark["background"] == "rgb(21, 23, 26)");
  // The charts follow: the color looked for is the one that the dark page gives the first series.
  CHECK(dark["colored"].get<int>() > 100);
  CHECK(dark["problems"] == Json::array());
}

}  // namespace
}  // namespace genzoo
