#pragma once
// The tokens of pieces that a text had before: words come again and again.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace genzoo {

/// Where the tokens of each piece stand. Short pieces lie in the table itself, so that finding one takes one look at
/// memory; it looks into the texts of the long ones.
class KnownPieces final {
 public:
  struct Place {
    size_t begin = 0;
    uint32_t count = 0;
  };

  KnownPieces() : slots_(kFirstSize) {}

  /// The place of a piece, to be filled in where `is_new`; until the next call.
  Place& find(std::string_view piece, bool& is_new) {
    if (piece.size() >= sizeof(Key)) {
      const auto [entry, inserted] = long_.try_emplace(piece);
      is_new = inserted;
      return entry->second;
    }
    const Key key = key_of(piece);
    Slot* slot = slot_of(key);
    is_new = slot->key.last == 0;
    if (!is_new) return slot->place;
    if (++count_ > slots_.size() / 2) {
      grow();
      slot = slot_of(key);
    }
    slot->key = key;
    return slot->place;
  }

 private:
  /// The bytes of a piece, and its length plus one as the last of 16; all zero: none.
  struct Key {
    uint64_t first = 0, last = 0;
    bool operator==(const Key&) const = default;
  };
  struct Slot {
    Key key;
    Place place;
  };
  static constexpr size_t kFirstSize = 1024;

  static Key key_of(std::string_view piece) {
    char bytes[sizeof(Key)] = {};
    std::memcpy(bytes, piece.data(), piece.size());
    bytes[sizeof(Key) - 1] = static_cast<char>(piece.size() + 1);
    return std::bit_cast<Key>(bytes);
  }

  Slot* slot_of(const Key& key) {
    const size_t mask = slots_.size() - 1;
    uint64_t hash = (key.first ^ std::rotl(key.last, 29)) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 32;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
      if (slots_[at].key.last == 0 || slots_[at].key == key) return &slots_[at];
    }
  }

  void grow() {
    std::vector<Slot> before(2 * slots_.size());
    before.swap(slots_);
    for (const Slot& slot : before) {
      if (slot.key.last != 0) *slot_of(slot.key) = slot;
    }
  }

  std::vector<Slot> slots_;  ///< a power of two, at most half of them taken
  size_t count_ = 0;
  std::unordered_map<std::string_view, Place> long_;
};

}  // namespace genzoo
