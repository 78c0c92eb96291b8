#include "models/ngram/smoothing.h"

#include <algorithm>

#include "models/ngram/counts.h"

namespace genzoo {
namespace {

double discount(const Discounts& discounts, int32_t count) {
  return discounts[static_cast<size_t>(std::min<int32_t>(count, discounts.size() - 1))];
}

/// Discounts that can be subtracted, and leave something for what was not seen.
bool are_discounts(const Discounts& d) {
  for (size_t c = 1; c < d.size(); ++c) {
    if (!(d[c] > 0 && d[c] <= static_cast<double>(c))) return false;
  }
  return true;
}

}  // namespace

Discounts estimate_discounts(std::span<const int32_t> counts, Smoothing smoothing) {
  if (smoothing == Smoothing::witten_bell) return {};
  std::array<double, 5> n{};  // n-grams with a count of exactly c
  for (const int32_t c : counts) {
    if (c > 0 && c < static_cast<int32_t>(n.size())) ++n[static_cast<size_t>(c)];
  }
  const double y = n[1] / (n[1] + 2 * n[2]);
  if (smoothing == Smoothing::kneser_ney) {
    const Discounts one{0, y, y, y};
    return are_discounts(one) ? one : Discounts{0, 0.5, 0.5, 0.5};
  }
  const Discounts three{0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]};
  return are_discounts(three) ? three : Discounts{0, 0.5, 1, 1.5};
}

SmoothedCounts::SmoothedCounts(std::vector<NgramView> levels, Smoothing smoothing) : levels_(std::move(levels)) {
  for (const NgramView& level : levels_) discounts_.push_back(estimate_discounts(level.counts, smoothing));
  for (size_t k = 0; k < levels_.size(); ++k) {
    const NgramView& longer = levels_[k];
    const size_t contexts = k == 0 ? 1 : levels_[k - 1].tokens.size();
    std::vector<Weights>& weights = weights_.emplace_back(contexts);
    for (size_t i = 0; i < contexts; ++i) {
      const auto [begin, end] = continued(k, static_cast<int32_t>(i));
      double total = 0, kept = 0, different = 0;
      for (int32_t child = begin; child < end; ++child) {
        const int32_t count = longer.counts[static_cast<size_t>(child)];
        total += count;
        kept += discount(discounts_[k], count);
        different += count > 0;
      }
      if (total == 0) continue;
      weights[i] = smoothing == Smoothing::witten_bell ? Weights{different / (total + different), total + different}
                                                       : Weights{kept / total, total};
    }
  }
}

std::pair<int32_t, int32_t> SmoothedCounts::continued(size_t k, int32_t i) const {
  if (k == 0) return {0, static_cast<int32_t>(levels_[0].tokens.size())};
  const auto first = levels_[k - 1].first.subspan(static_cast<size_t>(i));
  return {first[0], first[1]};
}

SmoothedCounts::Context SmoothedCounts::beginning() const {
  Context context;
  context.fill(-1);
  context[0] = 0;
  return context;
}

double SmoothedCounts::read(Context& context, int32_t token) const {
  double p = 1 / static_cast<double>(levels_[0].tokens.size());
  Context next = beginning();
  for (size_t k = 0; k < levels_.size() && context[k] >= 0; ++k) {
    const auto [kept, z] = weights_[k][static_cast<size_t>(context[k])];
    const auto [begin, end] = continued(k, context[k]);
    const int32_t child = k == 0 ? token : find_token(levels_[k].tokens, begin, end, token);
    if (k + 1 < levels_.size()) next[k + 1] = child;
    if (z == 0) continue;
    p *= kept;
    if (child < 0) continue;
    const int32_t count = levels_[k].counts[static_cast<size_t>(child)];
    p += (count - discount(discounts_[k], count)) / z;
  }
  context = next;
  return p;
}

void SmoothedCounts::distribution(const Context& context, std::span<double> p) const {
  std::ranges::fill(p, 1 / static_cast<double>(levels_[0].tokens.size()));
  for (size_t k = 0; k < levels_.size() && context[k] >= 0; ++k) {
    const auto [kept, z] = weights_[k][static_cast<size_t>(context[k])];
    if (z == 0) continue;
    for (double& w : p) w *= kept;
    const auto [begin, end] = continued(k, context[k]);
    for (auto child = static_cast<size_t>(begin); child < static_cast<size_t>(end); ++child) {
      const int32_t count = levels_[k].counts[child];
      p[static_cast<size_t>(levels_[k].tokens[child])] += (count - discount(discounts_[k], count)) / z;
    }
  }
}

}  // namespace genzoo
