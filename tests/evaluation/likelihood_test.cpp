#include "evaluation/likelihood.h"

#include <cmath>

#include "core/error.h"
#include "tests/support.h"

namespace genzoo {
namespace {

const std::string kPixels = "pixels of 256 levels";

Likelihood nats(double value, const std::string& treatment = kPixels, LikelihoodKind kind = LikelihoodKind::exact) {
  return {value, LikelihoodUnit::nats, kind, treatment, 2.0, 100};
}

Likelihood per_char(double value) {
  return {value, LikelihoodUnit::nats_per_char, LikelihoodKind::exact, "text in characters", 0.5, 1000};
}

bool near(double a, double b) { return std::abs(a - b) < 1e-12 * (1 + std::abs(b)); }

TEST_CASE("a likelihood of uniform pixels is 8 bits per dimension, and comes back in nats", "[evaluation][law]") {
  const Likelihood bits = bits_per_dim(nats(-784 * std::log(256.0)), 784);
  CHECK(near(bits.value(), 8.0));
  CHECK(near(*bits.standard_error(), 2.0 / (784 * std::log(2.0))));
  CHECK(bits.unit() == LikelihoodUnit::bits_per_dim);
  const Likelihood back = nats_of_bits_per_dim(bits, 784);
  CHECK(near(back.value(), -784 * std::log(256.0)));
  CHECK(near(*back.standard_error(), 2.0));
  CHECK(back.comparable(nats(0)));
}

TEST_CASE("nats of text become bits, and bits of characters bits of bytes", "[evaluation][law]") {
  const Likelihood bits = in_bits(per_char(std::log(8.0)));
  CHECK(near(bits.value(), 3.0));
  CHECK(near(*bits.standard_error(), 0.5 / std::log(2.0)));
  const Likelihood bytes = per_byte(bits, 1000, 1500);
  CHECK(near(bytes.value(), 2.0));
  CHECK(bytes.n() == 1500);
  CHECK(bytes.unit() == LikelihoodUnit::bits_per_byte);
  CHECK(bytes.treatment() == "text in bytes");
  CHECK(near(per_byte(per_char(3.0), 1000, 1500).value(), 2.0));
  CHECK(per_byte(per_char(3.0), 1000, 1500).unit() == LikelihoodUnit::nats_per_byte);
}

TEST_CASE("a perplexity is the number of equally likely tokens", "[evaluation][law]") {
  const Metric eight = perplexity(per_char(std::log(8.0)), "");
  CHECK(eight.name == "perplexity");
  CHECK(near(eight.value, 8.0));
  CHECK(near(*eight.standard_error, 8 * 0.5));
  CHECK(eight.unit == "chars");
  CHECK(eight.better == Better::lower);
}

TEST_CASE("likelihoods of different unit or treatment have no common measure", "[evaluation]") {
  const Likelihood grey = nats(-2000), bits = nats(-80, "binarized pixels"), dims = bits_per_dim(grey, 784);
  for (const Likelihood& other : {bits, dims}) {
    CHECK_FALSE(grey.comparable(other));
    CHECK_THROWS_AS(grey - other, UsageError);
    CHECK_THROWS_AS(grey + other, UsageError);
    CHECK_THROWS_AS(grey.better_than(other), UsageError);
  }
  try {
    (void)(grey - bits);
    FAIL("no error");
  } catch (const UsageError& error) {
    CHECK(std::string(error.what()).find("pixels of 256 levels") != std::string::npos);
    CHECK(std::string(error.what()).find("binarized pixels") != std::string::npos);
  }
}

TEST_CASE("a conversion takes the unit it converts and no other", "[evaluation]") {
  const Likelihood grey = nats(-2000), dims = bits_per_dim(grey, 784), text = per_char(1.0);
  CHECK_THROWS_AS(bits_per_dim(dims, 784), UsageError);
  CHECK_THROWS_AS(bits_per_dim(text, 784), UsageError);
  CHECK_THROWS_AS(nats_of_bits_per_dim(grey, 784), UsageError);
  CHECK_THROWS_AS(in_bits(grey), UsageError);
  CHECK_THROWS_AS(perplexity(grey, ""), UsageError);
  CHECK_THROWS_AS(perplexity(in_bits(text), ""), UsageError);
  CHECK_THROWS_AS(in_bits(in_bits(text)), UsageError);
  CHECK_THROWS_AS(per_byte(grey, 1, 1), UsageError);
  CHECK_THROWS_AS(per_byte(dims, 1, 1), UsageError);
  CHECK_THROWS_AS(nats_per("word"), std::logic_error);
}

TEST_CASE("more probability is better: more nats, fewer bits", "[evaluation]") {
  CHECK(nats(-10).better_than(nats(-11)));
  CHECK_FALSE(nats(-11).better_than(nats(-10)));
  CHECK(bits_per_dim(nats(-10), 4).better_than(bits_per_dim(nats(-11), 4)));
  CHECK(nats(-10) - nats(-12) == 2.0);
  CHECK(nats(0).metric("").better == Better::higher);
  CHECK(bits_per_dim(nats(0), 4).metric("").better == Better::lower);
}

TEST_CASE("two parts add up to the mean of the whole, of the weaker kind", "[evaluation][law]") {
  const Likelihood a(-10, LikelihoodUnit::nats, LikelihoodKind::exact, kPixels, 3.0, 100);
  const Likelihood b(-20, LikelihoodUnit::nats, LikelihoodKind::lower_bound, kPixels, 4.0, 300);
  const Likelihood whole = a + b;
  CHECK(near(whole.value(), -17.5));
  CHECK(whole.n() == 400);
  CHECK(whole.kind() == LikelihoodKind::lower_bound);
  CHECK(near(*whole.standard_error(), std::hypot(0.25 * 3.0, 0.75 * 4.0)));
}

TEST_CASE("draws turn a bound into an estimate, and leave an exact likelihood exact", "[evaluation]") {
  CHECK(kind_of({LikelihoodKind::lower_bound, ""}, 1) == LikelihoodKind::lower_bound);
  CHECK(kind_of({LikelihoodKind::lower_bound, ""}, 2) == LikelihoodKind::estimate);
  CHECK(kind_of({LikelihoodKind::exact, ""}, 2) == LikelihoodKind::exact);
}

TEST_CASE("the treatment tells apart what cannot be compared", "[evaluation]") {
  DataSpec grey, bits, characters, others, bytes;
  grey.kind = bits.kind = DataKind::images;
  grey.shape = bits.shape = {1, 28, 28};
  grey.levels = 256;
  bits.levels = 2;
  characters.kind = others.kind = bytes.kind = DataKind::tokens;
  characters.token_unit = others.token_unit = "char";
  characters.vocabulary = others.vocabulary = 65;
  characters.tokenizer = "abc";
  others.tokenizer = "abd";
  bytes.token_unit = "byte";
  CHECK(treatment_of(grey) == "pixels of 256 levels");
  CHECK(treatment_of(bits) == "binarized pixels");
  CHECK(treatment_of(characters) != treatment_of(others));
  CHECK(treatment_of(bytes) == "text in bytes");
}

}  // namespace
}  // namespace genzoo
