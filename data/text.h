#pragma once
// Text from files: the training part first, the last part for validation.

#include <string>
#include <string_view>

#include "data/dataset.h"

namespace genzoo {

/// What a token is.
enum class TokenKind { characters, bytes };
inline constexpr const char* kTokenNames[] = {"characters", "bytes"};

struct TextConfig {
  std::string file;
  TokenKind tokens = TokenKind::characters;
  double validation = 0.1;

  void fields(Fields& f);
};

struct KingJamesConfig {
  std::string root;
  TokenKind tokens = TokenKind::characters;
  double validation = 0.1;

  void fields(Fields& f);
};

struct TinyShakespeareConfig {
  std::string root;
  TokenKind tokens = TokenKind::characters;
  double validation = 0.1;

  void fields(Fields& f);
};

Dataset open(const TextConfig& config, const DataPlaces& places);
Dataset open(const KingJamesConfig& config, const DataPlaces& places);
Dataset open(const TinyShakespeareConfig& config, const DataPlaces& places);

/// As many characters, of as many kinds, drawn uniformly.
Dataset stand_in(const TinyShakespeareConfig& config);

/// The text of the verses that the program `bible` prints, "Ge1:1 In the beginning ...", a line each, without the
/// references. Throws RunError when a line has none.
std::string strip_references(std::string_view printed);

/// The data set of a text: its tokens as uint8 where they fit, else int32, the last `validation` share split off (as
/// nanoGPT does: the training part is floor(L (1 - validation))). `where` names the text in errors.
Dataset make_text_dataset(const std::string& name, std::string_view text, TokenKind tokens, double validation,
                          const std::string& where);

}  // namespace genzoo
