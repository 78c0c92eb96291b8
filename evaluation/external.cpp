#include "evaluation/external.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <algorithm>
#include <sstream>

#include "core/error.h"
#include "evaluation/evaluate.h"

namespace genzoo {
namespace {

constexpr const char* kForm =
    "NAME=samples.safetensors[,log_prob=FILE,unit=nats|bits/dim,kind=exact|lower_bound|estimate]";
constexpr LikelihoodUnit kUnits[] = {LikelihoodUnit::nats, LikelihoodUnit::bits_per_dim};
constexpr LikelihoodKind kKinds[] = {LikelihoodKind::exact, LikelihoodKind::lower_bound, LikelihoodKind::estimate};

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw UsageError(fmt::format("--external {}: {}; wanted {}", text, why, kForm));
}

std::vector<std::string> split_at(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

/// What was given after the samples, and whether it was.
struct Told {
  bool unit = false;
  bool kind = false;
};

void read_setting(const std::string& text, const std::string& part, ExternalSource& source, Told& told) {
  const size_t equals = part.find('=');
  const std::string key = part.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : part.substr(equals + 1);
  if (key == "log_prob" && !value.empty()) {
    source.log_prob = value;
  } else if (key == "unit") {
    for (const auto unit : kUnits) {
      if (value == unit_name(unit)) source.unit = unit, told.unit = true;
    }
    if (!told.unit) refuse(text, fmt::format("no unit '{}'", value));
  } else if (key == "kind") {
    for (const auto kind : kKinds) {
      if (value == kind_name(kind)) source.kind = kind, told.kind = true;
    }
    if (!told.kind) refuse(text, fmt::format("no kind '{}'", value));
  } else {
    refuse(text, fmt::format("'{}' is none of log_prob=, unit=, kind=", part));
  }
}

}  // namespace

ExternalSource parse_external(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) refuse(text, "it has no name");
  const std::vector<std::string> parts = split_at(text.substr(equals + 1), ',');
  if (parts.empty() || parts[0].empty()) refuse(text, "it names no file");
  ExternalSource source;
  source.name = text.substr(0, equals);
  source.samples = parts[0];
  Told told;
  for (size_t i = 1; i < parts.size(); ++i) read_setting(text, parts[i], source, told);
  if (!source.log_prob.empty() && !(told.unit && told.kind)) refuse(text, "log_prob needs unit and kind");
  if (source.log_prob.empty() && (told.unit || told.kind))
    refuse(text, "unit and kind are of a log_prob, which is missing");
  return source;
}

Tensor read_external_samples(const ExternalSource& source, const DataSpec& spec) {
  const Tensor samples = read_array(source.samples, "samples");
  try {
    require_stored(samples, spec, spec.dataset);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", source.samples.string(), error.what()));
  }
  return samples;
}

Likelihood read_external_likelihood(const ExternalSource& source, const Dataset& dataset, Split split, int64_t limit) {
  const Tensor values = read_array(source.log_prob, "log_prob");
  const int64_t examples = dataset.count(split);
  if (values.dim() != 1 || values.size(0) != examples || !values.is_floating_point()) {
    throw UsageError(
        fmt::format("{}: log_prob has shape {} and type {}; wanted one number for each of the {} examples "
                    "of the {} split, in its order",
                    source.log_prob.string(), fmt::join(values.sizes(), "x"), c10::toString(values.scalar_type()),
                    examples, kSplitNames[static_cast<int>(split)]));
  }
  const Tensor numbers = values.to(torch::kDouble);
  if (!at::isfinite(numbers).all().item<bool>()) {
    throw UsageError(fmt::format("{}: log_prob has numbers that are not finite", source.log_prob.string()));
  }
  RunningMean mean;
  const int64_t counted = limit > 0 ? std::min(limit, examples) : examples;
  for (int64_t i = 0; i < counted; ++i) mean.add(numbers[i].item<double>());
  const DataSpec& spec = dataset.spec;
  return {mean.mean(), source.unit, source.kind, treatment_of(spec), mean.standard_error(), counted};
}

}  // namespace genzoo
