#pragma once
// Regular expressions over text, as tokenizers cut it with. PCRE2 is named in pattern.cpp only.

#include <memory>
#include <string>
#include <string_view>

namespace genzoo {

/// Letters, marks, digits, connectors and joiners, to stand between brackets: Unicode's \w (UTS #18), as Rust's regex
/// has it. PCRE2's own \w has no marks.
extern const char* const kWordCharacters;

/// A regular expression over UTF-8, compiled to machine code where PCRE2 can. Tokenizers' patterns are written for
/// Oniguruma, and what they share with PCRE2 means what it means there: `\s` is Unicode's White_Space, `\d` and `\w`
/// are Unicode's, `^` and `$` are at lines' ends. What would mean something else is refused: sets within brackets,
/// `\h`,
/// `(?m)`.
class Pattern final {
 public:
  /// Throws RunError with the mistake and its place.
  explicit Pattern(const std::string& expression);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  /// An expression that matches `text` and nothing else.
  static std::string quoted(std::string_view text);

  /// The matches in a text from left to right; an empty one not where the last one ended. Bytes that are not UTF-8 are
  /// in none of them. Each thread needs its own; the pattern may be shared.
  class Matches final {
   public:
    Matches(const Pattern& pattern, std::string_view text);  ///< both must outlive it
    ~Matches();
    Matches(const Matches&) = delete;
    Matches& operator=(const Matches&) = delete;

    /// The same from a place on, beyond the end of the last match.
    bool next_from(size_t from);
    bool next();  ///< goes to the next match; throws RunError when PCRE2's limits are exceeded
    size_t begin() const { return begin_; }
    size_t end() const { return end_; }

   private:
    const Pattern& pattern_;
    std::string_view text_;
    void* data_;
    size_t begin_ = 0, end_ = 0;
    bool has_matched_ = false;
  };

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

/// Calls piece(std::string_view, bool matched) for each match and for what lies between two of them, in order: together
/// they are the text, cut where a match is empty, too.
template <class F>
void split(const Pattern& pattern, std::string_view text, const F& piece) {
  Pattern::Matches matches(pattern, text);
  size_t done = 0;
  while (matches.next()) {
    if (matches.begin() > done) piece(text.substr(done, matches.begin() - done), false);
    if (matches.end() > matches.begin()) piece(text.substr(matches.begin(), matches.end() - matches.begin()), true);
    done = matches.end();
  }
  if (done < text.size()) piece(text.substr(done), false);
}

}  // namespace genzoo
