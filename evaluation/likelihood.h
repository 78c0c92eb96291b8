#pragma once
// A likelihood with what is needed to trust and to compare it. Two of different unit or different treatment of the data
// cannot be added, subtracted or compared: the attempt is an error, never a number.

#include <optional>
#include <span>
#include <string>

#include "data/dataset.h"
#include "evaluation/metric.h"
#include "models/model.h"

namespace genzoo {

/// What a likelihood is counted in. Nats are a mean log p of whole examples (higher is better); all others are costs,
/// -log p per dimension or per unit of text (lower is better).
enum class LikelihoodUnit {
  nats,
  bits_per_dim,
  nats_per_char,
  bits_per_char,
  nats_per_byte,
  bits_per_byte,
  nats_per_token,
  bits_per_token,
};
const char* unit_name(LikelihoodUnit unit);  ///< "nats", "bits/dim", "nats/char", ...

/// "nats/char" and so on, of text counted in the data's own unit. Throws std::logic_error for another word than
/// "char", "byte", "token".
LikelihoodUnit nats_per(const std::string& token_unit);

/// What a likelihood of tokens is counted in: "char", "byte" or "token". Of pairs with bytes for tokens "token", for
/// the end of a text is one and no byte.
std::string counted_in(const DataSpec& spec);

const char* kind_name(LikelihoodKind kind);  ///< "exact", "lower_bound", "estimate"

/// The kind that k draws give to what a model claims: an exact likelihood stays exact, a bound of more than one draw is
/// an estimate (still a bound in the mean: Burda et al., 2016, theorem 1).
LikelihoodKind kind_of(const LikelihoodClaim& claim, int64_t k);

/// How the data were treated before a probability was given to them: "pixels of 256 levels", "binarized pixels",
/// "vectors of 2 dimensions", "text in characters (65)". Likelihoods of differently treated data have nothing in
/// common.
std::string treatment_of(const DataSpec& spec);

/// A mean log-likelihood. A value type; all arithmetic is between comparable ones.
class Likelihood final {
 public:
  /// `n`: examples averaged over, of text tokens; the standard error is of that mean.
  Likelihood(double value, LikelihoodUnit unit, LikelihoodKind kind, std::string treatment,
             std::optional<double> standard_error, int64_t n);

  double value() const { return value_; }
  LikelihoodUnit unit() const { return unit_; }
  LikelihoodKind kind() const { return kind_; }
  const std::string& treatment() const { return treatment_; }
  std::optional<double> standard_error() const { return standard_error_; }
  int64_t n() const { return n_; }

  bool comparable(const Likelihood& other) const { return unit_ == other.unit_ && treatment_ == other.treatment_; }

  /// Whether this one states more probability. Throws UsageError when the two are not comparable.
  bool better_than(const Likelihood& other) const;

  /// The number with its unit, kind and treatment, for tables.
  Metric metric(const std::string& detail) const;

 private:
  friend Likelihood in_units(const Likelihood&, LikelihoodUnit, double factor);
  double value_;
  LikelihoodUnit unit_;
  LikelihoodKind kind_;
  std::string treatment_;
  std::optional<double> standard_error_;
  int64_t n_;
};

/// value(a) - value(b). Throws UsageError when the two are not comparable.
double operator-(const Likelihood& a, const Likelihood& b);

/// That of the examples of both together: means weighted by n, errors added as of independent parts; of two kinds the
/// weaker (an estimate, then a bound). Throws UsageError when the two are not comparable.
Likelihood operator+(const Likelihood& a, const Likelihood& b);

/// nats -> bits/dim of examples with `dims` dimensions, and back. Throw UsageError for other units.
Likelihood bits_per_dim(const Likelihood& nats, int64_t dims);
Likelihood nats_of_bits_per_dim(const Likelihood& bits, int64_t dims);

/// nats per char, byte or token -> bits per the same. Throws UsageError for other units.
Likelihood in_bits(const Likelihood& nats_per_unit);

/// "perplexity": e to the nats per char, byte or token, among how many equally likely ones the model is as unsure; its
/// error by the derivative. Throws UsageError for other units.
Metric perplexity(const Likelihood& nats_per_unit, const std::string& detail);

/// Per token or char -> per byte, of a text with so many of each: the only unit in which models with different
/// tokenizers compare, so the treatment becomes "text in bytes". Throws UsageError for other units.
Likelihood per_byte(const Likelihood& per_unit, int64_t units, int64_t bytes);

}  // namespace genzoo
