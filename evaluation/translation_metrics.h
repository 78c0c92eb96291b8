#pragma once
// How near translations come to given ones, as the Python package sacrebleu counts it: Post, A Call for Clarity in
// Reporting BLEU Scores, 2018, https://arxiv.org/abs/1804.08771.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace genzoo {

/// The words of a text as WMT's script mteval-v13a has them: sacrebleu's tokenization `13a`.
std::vector<std::string> words_13a(std::string_view text);

/// BLEU of a corpus, 0 ... 100: the geometric mean of the precisions of 1- to 4-grams of words, times the brevity
/// penalty. Papineni et al. (2002). A precision of zero is smoothed exponentially: Chen & Cherry (2014), method 3.
/// `references` are as many as `translations`, else std::logic_error; the same for chrF.
double corpus_bleu(std::span<const std::string> translations, std::span<const std::string> references);

/// chrF2 of a corpus, 0 ... 100: F score of the n-grams of 1 to 6 characters, white space left out, in which recall
/// weighs twice as much as precision. Popovic (2015). Orders that one side has none of do not count.
double corpus_chrf(std::span<const std::string> translations, std::span<const std::string> references);

}  // namespace genzoo
