#include "trainers/growing_text.h"

#include <torch/utils.h>

#include <algorithm>

namespace genzoo {
namespace {

/// Bytes at a text's end that may be the beginning of a character.
size_t begun_character(std::string_view text) {
  const auto byte = [&](size_t back) { return static_cast<unsigned char>(text[text.size() - back]); };
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    if ((byte(back) & 0xc0) == 0x80) continue;  // in the middle of one
    const size_t length = byte(back) >= 0xf0 ? 4 : byte(back) >= 0xe0 ? 3 : byte(back) >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/// Bytes at a text's end that may be the beginning of a stop.
size_t begun_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops) {
    for (size_t n = std::min(stop.size() - 1, text.size()); n > longest; --n) {
      if (text.ends_with(std::string_view(stop).substr(0, n))) longest = n;
    }
  }
  return longest;
}

}  // namespace

void GrowingText::begin(const std::vector<int64_t>& prompt, bool shown) {
  tokens_ = prompt;
  text_ = decoded();
  begins_ = text_.size();
  told_ = shown ? 0 : begins_;
  hidden_ = told_;
  tell(text_.size());
}

bool GrowingText::add(int64_t token) {
  if (token == end_token_) return false;
  tokens_.push_back(token);
  text_ = decoded();
  size_t stop = text_.npos;
  for (const std::string& s : stops_) stop = std::min(stop, text_.find(s, begins_));
  if (stop != text_.npos) {
    text_.resize(stop);
    return false;
  }
  tell(text_.size() - std::max(begun_character(text_), begun_stop(std::string_view(text_).substr(begins_), stops_)));
  return true;
}

std::string GrowingText::finish() {
  tell(text_.size());
  return text_.substr(std::min(hidden_, text_.size()));
}

std::string GrowingText::decoded() const {
  return tokenizer_.decode(torch::tensor(at::ArrayRef<int64_t>(tokens_), at::kLong));
}

void GrowingText::tell(size_t end) {
  if (end <= told_) return;
  tell_(std::string_view(text_).substr(told_, end - told_));
  told_ = end;
}

}  // namespace genzoo
