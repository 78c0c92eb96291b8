#include "models/text_monitors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace genzoo {
namespace {

constexpr int64_t kGram = 4;              // tokens of a phrase, as Welleck et al. (2020) count them
constexpr int64_t kLongest = 128;         // tokens drawn a text, whatever the context: time
constexpr int64_t kMostLogits = 1 << 24;  // held at once, whatever context and vocabulary: memory

/// Of the phrases of kGram tokens in each row of (B, T) int64, the share that stand in the row before. seq-rep-4 of
/// Welleck et al. (2020), section 6.
double repetition(const Tensor& tokens) {
  const Tensor rows = tokens.to(at::kCPU, at::kLong).contiguous();
  const int64_t phrases = rows.size(1) - kGram + 1;
  int64_t different = 0;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const int64_t* row = rows.data_ptr<int64_t>() + i * rows.size(1);
    std::set<std::vector<int64_t>> seen;
    for (int64_t t = 0; t < phrases; ++t) seen.emplace(row + t, row + t + kGram);
    different += static_cast<int64_t>(seen.size());
  }
  return 1 - static_cast<double>(different) / static_cast<double>(rows.size(0) * phrases);
}

/// More than half of what the data leave unrepeated is repeated: verse and code repeat much themselves, so that no
/// fixed share would do. Texts drawn at temperature 1 repeat about as much as the data when the model is any good, and
/// less when it is not.
bool degenerates(double repeated, double by_data) { return repeated > by_data + (1 - by_data) / 2; }

/// The data surprise the model at least twice as much as it expects, and by a tenth of the most it could. Of a
/// calibrated model the two are equal (Braverman et al., 2020); one that has learned its training text by heart has
/// this gap.
bool too_sure(double entropy, double surprise, double most) {
  return surprise > 2 * entropy && surprise - entropy > 0.1 * most;
}

}  // namespace

std::vector<Monitor> text_monitors(const WatchedText& model, int64_t vocabulary, const Batch& batch) {
  const double most = std::log(static_cast<double>(vocabulary));
  double entropy = 0, surprise = 0;  // means over the tokens
  const int64_t at_once = std::max<int64_t>(1, kMostLogits / (batch.x.size(1) * vocabulary));
  for (int64_t first = 0; first < batch.size(); first += at_once) {
    const int64_t count = std::min(at_once, batch.size() - first);
    const Tensor log_p = model.logits(batch.x.narrow(0, first, count)).log_softmax(/*dim=*/2);
    const Tensor y = batch.y.narrow(0, first, count).unsqueeze(2);
    const double share = static_cast<double>(count) / static_cast<double>(batch.size());
    entropy -= share * (log_p.exp() * log_p).sum(/*dim=*/2).mean().item<double>();
    surprise -= share * log_p.gather(/*dim=*/2, y).mean().item<double>();
  }
  std::vector<Monitor> found;
  if (vocabulary > 1) {
    found.push_back(
        {.name = "entropy",
         .value = entropy / most,
         .unit = "share",
         .warning = !too_sure(entropy, surprise, most)
                        ? ""
                        : fmt::format("the model is too sure of itself: it expects {:.2g} nats a token and the "
                                      "data cost it {:.2g}; it has probably learned its training text by heart",
                                      entropy, surprise),
         .n = batch.x.numel(),
         .detail = fmt::format("mean entropy of the next token's distribution, over log {}", vocabulary)});
  }
  const int64_t length = std::min(batch.x.size(1), kLongest);
  if (length < kGram) return found;

  // As many texts as there are windows, each from its window's first token.
  GenerateOptions options;
  options.tokens = length - 1;
  const Tensor written = model.generate(batch.x.narrow(/*dim=*/1, 0, 1), options);
  const double repeated = repetition(written), by_data = repetition(batch.x.narrow(/*dim=*/1, 0, length));
  const int64_t n = written.numel();
  found.push_back(
      {.name = "repetition",
       .value = repeated,
       .unit = "share",
       .warning = !degenerates(repeated, by_data)
                      ? ""
                      : fmt::format("the text repeats itself: {:.0f}% of its phrases of {} tokens stood there "
                                    "before, of the data's {:.0f}%; try a lower lr or a longer training",
                                    100 * repeated, kGram, 100 * by_data),
       .n = n,
       .detail = fmt::format("phrases of {} tokens that stand in the same text before, in {} texts of {} tokens "
                             "drawn at temperature 1",
                             kGram, written.size(0), length)});
  found.push_back({.name = "repetition_of_data",
                   .value = by_data,
                   .unit = "share",
                   .n = n,
                   .detail = "the same of as many windows of the data"});
  return found;
}

}  // namespace genzoo
