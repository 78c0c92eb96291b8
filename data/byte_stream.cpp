#include "data/byte_stream.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/file.h"

namespace genzoo {

struct ByteStream::Inflater {
  z_stream stream{};
  bool in_member = true;  ///< between a member's first byte and its checksum

  explicit Inflater(std::string& stored) {
    stream.next_in = reinterpret_cast<Bytef*>(stored.data());
    stream.avail_in = static_cast<uInt>(stored.size());
    // 15 bits of window; + 16: a gzip header and trailer are wanted and checked.
    if (inflateInit2(&stream, 15 + 16) != Z_OK) throw RunError("data: zlib cannot start: out of memory");
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

ByteStream::ByteStream(const std::filesystem::path& path)
    // zlib counts what it is given in 32 bits.
    : path_(path), stored_(read_file(path, std::numeric_limits<uInt>::max())) {
  if (stored_.size() >= 2 && stored_[0] == '\x1f' && stored_[1] == '\x8b') {
    inflater_ = std::make_unique<Inflater>(stored_);
  }
}

ByteStream::~ByteStream() = default;

void ByteStream::damaged(const std::string& what) const {
  throw RunError(fmt::format("{}: {}; the file is damaged: fetch or copy it again", path_.string(), what));
}

uint64_t ByteStream::at_most() const { return inflater_ ? uint64_t{stored_.size()} * 1032 : stored_.size() - next_; }

size_t ByteStream::read_some(void* into, size_t size) {
  if (!inflater_) {
    const size_t taken = std::min(size, stored_.size() - next_);
    std::memcpy(into, stored_.data() + next_, taken);
    next_ += taken;
    return taken;
  }
  z_stream& stream = inflater_->stream;
  auto* out = static_cast<Bytef*>(into);
  size_t done = 0;
  while (done < size) {
    if (!inflater_->in_member) {
      if (stream.avail_in == 0) break;
      inflateReset(&stream);  // the next member; its header is checked by inflate
      inflater_->in_member = true;
    }
    const size_t piece = std::min<size_t>(size - done, std::numeric_limits<uInt>::max());
    stream.next_out = out + done;
    stream.avail_out = static_cast<uInt>(piece);
    const int status = inflate(&stream, Z_NO_FLUSH);
    done += piece - stream.avail_out;
    if (status == Z_STREAM_END) {
      inflater_->in_member = false;
    } else if (status == Z_BUF_ERROR || (status == Z_OK && stream.avail_in == 0 && stream.avail_out > 0)) {
      damaged(fmt::format("gzip data end after {} bytes inflated, in the middle", passed_ + done));
    } else if (status != Z_OK) {
      damaged(fmt::format("gzip: {}", stream.msg ? stream.msg : zError(status)));
    }
  }
  return done;
}

void ByteStream::read(void* into, size_t size) {
  const size_t done = read_some(into, size);
  passed_ += done;
  if (done < size) damaged(fmt::format("ends after {} bytes, wanted {} more", passed_, size - done));
}

size_t ByteStream::read_up_to(void* into, size_t size) {
  const size_t done = read_some(into, size);
  passed_ += done;
  return done;
}

void ByteStream::skip_rest() {
  std::array<char, 4096> passed;
  while (read_some(passed.data(), passed.size()) > 0) {
  }
}

void ByteStream::skip(uint64_t size) {
  std::array<char, 4096> piece;
  while (size > 0) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(size, piece.size()));
    read(piece.data(), n);
    size -= n;
  }
}

void ByteStream::expect_end() {
  char extra;
  if (read_some(&extra, 1) > 0) damaged(fmt::format("goes on after the {} bytes it should hold", passed_));
}

}  // namespace genzoo
