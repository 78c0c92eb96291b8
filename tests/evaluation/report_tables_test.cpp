#include "evaluation/report_tables.h"

#include "evaluation/report.h"
#include "evaluation/report_columns.h"
#include "evaluation/report_glossary.h"
#include "tests/evaluation/example_comparison.h"

namespace genzoo {
namespace {

using Catch::Matchers::Contains;
using Lines = std::vector<std::string>;

Metric bits(double value, const std::string& kind) {
  return example::metric("likelihood", value, "bits/dim", example::kPixels, Better::lower, 1000, kind);
}

Metric share(double value, int64_t n = 1000) {
  return {.name = "recall",
          .value = value,
          .unit = "",
          .kind = "",
          .standard_error = {},
          .n = n,
          .detail = "share of real data",
          .of = "pixels",
          .better = Better::higher};
}

/// A model with one metric, a value a seed.
ComparedModel model(const std::string& name, const std::vector<Metric>& seeds) {
  ComparedModel model;
  model.name = name;
  model.family = "vae";
  for (size_t seed = 0; seed < seeds.size(); ++seed) {
    model.runs.push_back(example::run(name, static_cast<int64_t>(seed), {seeds[seed]}));
  }
  return model;
}

Comparison of(const std::vector<ComparedModel>& models) {
  Comparison comparison;
  comparison.title = "example";
  comparison.models = models;
  return comparison;
}

/// The findings, one after the other.
std::string found(const Comparison& comparison) {
  std::string text;
  for (const Finding& finding : findings_of(comparison, verdicts_of(comparison))) text += finding.text + "\n";
  return text;
}

TEST_CASE("a worse bound does not decide between models, a worse exact value does", "[evaluation][report]") {
  const auto at = [](const std::string& name, double center, const std::string& kind) {
    return model(name, {bits(center - 0.01, kind), bits(center, kind), bits(center + 0.01, kind)});
  };
  const Comparison bound = of({at("a", 3.0, "exact"), at("b", 4.0, "lower_bound")});
  const auto verdicts = verdicts_of(bound);
  REQUIRE(verdicts.size() == 1);
  CHECK(verdicts[0].better == "a");
  CHECK(verdicts[0].of_bounds);
  CHECK(results_table(bound, verdicts).rows[0][1].mark == TableCell::Mark::leading);
  const TableCell told = differences_table(verdicts[0].column, verdicts).rows[0].back();
  CHECK(told.text == "the number of a is better");
  CHECK_THAT(told.note, Contains("undecided for the models themselves"));
  CHECK_THAT(found(bound), Contains("undecided for the models themselves"));
  CHECK_THAT(report_html(bound), Contains("(0 of 1 decided)"));
  // The better one's bound is enough where the worse is exact; an estimate of the worse is not.
  const Comparison exact = of({at("a", 3.0, "lower_bound"), at("b", 4.0, "exact")});
  CHECK(results_table(exact, verdicts_of(exact)).rows[0][1].mark == TableCell::Mark::best);
  CHECK(found(exact) == "a has the best mean, 3.0000 ± 0.0058; decidedly better than b\n");
  const Comparison estimate = of({at("a", 4.0, "estimate"), at("b", 3.0, "exact")});
  CHECK(results_table(estimate, verdicts_of(estimate)).rows[1][1].mark == TableCell::Mark::leading);
}

TEST_CASE("a number of a training that did not come to its end is marked", "[evaluation][report]") {
  Comparison comparison = of({model("a", {share(0.9)}), model("b", {share(0.8)})});
  comparison.models[0].runs[0].ending = Ending::unfinished;
  const TableCell cell = results_table(comparison, verdicts_of(comparison)).rows[0][1];
  CHECK_THAT(cell.note, Contains("unfinished"));
  CHECK(cell.mark != TableCell::Mark::best);
}

TEST_CASE("what is beyond the floor is tagged, best or not", "[evaluation][report]") {
  Comparison comparison = of({model("a", {share(0.9)}), model("b", {share(0.8)}), model("c", {share(0.5)})});
  comparison.floors = {share(0.7)};
  const ReportTable table = results_table(comparison, verdicts_of(comparison));
  CHECK(table.rows[0][1].beyond_floor);
  CHECK(table.rows[1][1].beyond_floor);
  CHECK_FALSE(table.rows[2][1].beyond_floor);
  CHECK_THAT(found(comparison), Contains("beyond the floor"));
  CHECK_THAT(report_markdown(comparison), Contains("**0.900** <br><sub>one seed, best mean, beyond the floor</sub>"));
  CHECK_THAT(report_html(comparison), Contains("<em class=\"tag beyond\">beyond the floor</em></td>"));
  // Of another number of samples it is no floor: distances fall with that number.
  comparison.floors[0].n += 1;
  CHECK_FALSE(results_table(comparison, verdicts_of(comparison)).rows[0][1].beyond_floor);
  // Where lower is better, below it.
  Metric distance = share(0.5);
  distance.better = Better::lower;
  comparison = of({model("a", {distance})});
  comparison.floors = {distance};
  const Column column = columns_of(comparison)[0];
  const Cell cell = cell_of(comparison.models[0], column);
  CHECK_FALSE(is_beyond_floor(comparison, column, cell));
  comparison.floors[0].value = 0.6;
  CHECK(is_beyond_floor(comparison, column, cell));
  comparison.floors[0].value = 0.4;
  CHECK_FALSE(is_beyond_floor(comparison, column, cell));
}

TEST_CASE("untested columns are one sentence and no table", "[evaluation][report]") {
  const Comparison one = of({model("a", {share(0.9)}), model("b", {share(0.8)})});
  const auto verdicts = verdicts_of(one);
  CHECK(differences_table(verdicts[0].column, verdicts).empty());
  CHECK(untested_in_words(one, verdicts) ==
        Lines{"No test in any column: one training seed of each: chance is unknown."});
  CHECK(found(one) == "a has the best number, 0.900, untested\n");
  CHECK_THAT(report_markdown(one), Contains("- No test in any column"));
  CHECK(report_markdown(one).find("<details>") == std::string::npos);
  CHECK(report_html(one).find("undecided</span>") == std::string::npos);
  // Beside a tested column it is named, and the tables are folded.
  Comparison both =
      of({model("a", {bits(3.0, "exact"), bits(3.1, "exact")}), model("b", {bits(4.0, "exact"), bits(4.1, "exact")})});
  for (ComparedModel& m : both.models) m.runs[0].evaluation.metrics.push_back(share(0.5));
  CHECK(untested_in_words(both, verdicts_of(both)) ==
        Lines{"No test in recall in pixels: one training seed of each: chance is unknown."});
  CHECK_THAT(report_markdown(both), Contains("<details><summary>every pair, column by column</summary>"));
}

TEST_CASE("digits go no further than 1/n and the error", "[evaluation][report]") {
  Comparison shares = of({model("a", {share(0.652)}), model("b", {share(0.012)})});
  const Column column = columns_of(shares)[0];
  CHECK(cell_text(shares, column, cell_of(shares.models[0], column)) == "0.652");
  CHECK(cell_text(shares, column, cell_of(shares.models[1], column)) == "0.012");
  shares = of({model("a", {share(0.65, 10'000)}), model("b", {share(0.0123, 10'000)})});
  CHECK(column_decimals(shares, column) == 4);
  // A likelihood of one seed has its own error: 3.45678 / 300.
  const Comparison likelihoods = of({model("a", {bits(3.45678, "exact")})});
  const Column bits_column = columns_of(likelihoods)[0];
  CHECK(cell_text(likelihoods, bits_column, cell_of(likelihoods.models[0], bits_column)) == "3.457");
}

TEST_CASE("columns are named in words", "[evaluation][report]") {
  const auto heading = [](const std::string& name, const std::string& unit, const std::string& of) {
    return heading_of({.name = name, .unit = unit, .of = of});
  };
  CHECK(heading("frechet", "", "classifier 8c899faf of pixels of 256 levels") ==
        "Fréchet distance in features of classifier 8c899faf of pixels of 256 levels");
  CHECK(heading("likelihood", "bits/dim", "pixels of 256 levels") == "likelihood, bits/dim, of pixels of 256 levels");
  CHECK(heading("modes", "", "8") == "modes reached of 8 modes");
  CHECK(heading("some_number", "", "") == "some number");
  const ReportTable table = results_table(example::images(), verdicts_of(example::images()));
  CHECK(table.head[3].text == "Fréchet distance");
  CHECK(table.rows[0][0].note == "vae, 3 seeds, averaged weights");
  CHECK(table.rows[4][0].note == "external");
}

TEST_CASE("the protocol is told in words, and only what is there", "[evaluation][report]") {
  Comparison comparison;
  comparison.protocol = {{"trained_on", 55'000},
                         {"data", "mnist"},
                         {"decided", {{"steps of vae_mnist", 1200}, {"steps of gan", 0}, {"samples", 5000}}},
                         {"some_key", "x"}};
  const auto entries = protocol_in_words(comparison);
  REQUIRE(entries.size() == 4);
  CHECK(entries[0].what == "data");
  CHECK(entries[1].what == "training examples");
  CHECK(entries[1].lines == Lines{"55,000"});
  CHECK(entries[2].lines == Lines{"steps of vae_mnist: 1,200", "steps of gan: its config's", "samples: 5,000"});
  CHECK(entries[3].what == "some key");
  const std::string html = report_html(comparison), markdown = report_markdown(comparison);
  for (const std::string& text : {html, markdown}) {
    CHECK_THAT(text, Contains("steps of gan: its config"));
    CHECK(text.find("budget") == std::string::npos);
    CHECK(text.find("data spec") == std::string::npos);
  }
  CHECK_THAT(html, Contains("<li>samples: 5,000</li>"));
}

TEST_CASE("a note is told once, and external samples cost nothing here", "[evaluation][report]") {
  ComparedModel gan = model("gan", {share(0.5), share(0.6)});
  for (ComparedRun& run : gan.runs) {
    run.evaluation.missing = {{"likelihood", "it has none: implicit"}, {"score", "no gradient"}};
    run.evaluation.notes = {"gan has no likelihood: implicit"};
  }
  CHECK(notes_of(gan) == Lines{"gan has no likelihood: implicit", "score: no gradient"});
  ComparedModel theirs = example::external("theirs");
  theirs.runs[0].stopped_by = "somebody else";
  CHECK(costs_table(of({theirs})).rows[0].back().text == "—");
  // Costs are explained where there are some.
  const auto explains = [](const Comparison& comparison) {
    for (const GlossaryEntry& entry : glossary_of(comparison)) {
      if (entry.term == "Peak memory") return true;
    }
    return false;
  };
  CHECK(explains(of({gan})));
  CHECK_FALSE(explains(of({theirs})));
}

}  // namespace
}  // namespace genzoo
