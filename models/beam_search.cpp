#include "models/beam_search.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.h"

namespace genzoo {
namespace {

void check(const TranslateOptions& o) {
  if (o.tokens < 0) throw UsageError(fmt::format("translate: {} tokens; the number must be at least 0", o.tokens));
  if (o.beams < 1) throw UsageError(fmt::format("translate: {} beams; the number must be at least 1", o.beams));
  if (!(o.length_penalty >= 0) || std::isinf(o.length_penalty)) {
    throw UsageError(fmt::format("translate: length_penalty {} must be at least 0 and finite", o.length_penalty));
  }
  if (o.draw && o.beams > 1) {
    throw UsageError(fmt::format(
        "translate: {} beams look for the likeliest target, and a draw does not; leave out one of them", o.beams));
  }
}

/// A prefix, or a target when it has ended.
struct Hypothesis {
  std::vector<int64_t> tokens;
  double log_p = 0;
};

/// One source's.
struct Beam {
  std::vector<Hypothesis> open;
  int64_t ended = 0;
  std::optional<Hypothesis> best;  ///< of those that have ended
  double best_rank = 0;

  void end(Hypothesis&& h, double length_penalty) {
    const double rank = h.log_p / std::pow(static_cast<double>(h.tokens.size()), length_penalty);
    if (!best || rank > best_rank) {
      best = std::move(h);
      best_rank = rank;
    }
    ++ended;
  }
};

/// A continuation of an open hypothesis by one token.
struct Candidate {
  int64_t hypothesis, token;
  double log_p;
};

/// The `count` likeliest continuations of `open`, whose next tokens have log-probabilities `log_p` (open, V).
std::vector<Candidate> likeliest(const std::vector<Hypothesis>& open, const double* log_p, int64_t V, int64_t count) {
  const auto all = static_cast<int64_t>(open.size()) * V;
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const auto score = [&](int64_t i) {
    const double s = open[static_cast<size_t>(i / V)].log_p + log_p[i];
    return std::isnan(s) ? kNever : s;
  };
  std::vector<int64_t> order(static_cast<size_t>(all));
  std::iota(order.begin(), order.end(), 0);
  const int64_t wanted = std::min(count, all);
  std::partial_sort(order.begin(), order.begin() + wanted, order.end(),
                    [&](int64_t a, int64_t b) { return score(a) != score(b) ? score(a) > score(b) : a < b; });
  std::vector<Candidate> chosen;
  for (int64_t i = 0; i < wanted; ++i) {
    const int64_t c = order[static_cast<size_t>(i)];
    if (!chosen.empty() && score(c) == kNever) break;  // takes no place, unless there is nothing else
    chosen.push_back({c / V, c % V, score(c)});
  }
  return chosen;
}

/// Log-probabilities (N, V), double, on the CPU.
Tensor log_probabilities(const Tensor& logits) { return logits.to(at::kCPU, at::kDouble).log_softmax(/*dim=*/1); }

class Search final {
 public:
  Search(const TargetsWanted& wanted, const TranslateOptions& options, const NextLogits& next)
      : wanted_(wanted), options_(options), next_(next), beams_(static_cast<size_t>(wanted.sources)) {
    for (int64_t i = 0; i < wanted.sources; ++i) {
      beams_[static_cast<size_t>(i)].open.emplace_back();
      origin_.push_back(i);
      last_.push_back(wanted.end);
    }
  }

  Tensor targets() {
    for (int64_t t = 0; t < wanted_.tokens && !last_.empty(); ++t) advance(/*is_last=*/t + 1 == wanted_.tokens);
    const Tensor found = at::full({wanted_.sources, wanted_.tokens}, wanted_.end, at::kLong);
    for (int64_t i = 0; i < wanted_.sources; ++i) {
      const auto& tokens = beams_[static_cast<size_t>(i)].best->tokens;
      std::ranges::copy(tokens, found.data_ptr<int64_t>() + i * wanted_.tokens);
    }
    return found.to(wanted_.device);
  }

 private:
  /// Every open hypothesis by one token.
  void advance(bool is_last) {
    const auto on_device = [&](const std::vector<int64_t>& v) { return at::tensor(v, at::kLong).to(wanted_.device); };
    const Tensor log_p = log_probabilities(next_(on_device(origin_), on_device(last_))).contiguous();
    const int64_t V = log_p.size(1);
    origin_.clear();
    last_.clear();
    int64_t row = 0;  // of the first open hypothesis of the source
    for (Beam& beam : beams_) {
      const double* of_beam = log_p.const_data_ptr<double>() + row * V;
      const auto before = std::exchange(beam.open, {});
      if (is_last) {
        for (size_t i = 0; i < before.size(); ++i) {
          const Candidate ends{static_cast<int64_t>(i), wanted_.end,
                               before[i].log_p + of_beam[static_cast<int64_t>(i) * V + wanted_.end]};
          take(beam, before, ends, row);
        }
      } else if (!before.empty()) {
        for (const Candidate& c : likeliest(before, of_beam, V, options_.beams - beam.ended)) {
          take(beam, before, c, row);
        }
      }
      row += static_cast<int64_t>(before.size());
    }
  }

  void take(Beam& beam, const std::vector<Hypothesis>& before, const Candidate& c, int64_t first_row) {
    Hypothesis grown = before[static_cast<size_t>(c.hypothesis)];
    grown.tokens.push_back(c.token);
    grown.log_p = c.log_p;
    if (c.token == wanted_.end) {
      beam.end(std::move(grown), options_.length_penalty);
      return;
    }
    if (options_.told && wanted_.sources == 1 && options_.beams == 1) options_.told(c.token);
    beam.open.push_back(std::move(grown));
    origin_.push_back(first_row + c.hypothesis);
    last_.push_back(c.token);
  }

  const TargetsWanted& wanted_;
  const TranslateOptions& options_;
  const NextLogits& next_;
  std::vector<Beam> beams_;
  std::vector<int64_t> origin_, last_;  ///< of the open hypotheses of all sources
};

Tensor draw_targets(const TargetsWanted& wanted, const TranslateOptions& options, const NextLogits& next, Rng& rng) {
  const auto indices = at::TensorOptions(at::kLong).device(wanted.device);
  const Tensor rows = at::arange(wanted.sources, indices);
  const Tensor drawn = at::full({wanted.sources, wanted.tokens}, wanted.end, indices);
  Tensor last = at::full({wanted.sources}, wanted.end, indices);
  Tensor ended = at::zeros({wanted.sources}, indices.dtype(at::kBool));
  for (int64_t t = 0; t + 1 < wanted.tokens; ++t) {
    const Tensor p = log_probabilities(next(rows, last)).exp();
    last = rng.categorical(p).to(wanted.device).masked_fill(ended, wanted.end);
    drawn.select(/*dim=*/1, t).copy_(last);
    ended = ended.logical_or(last.eq(wanted.end));
    if (options.told && wanted.sources == 1 && !ended.item<bool>()) options.told(last.item<int64_t>());
    if (ended.all().item<bool>()) break;
  }
  return drawn;
}

}  // namespace

Tensor find_targets(const TargetsWanted& wanted, const TranslateOptions& options, const NextLogits& next, Rng& rng) {
  check(options);
  TORCH_CHECK(wanted.tokens >= 1, "targets of ", wanted.tokens, " tokens");
  const torch::NoGradGuard no_grad;
  return options.draw ? draw_targets(wanted, options, next, rng) : Search(wanted, options, next).targets();
}

}  // namespace genzoo
