#include "evaluation/likelihood.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <stdexcept>

#include "core/error.h"
#include "core/file.h"

namespace genzoo {
namespace {

/// A unit, and the one that counts the same thing in bits.
struct UnitRow {
  LikelihoodUnit unit;
  const char* name;
  std::optional<LikelihoodUnit> bits;
};

using enum LikelihoodUnit;
constexpr UnitRow kUnits[] = {
    {nats, "nats", {}},
    {bits_per_dim, "bits/dim", {}},
    {nats_per_char, "nats/char", bits_per_char},
    {bits_per_char, "bits/char", {}},
    {nats_per_byte, "nats/byte", bits_per_byte},
    {bits_per_byte, "bits/byte", {}},
    {nats_per_token, "nats/token", bits_per_token},
    {bits_per_token, "bits/token", {}},
};

const UnitRow& row(LikelihoodUnit unit) { return kUnits[static_cast<size_t>(unit)]; }

[[noreturn]] void refuse_unit(const Likelihood& likelihood, const char* conversion, const char* wanted) {
  throw UsageError(
      fmt::format("{}: got a likelihood in {}, it takes {}", conversion, unit_name(likelihood.unit()), wanted));
}

void require_comparable(const Likelihood& a, const Likelihood& b) {
  if (a.comparable(b)) return;
  throw UsageError(
      fmt::format("a likelihood in {} of {} and one in {} of {} have no common measure; evaluate both on "
                  "the same data, treated alike",
                  unit_name(a.unit()), a.treatment(), unit_name(b.unit()), b.treatment()));
}

}  // namespace

const char* unit_name(LikelihoodUnit unit) { return row(unit).name; }

LikelihoodUnit nats_per(const std::string& token_unit) {
  const std::string name = "nats/" + token_unit;
  for (const UnitRow& r : kUnits) {
    if (name == r.name) return r.unit;
  }
  throw std::logic_error("nats_per: no unit " + name);
}

std::string counted_in(const DataSpec& spec) {
  return spec.kind == DataKind::pairs && spec.token_unit == "byte" ? "token" : spec.token_unit;
}

const char* kind_name(LikelihoodKind kind) {
  switch (kind) {
    case LikelihoodKind::exact:
      return "exact";
    case LikelihoodKind::lower_bound:
      return "lower_bound";
    case LikelihoodKind::estimate:
      return "estimate";
  }
  return "";
}

LikelihoodKind kind_of(const LikelihoodClaim& claim, int64_t k) {
  const bool many = k > 1 && *claim.kind == LikelihoodKind::lower_bound;
  return many ? LikelihoodKind::estimate : *claim.kind;
}

std::string treatment_of(const DataSpec& spec) {
  switch (spec.kind) {
    case DataKind::images:
      return spec.levels == 2 ? "binarized pixels" : fmt::format("pixels of {} levels", spec.levels);
    case DataKind::vectors:
      if (spec.levels == 2) return fmt::format("binary vectors of {} dimensions", spec.dims());
      return fmt::format("vectors of {} dimensions{}", spec.dims(),
                         spec.levels > 0 ? fmt::format(" with {} levels", spec.levels) : "");
    case DataKind::tokens:
    case DataKind::pairs:
    case DataKind::documents:
      break;
  }
  if (spec.kind == DataKind::tokens && spec.token_unit == "byte") return "text in bytes";
  // Two vocabularies of one size are told apart by what is in them.
  const std::string unit = spec.token_unit == "char" ? "characters" : "tokens";
  return fmt::format("{} in {} ({}, vocabulary {})", spec.kind == DataKind::pairs ? "target texts" : "text", unit,
                     spec.vocabulary, sha256(spec.tokenizer).substr(0, 8));
}

Likelihood::Likelihood(double value, LikelihoodUnit unit, LikelihoodKind kind, std::string treatment,
                       std::optional<double> standard_error, int64_t n)
    : value_(value),
      unit_(unit),
      kind_(kind),
      treatment_(std::move(treatment)),
      standard_error_(standard_error),
      n_(n) {}

bool Likelihood::better_than(const Likelihood& other) const {
  require_comparable(*this, other);
  return unit_ == nats ? value_ > other.value_ : value_ < other.value_;
}

Metric Likelihood::metric(const std::string& detail) const {
  return {.name = "likelihood",
          .value = value_,
          .unit = unit_name(unit_),
          .kind = kind_name(kind_),
          .standard_error = standard_error_,
          .n = n_,
          .detail = detail,
          .of = treatment_,
          .better = unit_ == nats ? Better::higher : Better::lower};
}

double operator-(const Likelihood& a, const Likelihood& b) {
  require_comparable(a, b);
  return a.value() - b.value();
}

Likelihood operator+(const Likelihood& a, const Likelihood& b) {
  require_comparable(a, b);
  const int64_t n = a.n() + b.n();
  const double share_a = static_cast<double>(a.n()) / static_cast<double>(n), share_b = 1 - share_a;
  std::optional<double> error;
  if (a.standard_error() && b.standard_error()) {
    error = std::hypot(share_a * *a.standard_error(), share_b * *b.standard_error());
  }
  return {share_a * a.value() + share_b * b.value(), a.unit(), std::max(a.kind(), b.kind()), a.treatment(), error, n};
}

/// The same statement in another unit: value and error times the factor.
Likelihood in_units(const Likelihood& likelihood, LikelihoodUnit unit, double factor) {
  Likelihood result = likelihood;
  result.unit_ = unit;
  result.value_ *= factor;
  if (result.standard_error_) *result.standard_error_ *= std::abs(factor);
  return result;
}

Likelihood bits_per_dim(const Likelihood& likelihood, int64_t dims) {
  if (likelihood.unit() != nats) refuse_unit(likelihood, "bits/dim", "nats of whole examples");
  return in_units(likelihood, LikelihoodUnit::bits_per_dim, -1.0 / (static_cast<double>(dims) * std::numbers::ln2));
}

Likelihood nats_of_bits_per_dim(const Likelihood& likelihood, int64_t dims) {
  if (likelihood.unit() != LikelihoodUnit::bits_per_dim) refuse_unit(likelihood, "nats", "bits/dim");
  return in_units(likelihood, nats, -static_cast<double>(dims) * std::numbers::ln2);
}

Likelihood in_bits(const Likelihood& likelihood) {
  const auto bits = row(likelihood.unit()).bits;
  if (!bits) refuse_unit(likelihood, "bits", "nats per char, byte or token");
  return in_units(likelihood, *bits, 1.0 / std::numbers::ln2);
}

Metric perplexity(const Likelihood& likelihood, const std::string& detail) {
  if (!row(likelihood.unit()).bits) refuse_unit(likelihood, "a perplexity", "nats per char, byte or token");
  const std::string unit = unit_name(likelihood.unit());
  Metric metric = likelihood.metric(detail);
  metric.name = "perplexity";
  metric.value = std::exp(likelihood.value());
  metric.unit = unit.substr(unit.find('/') + 1) + "s";
  if (metric.standard_error) *metric.standard_error *= metric.value;
  return metric;
}

Likelihood per_byte(const Likelihood& likelihood, int64_t units, int64_t bytes) {
  const bool in_nats = row(likelihood.unit()).bits.has_value();
  const bool of_text = likelihood.unit() != nats && likelihood.unit() != LikelihoodUnit::bits_per_dim;
  if (!of_text) refuse_unit(likelihood, "per byte", "a likelihood of text");
  const double factor = static_cast<double>(units) / static_cast<double>(bytes);
  const Likelihood scaled = in_units(likelihood, in_nats ? nats_per_byte : bits_per_byte, factor);
  return {scaled.value(), scaled.unit(), scaled.kind(), "text in bytes", scaled.standard_error(), bytes};
}

}  // namespace genzoo
