#include "evaluation/statistics.h"

#include "core/file.h"
#include "core/json.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Numbers = std::vector<double>;

Json reference() {
  const auto path = std::filesystem::path(GENZOO_SOURCE_DIR) / "tests/reference/statistics.json";
  return parse_json(read_file(path), path.string());
}

/// Relative, with an absolute floor.
void check_close(double got, double wanted, double tolerance) {
  CHECK(std::abs(got - wanted) <= tolerance * std::max(std::abs(wanted), 1e-200));
}

TEST_CASE("the incomplete beta function agrees with SciPy's", "[evaluation][statistics]") {
  const Json rows = reference()["betainc"];
  REQUIRE(rows.size() > 200);
  for (const Json& row : rows) {
    INFO(row.dump());
    check_close(incomplete_beta(row[0], row[1], row[2]), row[3], 1e-10);
  }
  CHECK(incomplete_beta(2, 3, 0) == 0.0);
  CHECK(incomplete_beta(2, 3, 1) == 1.0);
  CHECK(incomplete_beta(1, 1, 0.25) == Approx(0.25).epsilon(1e-14));  // the uniform distribution's
  CHECK_THROWS_AS(incomplete_beta(0, 1, 0.5), std::invalid_argument);
  CHECK_THROWS_AS(incomplete_beta(1, 1, 1.5), std::invalid_argument);
  CHECK_THROWS_AS(incomplete_beta(1, 1, NAN), std::invalid_argument);
}

TEST_CASE("Student's p of one and two degrees of freedom is that of the closed forms", "[evaluation][statistics]") {
  for (const double t : {0.0, 0.1, 1.0, -2.5, 12.0}) {
    CHECK(two_sided_p(t, 1) == Approx(1 - 2 / M_PI * std::atan(std::abs(t))).epsilon(1e-12));
    CHECK(two_sided_p(t, 2) == Approx(1 - std::abs(t) / std::sqrt(2 + t * t)).epsilon(1e-12));
  }
}

TEST_CASE("Welch's test and Hedges' g agree with SciPy", "[evaluation][statistics]") {
  const Json rows = reference()["welch"];
  REQUIRE(rows.size() == 10);
  for (const Json& row : rows) {
    const Numbers a = row["a"], b = row["b"];
    INFO(row.dump());
    const auto test = welch_test(a, b);
    REQUIRE(test);
    CHECK(test->t == Approx(row["t"].get<double>()).epsilon(1e-10).margin(1e-12));
    CHECK(test->degrees_of_freedom == Approx(row["degrees_of_freedom"].get<double>()).epsilon(1e-10));
    check_close(test->p, row["p"], 1e-9);
    CHECK(*hedges_g(a, b) == Approx(row["g"].get<double>()).epsilon(1e-10).margin(1e-12));
    // The order of the two turns signs and nothing else.
    CHECK(welch_test(b, a)->t == -test->t);
    CHECK(welch_test(b, a)->p == test->p);
    CHECK(*hedges_g(b, a) == -*hedges_g(a, b));
  }
}

TEST_CASE("where chance is unknown there is no test", "[evaluation][statistics]") {
  const Numbers one{1.0}, two{1.0, 2.0}, none{}, still{3.0, 3.0}, other{4.0, 4.0, 4.0}, broken{1.0, NAN};
  CHECK_FALSE(welch_test(one, two));
  CHECK_FALSE(welch_test(two, one));
  CHECK_FALSE(welch_test(none, two));
  CHECK_FALSE(welch_test(broken, two));
  CHECK_FALSE(welch_test(still, still));
  CHECK_FALSE(welch_test(still, other));
  CHECK_FALSE(hedges_g(still, other));
  CHECK_FALSE(hedges_g(one, two));
  // Sums taken in another order differ in their last bits: that is no spread either.
  const Numbers rounded{0.1 + 0.2, 0.3};
  REQUIRE(rounded[0] != rounded[1]);
  CHECK_FALSE(welch_test(rounded, other));
  // One set that varies is enough.
  const auto test = welch_test(still, two);
  REQUIRE(test);
  CHECK(test->degrees_of_freedom == Approx(1.0));
  CHECK(test->t == Approx(3.0));  // (3 - 1.5) / 0.5
}

TEST_CASE("Holm's correction is that of the definition", "[evaluation][statistics]") {
  const Json rows = reference()["holm"];
  REQUIRE(rows.size() == 4);
  for (const Json& row : rows) {
    const Numbers p = row["p"], wanted = row["corrected"], got = holm_correction(p);
    REQUIRE(got.size() == wanted.size());
    for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(wanted[i]).epsilon(1e-14));
  }
  CHECK(holm_correction(Numbers{0.01, 0.04, 0.03, 0.005})[1] == Approx(0.06));  // not below that of a smaller p
  CHECK(holm_correction(Numbers{}).empty());
}

}  // namespace
}  // namespace genzoo
