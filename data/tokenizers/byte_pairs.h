#pragma once
// Byte-pair encoding (Gage, 1994; Sennrich, Haddow & Birch, 2016): a piece of text begins as its bytes or characters,
// and neighbours are merged, those first whose merge was learned first.

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace genzoo {

/// What was learned.
struct BytePairVocabulary {
  std::vector<std::string> tokens;                  ///< by index; an empty one is no token of the model
  std::vector<std::pair<int32_t, int32_t>> merges;  ///< of two tokens to the one that both together are
};

/// How a piece begins, and what becomes of what has no token.
struct BytePairSettings {
  bool bytes = true;               ///< as its bytes; else as its characters, UTF-8
  std::optional<int32_t> unknown;  ///< for characters without a token; without one they are an error
  bool fuse_unknown = false;       ///< several unknown characters in a row are one token
  bool byte_fallback = false;      ///< characters without a token become tokens "<0x00>" to "<0xFF>", where there are
  bool whole_first = false;        ///< a piece that is a token is taken whole, without merges
};

class BytePairs final {
 public:
  /// Throws RunError on merges of tokens that are not there.
  BytePairs(BytePairVocabulary vocabulary, BytePairSettings settings);
  BytePairs(const BytePairs&) = delete;  // its index looks into its own tokens
  BytePairs& operator=(const BytePairs&) = delete;

  /// Appends the tokens of a piece of text. O(n log n) in its bytes. Throws UsageError naming what has no token.
  void encode(std::string_view piece, std::vector<int32_t>& tokens) const;

  const BytePairVocabulary& vocabulary() const { return vocabulary_; }
  const BytePairSettings& settings() const { return settings_; }
  std::optional<int32_t> find(std::string_view token) const;

 private:
  /// What a pair becomes, and how early it was learned.
  struct Merge {
    int32_t rank = kNoMerge, token = 0;
  };
  static constexpr int32_t kNoMerge = std::numeric_limits<int32_t>::max();
  /// Of pairs, found by one look at memory.
  class MergeTable final {
   public:
    explicit MergeTable(size_t most);
    void set(int32_t left, int32_t right, Merge merge);
    Merge find(int32_t left, int32_t right) const;  ///< of rank kNoMerge: there is none

   private:
    struct Slot {
      uint64_t pair = kNone;
      Merge merge;
    };
    static constexpr uint64_t kNone = ~uint64_t{0};
    size_t place_of(uint64_t pair) const;
    std::vector<Slot> slots_;  ///< a power of two, at most half of them taken
  };
  void merge_few(std::vector<int32_t>& symbols) const;
  void merge_many(std::vector<int32_t>& symbols) const;
  void begin_with_bytes(std::string_view piece, std::vector<int32_t>& symbols) const;
  void begin_with_characters(std::string_view piece, std::vector<int32_t>& symbols) const;
  bool fall_back(std::string_view character, std::vector<int32_t>& symbols) const;

  BytePairVocabulary vocabulary_;
  BytePairSettings settings_;
  std::unordered_map<std::string_view, int32_t> index_;
  MergeTable merges_;
  std::array<int32_t, 256> byte_tokens_;      ///< of each byte alone; -1: none
  std::array<int32_t, 256> fallback_tokens_;  ///< of "<0x00>" to "<0xFF>"; -1: none
};

/// How often each piece of a text occurs.
using PieceCounts = std::unordered_map<std::string, int64_t>;

/// Learns merges on the pieces' bytes until there are `size` tokens, or no pair of neighbours occurs `min_count` times:
/// `reserved` first, the 256 bytes in the order of their printable characters, then the merges. The most frequent pair
/// is merged first, of equals the one with the smaller tokens: to the letter what `tokenizers`' BpeTrainer does with
/// ByteLevel's alphabet.
BytePairVocabulary train_byte_pairs(const PieceCounts& pieces, int64_t size, int64_t min_count,
                                    const std::vector<std::string>& reserved);

}  // namespace genzoo
