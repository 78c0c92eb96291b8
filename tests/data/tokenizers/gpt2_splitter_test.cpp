#include "data/tokenizers/gpt2_splitter.h"

#include <string>
#include <vector>

#include "core/random.h"
#include "data/tokenizers/known_pieces.h"
#include "data/tokenizers/pattern.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using Pieces = std::vector<std::string>;

Pieces by_hand(const std::string& text) {
  static const Splitter splitter = gpt2_splitter();
  Pieces pieces;
  OwnedTexts owned;
  splitter({text}, owned, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

Pieces by_pattern(const std::string& text) {
  static const Pattern pattern(kGPT2Pattern);
  Pieces pieces;
  split(pattern, text, [&](std::string_view piece, bool) { pieces.emplace_back(piece); });
  return pieces;
}

}  // namespace

TEST_CASE("GPT-2's pattern cuts by hand where the regular expression does", "[data][tokenizers]") {
  CHECK(by_hand("it's  they'll 12,x \n\n end\n ") ==
        Pieces{"it", "'s", " ", " they", "'ll", " 12", ",", "x", " \n\n", " end", "\n "});
  // What the pattern tells apart, some of it in several ways; a stray byte and the first of two among them.
  const std::vector<std::string> parts = {" ",
                                          " ",
                                          "\n",
                                          "\t",
                                          "\r\n",
                                          "'",
                                          "'s",
                                          "'t",
                                          "'re",
                                          "'ve",
                                          "'m",
                                          "'ll",
                                          "'d",
                                          "'S",
                                          "a",
                                          "b",
                                          "Z",
                                          "z",
                                          "0",
                                          "9",
                                          ".",
                                          "!",
                                          "_",
                                          "\x7f",
                                          std::string(1, '\0'),
                                          "\xc3\xa9",
                                          "\xe4\xbd\xa0",
                                          "\xcc\x81",
                                          "\xc2\xbd",
                                          "\xc2\xa0",
                                          "\xe3\x80\x80",
                                          "\xf0\x9f\x91\x8b",
                                          "\xff",
                                          "\xc3"};
  Rng rng = Rng::for_batch(/*seed=*/1, Purpose::synthetic_data, /*step=*/0);
  for (const int64_t kinds : {int64_t{25}, static_cast<int64_t>(parts.size())}) {  // ASCII alone, and all
    for (int i = 0; i < 400; ++i) {
      const Tensor drawn = rng.integers(kinds, {1 + i % 60});
      std::string text;
      for (int64_t k = 0; k < drawn.numel(); ++k)
        text += parts[static_cast<size_t>(drawn.const_data_ptr<int64_t>()[k])];
      INFO(text);
      const Pieces pieces = by_hand(text);
      CHECK(pieces == by_pattern(text));
      std::string all;
      for (const std::string& piece : pieces) all += piece;
      CHECK(all == text);
    }
  }
}

TEST_CASE("a piece is known again, a short one or a long one", "[data][tokenizers]") {
  KnownPieces known;
  std::vector<std::string> pieces;
  for (int i = 0; i < 3000; ++i) pieces.push_back(std::string(static_cast<size_t>(i % 20), 'x') + std::to_string(i));
  pieces.insert(pieces.end(), {"", std::string(1, '\0'), std::string(2, '\0'), "ab", std::string("ab\0", 3),
                               std::string(15, 'a'), std::string(16, 'a'), std::string(14, 'a')});
  for (const bool is_first : {true, false}) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      bool is_new = false;
      KnownPieces::Place& place = known.find(pieces[i], is_new);
      CHECK(is_new == is_first);
      if (is_new) place = {i, static_cast<uint32_t>(2 * i)};
      CHECK(place.begin == i);
      CHECK(place.count == 2 * i);
    }
  }
}

}  // namespace genzoo
