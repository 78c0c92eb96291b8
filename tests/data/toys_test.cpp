#include "data/toys.h"

#include <cmath>

#include "data/images.h"
#include "data/markov.h"
#include "data/quadrature.h"
#include "data/tokenizers/tokenizer.h"
#include "tests/support.h"

namespace genzoo {
namespace {

struct Estimate {
  double mean, standard_error;
};
Estimate mean_of(const Tensor& values) {
  const Tensor v = values.to(torch::kDouble);
  return {v.mean().item<double>(), v.std().item<double>() / std::sqrt(static_cast<double>(v.numel()))};
}

// A toy, and how many points a side of a grid over [-5, 5]^2 has that is fine enough for it: steps of half its standard
// deviation; on the checkerboard the cells fit the squares.
struct Toy {
  std::string name;
  int64_t resolution;
};
const std::vector<Toy> kToys = {
    {"eight_gaussians", 100}, {"grid_gaussians", 400}, {"two_moons", 200}, {"rings", 250}, {"checkerboard", 100}};

// The midpoints of the grid's cells (resolution^2, 2).
Tensor cells(const Toy& toy) {
  const Tensor line = (torch::arange(toy.resolution, torch::kDouble) + 0.5) * (10.0 / double(toy.resolution)) - 5;
  return torch::cartesian_prod({line, line});
}

// The probability in each cell.
Tensor probabilities(const Dataset& set, const Toy& toy) {
  return set.log_density(cells(toy)).exp() * std::pow(10.0 / double(toy.resolution), 2);
}

Dataset open_default(const std::string& name) {
  for (const DatasetEntry& entry : datasets()) {
    if (entry.name == name) return entry.open(entry.defaults(), DataPlaces{});
  }
  throw std::logic_error(name);
}

}  // namespace

TEST_CASE("quadrature rules integrate what they promise exactly", "[data]") {
  const Quadrature gauss = gauss_legendre(5, -1, 3);
  // x^9, degree 2n - 1: (3^10 - 1) / 10.
  CHECK(std::abs(gauss.weights.dot(gauss.nodes.pow(9)).item<double>() - 5904.8) < 1e-9);
  CHECK(std::abs(gauss.weights.dot(gauss.nodes.pow(10)).item<double>() - (177147 + 1) / 11.0) > 1);
  const Quadrature simpsons = simpson(0, 2, 0.3);
  CHECK(std::abs(simpsons.weights.dot(simpsons.nodes.pow(3)).item<double>() - 4) < 1e-12);
  const Quadrature steps = trapezoid(-8, 8, 0.5);
  CHECK(std::abs(steps.weights.dot((steps.nodes.square() * -0.5).exp()).item<double>() - std::sqrt(2 * M_PI)) < 1e-12);
}

TEST_CASE("the toys' densities integrate to one and their samples come from them", "[data]") {
  for (const Toy& toy : kToys) {
    DYNAMIC_SECTION(toy.name) {
      const Dataset set = open_default(toy.name);
      CHECK(set.spec.describe().starts_with("vectors of 2 dimensions"));
      CHECK(set.train.x.sizes() == torch::IntArrayRef({100000, 2}));
      CHECK(set.train.x.scalar_type() == torch::kFloat);
      REQUIRE(set.entropy);
      CHECK(std::abs(probabilities(set, toy).sum().item<double>() - 1) < 1e-9);

      const Estimate cross_entropy = mean_of(-set.log_density(set.train.x));
      INFO("entropy " << *set.entropy << ", -mean log p " << cross_entropy.mean << " +- "
                      << cross_entropy.standard_error);
      CHECK(std::abs(cross_entropy.mean - *set.entropy) <= 4 * cross_entropy.standard_error + 1e-9);
      CHECK((toy.name == "checkerboard" || cross_entropy.standard_error > 0));
      CHECK(torch::isfinite(set.log_density(set.train.x)).all().item<bool>());
    }
  }
}

// -log p agreeing on average would not notice a rotated or mirrored sampler; the mean of tanh along a few directions
// does.
TEST_CASE("the toys' samples lie where their densities say", "[data]") {
  for (const Toy& toy : kToys) {
    DYNAMIC_SECTION(toy.name) {
      const Dataset set = open_default(toy.name);
      const Tensor grid = cells(toy), p = probabilities(set, toy);
      for (const double angle : {0.1, 1.0, 2.0, 4.0}) {
        const auto along = [&](const Tensor& x) {
          return (x.select(1, 0) * std::cos(angle) + x.select(1, 1) * std::sin(angle) - 0.3).tanh();
        };
        const double expected = p.dot(along(grid)).item<double>();
        const Estimate got = mean_of(along(set.train.x));
        INFO("angle " << angle << ": " << got.mean << " +- " << got.standard_error << ", wanted " << expected);
        CHECK(std::abs(got.mean - expected) <=
              4 * got.standard_error + 5e-4);  // 5e-4: the checkerboard's grid is coarse
      }
    }
  }
}

TEST_CASE("eight_gaussians is as defined, its entropy that of separate Gaussians but for a little overlap", "[data]") {
  const Dataset set = open(EightGaussiansConfig{}, DataPlaces{});
  const Tensor at_centers =
      set.log_density(torch::tensor({{2.0F, 0.0F}, {0.0F, 2.0F}, {std::sqrt(2.0F), -std::sqrt(2.0F)}}));
  const double peak = -std::log(8 * 2 * M_PI * 0.04);
  CHECK_THAT(at_centers, IsClose(torch::full({3}, peak, torch::kDouble), 1e-6));
  const double separate = std::log(8) + 1 + std::log(2 * M_PI * 0.04);
  CHECK(*set.entropy < separate);
  CHECK(*set.entropy > separate - 1e-2);
  // Labels are the components.
  for (const int64_t k : {0, 3}) {
    const Tensor mean = set.train.x.index({set.train.y.eq(k)}).mean(/*dim=*/0);
    CHECK_THAT(mean, IsClose(torch::tensor({2 * std::cos(k * M_PI / 4), 2 * std::sin(k * M_PI / 4)}), 0.01));
  }
  const Dataset grid = open(GridGaussiansConfig{}, DataPlaces{});
  CHECK(std::abs(*grid.entropy - (std::log(25) + 1 + std::log(2 * M_PI * 0.0025))) < 1e-10);
  CHECK(std::abs(*open(CheckerboardConfig{}, DataPlaces{}).entropy - std::log(32)) < 1e-12);
  // Far from overlap a mixture's entropy does not depend on how narrow it is, but for log std^2.
  GridGaussiansConfig narrow;
  narrow.std = 1e-4;
  CHECK(std::abs(entropy_of(narrow) - entropy_of(GridGaussiansConfig{}) - 2 * std::log(1e-4 / 0.05)) < 1e-9);
}

TEST_CASE("the moons' density is the arc integral, to machine precision", "[data]") {
  TwoMoonsConfig config;
  config.noise = 0.05;
  config.examples = config.validation = config.test = 2000;
  const Dataset set = open(config, DataPlaces{});
  // The same integral with 20,000 equal steps (error of the trapezoidal rule at the ends of an arc: order step^2).
  const Quadrature rule = trapezoid(0, M_PI, M_PI / 20000);
  const Tensor x = set.test.x.slice(0, 0, 20).to(torch::kDouble);
  const auto arc = [&](const Tensor& cx, const Tensor& cy) {
    const Tensor square = (x.slice(1, 0, 1) - cx).square() + (x.slice(1, 1, 2) - cy).square();
    return (square * (-0.5 / 0.0025)).exp().matmul(rule.weights) / (2 * M_PI * 0.0025) / (2 * M_PI);
  };
  const Tensor& t = rule.nodes;
  const Tensor p = arc(t.cos(), t.sin()) + arc(1 - t.cos(), 0.5 - t.sin());
  CHECK_THAT(set.log_density(set.test.x.slice(0, 0, 20)), IsClose(p.log(), 1e-5));
}

TEST_CASE("data that are made depend on data_seed alone, and a split not on the size of another", "[data]") {
  EightGaussiansConfig config;
  config.examples = 500;
  const Dataset small = open(config, DataPlaces{});
  const Dataset standard = open(EightGaussiansConfig{}, DataPlaces{});
  CHECK(torch::equal(small.validation.x, standard.validation.x));
  CHECK(torch::equal(small.test.x, standard.test.x));
  CHECK_FALSE(torch::equal(small.validation.x, small.test.x));
  config.data_seed = 1;
  CHECK_FALSE(torch::equal(open(config, DataPlaces{}).validation.x, standard.validation.x));
}

TEST_CASE("uniform_noise has every value equally often, and its entropy is 8 bits a pixel", "[data]") {
  const Dataset set = open_default("uniform_noise");
  CHECK(std::abs(*set.entropy / std::log(2.0) / static_cast<double>(set.spec.dims()) - 8) < 1e-12);
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    REQUIRE(set.has(split));
    const Tensor counts = torch::bincount(set[split].x.flatten().to(torch::kLong), {}, 256).to(torch::kDouble);
    const double expected = static_cast<double>(set[split].x.numel()) / 256;
    // Pearson's chi-squared, 255 degrees of freedom: mean 255, standard deviation 22.6.
    const double chi2 = ((counts - expected).square() / expected).sum().item<double>();
    INFO(kSplitNames[static_cast<size_t>(split)]);
    CHECK(chi2 > 255 - 5 * 22.6);
    CHECK(chi2 < 255 + 5 * 22.6);
  }
  // Neighbors are independent: the mean of their product is the product of the means.
  const Tensor x = set.train.x.to(torch::kDouble) - 127.5;
  const Tensor product = (x.slice(3, 0, 27) * x.slice(3, 1, 28)).flatten();
  const Estimate covariance = mean_of(product);
  CHECK(std::abs(covariance.mean) < 5 * covariance.standard_error);
}

// --- Markov text
// ------------------------------------------------------------------------------------------------------

TEST_CASE("Markov chains have the stationary distribution and entropy rate they say", "[data]") {
  MarkovConfig config;
  config.order = 2;
  config.symbols = 3;
  const MarkovChain chain = markov_chain(config);
  CHECK_THAT(chain.transitions.sum(/*dim=*/1), IsClose(torch::ones({9}, torch::kDouble), 1e-12));
  CHECK_THAT(chain.stationary.sum(), IsClose(torch::ones({}, torch::kDouble), 1e-12));
  // One step of the chain on contexts (a, b) -> (b, c), written out.
  Tensor next = torch::zeros({9}, torch::kDouble);
  for (int64_t a = 0; a < 3; ++a) {
    for (int64_t b = 0; b < 3; ++b) {
      for (int64_t c = 0; c < 3; ++c) next[3 * b + c] += chain.stationary[3 * a + b] * chain.transitions[3 * a + b][c];
    }
  }
  CHECK_THAT(next, IsClose(chain.stationary, 1e-12));
  CHECK(chain.entropy_rate > 0);
  CHECK(chain.entropy_rate < std::log(3));
}

TEST_CASE("rows of a chain have the moments of their Dirichlet distribution", "[data]") {
  for (const double a : {0.1, 0.5, 3.0}) {
    MarkovConfig config;
    config.order = 4;
    config.symbols = 8;  // 4096 rows
    config.concentration = a;
    const Tensor p = markov_chain(config).transitions;
    INFO("concentration " << a);
    // Var p_i = m (1 - m) / (K a + 1) with m = 1 / K.
    const double variance = (1.0 / 8) * (7.0 / 8) / (8 * a + 1);
    const Estimate square = mean_of((p.select(1, 2) - 0.125).square());
    CHECK(std::abs(square.mean - variance) < 4 * square.standard_error);
    const Estimate mean = mean_of(p.select(1, 2));
    CHECK(std::abs(mean.mean - 0.125) < 4 * mean.standard_error);
  }
}

TEST_CASE("Markov text costs its entropy rate under its own chain", "[data]") {
  MarkovConfig config;
  for (const int64_t order : {1, 3}) {
    config.order = order;
    config.symbols = 5;
    config.length = 200000;
    const MarkovChain chain = markov_chain(config);
    const Dataset set = open(config, DataPlaces{});
    CHECK(set.spec.vocabulary == 5);
    CHECK(*set.entropy == chain.entropy_rate);
    const Tensor text = set.train.x.to(torch::kLong);
    Tensor context = torch::zeros({text.size(0) - order}, torch::kLong);
    for (int64_t i = 0; i < order; ++i) context = context * 5 + text.slice(0, i, text.size(0) - order + i);
    const Tensor log_p = chain.transitions.log().index({context, text.slice(0, order)});
    const double rate = -log_p.mean().item<double>();
    INFO("order " << order << ": rate " << *set.entropy << ", text " << rate);
    // Neighbors are dependent, so the standard error from blocks of 1000.
    const Estimate blocks = mean_of(-log_p.slice(0, 0, log_p.numel() / 1000 * 1000).view({-1, 1000}).mean(/*dim=*/1));
    CHECK(std::abs(rate - *set.entropy) < 4 * blocks.standard_error);
    // The contexts occur as often as the stationary distribution says.
    const Tensor frequency = torch::bincount(context, {}, chain.stationary.size(0)) / double(context.size(0));
    CHECK_THAT(frequency, IsClose(chain.stationary, 0.02));
  }
  CHECK(tokenizer_from_json(open(config, DataPlaces{}).spec.tokenizer)->decode(torch::tensor({0, 1, 4})) == "abe");
}

}  // namespace genzoo
