#include <fmt/format.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <memory>
#include <stdexcept>

#include "core/error.h"
#include "core/file.h"
#include "core/image.h"

namespace genzoo {
namespace {

struct FreeEncoder {
  void operator()(WebPAnimEncoder* encoder) const { WebPAnimEncoderDelete(encoder); }
};

class Picture final {
 public:
  explicit Picture(const Tensor& frame) {
    if (!WebPPictureInit(&picture_)) throw RunError("cannot encode a WebP: libwebp of another version");
    picture_.use_argb = 1;
    picture_.height = static_cast<int>(frame.size(1));
    picture_.width = static_cast<int>(frame.size(2));
    const Tensor rows = frame.to(torch::kCPU).permute({1, 2, 0}).contiguous();  // (H, W, 3)
    if (!WebPPictureImportRGB(&picture_, rows.const_data_ptr<uint8_t>(), 3 * picture_.width)) {
      throw RunError("cannot encode a WebP: out of memory");
    }
  }
  ~Picture() { WebPPictureFree(&picture_); }
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;
  WebPPicture* get() { return &picture_; }

 private:
  WebPPicture picture_;
};

void require_frames(const std::vector<Tensor>& frames, int milliseconds) {
  if (frames.empty() || milliseconds < 1) throw std::invalid_argument("core/animation: no frames, or no time for them");
  for (const Tensor& frame : frames) {
    if (frame.dim() != 3 || frame.size(0) != 3 || frame.scalar_type() != torch::kUInt8 ||
        frame.sizes() != frames.front().sizes()) {
      throw std::invalid_argument("core/animation: frames must be uint8 (3, H, W) of one size");
    }
  }
}

}  // namespace

void write_animation(const std::filesystem::path& path, const std::vector<Tensor>& frames, int milliseconds) {
  require_frames(frames, milliseconds);
  WebPAnimEncoderOptions options;
  WebPConfig config;
  if (!WebPAnimEncoderOptionsInit(&options) || !WebPConfigInit(&config)) {
    throw RunError("cannot encode a WebP: libwebp of another version");
  }
  options.anim_params.loop_count = 0;  // endlessly
  config.quality = 80;
  config.method = 4;

  const std::unique_ptr<WebPAnimEncoder, FreeEncoder> encoder(
      WebPAnimEncoderNew(static_cast<int>(frames.front().size(2)), static_cast<int>(frames.front().size(1)), &options));
  const auto check = [&](int done) {
    if (!done) throw RunError(fmt::format("cannot encode a WebP: {}", WebPAnimEncoderGetError(encoder.get())));
  };
  if (!encoder) throw RunError("cannot encode a WebP: frames too large");
  int now = 0;
  for (const Tensor& frame : frames) {
    check(WebPAnimEncoderAdd(encoder.get(), Picture(frame).get(), now, &config));
    now += milliseconds;
  }
  check(WebPAnimEncoderAdd(encoder.get(), nullptr, now, nullptr));  // when the last frame ends
  WebPData data;
  WebPDataInit(&data);
  const std::unique_ptr<WebPData, decltype(&WebPDataClear)> cleared(&data, &WebPDataClear);
  check(WebPAnimEncoderAssemble(encoder.get(), &data));
  write_file_whole(path, std::string_view(reinterpret_cast<const char*>(data.bytes), data.size));
}

}  // namespace genzoo
