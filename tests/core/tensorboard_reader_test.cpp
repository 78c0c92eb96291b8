// What EventWriter writes, read by TensorBoard's own reader, where a Python has one.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "core/tensorboard.h"
#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = GENZOO_SOURCE_DIR;

/// A Python that has the package `tensorboard`: $GENZOO_PYTHON, that of .venv, or the system's. Empty: none has.
std::string python_with_tensorboard() {
  const char* chosen = std::getenv("GENZOO_PYTHON");
  std::vector<std::string> candidates{chosen ? chosen : "", (kSource / ".venv/bin/python").string(), "python3"};
  const std::string has = " -c \"import sys, importlib.util as u; sys.exit(u.find_spec('tensorboard') is None)\"";
  for (const auto& python : candidates) {
    if (!python.empty() && std::system(("'" + python + "'" + has + " 2>/dev/null").c_str()) == 0) return python;
  }
  return "";
}

TEST_CASE("TensorBoard's own reader reads what was written", "[core][tensorboard]") {
  const std::string python = python_with_tensorboard();
  if (python.empty()) SKIP("no Python with the package tensorboard; GENZOO_PYTHON names one");
  const TempDir dir;
  const std::vector<float> values{-2.5F, -1e-3F, 0.F, 0.F, 0.25F, 0.25F, 0.75F, 3e21F};
  {
    EventWriter writer(dir / "run");
    writer.scalar("train/loss", 100, 0.5);
    writer.scalar("train/loss", 200, 0.25);
    writer.scalar("monitors/active_units", 200, 17);
    writer.image("samples", 200, "PNG bytes", 64, 32, 3);
    writer.text("verses", 300, "In the beginning");
    writer.histogram("weights/a", 400, values);
    writer.histogram("weights/b", 400, std::vector<float>(5, 1.F));
    writer.histogram("weights/b", 500, std::vector<float>(7, -1.F));
  }
  const std::string event_file = fs::directory_iterator(dir / "run")->path().string();
  const fs::path out = dir / "found.json", errors = dir / "errors";
  const std::string command = "'" + python + "' '" + (kSource / "tests/reference/read_events.py").string() + "' '" +
                              event_file + "' > '" + out.string() + "' 2> '" + errors.string() + "'";
  const int status = std::system(command.c_str());
  INFO(read_file(errors));
  REQUIRE(status == 0);
  const Json found = parse_json(read_file(out), "found.json");
  CHECK(found["scalars"] == Json::parse(R"({"train/loss": [[100, 0.5], [200, 0.25]],
                                            "monitors/active_units": [[200, 17.0]]})"));
  CHECK(found["images"] == Json::parse(R"({"samples": [[200, 64, 32, "504E47206279746573"]]})"));
  CHECK(found["texts"] == Json::parse(R"({"verses": [[300, "In the beginning"]]})"));

  const Json& a = found["histograms"]["weights/a"].at(0);
  CHECK(a[0] == 400);
  CHECK(a[1] == -2.5);
  CHECK(a[2] == static_cast<double>(3e21F));
  CHECK(a[3] == 8.0);
  double sum = 0, squares = 0;
  for (const double v : values) sum += v, squares += v * v;
  CHECK(std::abs(a[4].get<double>() / sum - 1) < 1e-12);
  CHECK(std::abs(a[5].get<double>() / squares - 1) < 1e-12);

  // The page's rows: every value lies in one of them, and so many as there are values.
  REQUIRE(found["drawn"]["weights/a"].size() == 1);
  std::vector<int> held(values.size(), 0);
  double total = 0;
  for (const Json& row : found["drawn"]["weights/a"][0]) {
    const double left = row[0], right = row[1], count = row[2];
    total += count;
    int inside = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const bool last = static_cast<double>(values[i]) == right && right == a[2].get<double>();
      if ((left <= values[i] && values[i] < right) || last) ++held[i], ++inside;
    }
    CHECK(count == inside);
  }
  CHECK(total == 8);
  CHECK(held == std::vector<int>(values.size(), 1));
  CHECK(found["histograms"]["weights/b"].size() == 2);
  CHECK(found["histograms"]["weights/b"][1][0] == 500);
}

}  // namespace
}  // namespace genzoo
