#include "core/image.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <stdexcept>

#include "core/error.h"
#include "core/file.h"

namespace genzoo {
namespace {

constexpr int kBorderGray = 200;

void require_image(const Tensor& image, int64_t dims, const char* function) {
  const bool is_image = image.dim() == dims && image.scalar_type() == torch::kUInt8 &&
                        (image.size(dims - 3) == 1 || image.size(dims - 3) == 3);
  if (!is_image) {
    throw std::invalid_argument(fmt::format("core/image: {} wants uint8 {}(C, H, W) with C 1 or 3, got {} {}", function,
                                            dims == 4 ? "(N, C, H, W), each " : "", c10::str(image.sizes()),
                                            c10::toString(image.scalar_type())));
  }
}

/// OpenCV's own threads would fight with LibTorch's.
void use_no_threads() { [[maybe_unused]] static const bool once = (cv::setNumThreads(0), true); }

/// (C, H, W) RGB -> rows of interleaved BGR.
cv::Mat to_mat(const Tensor& image) {
  const Tensor pixels = image.to(torch::kCPU).flip(0).permute({1, 2, 0}).contiguous();
  const cv::Mat view(static_cast<int>(pixels.size(0)), static_cast<int>(pixels.size(1)),
                     CV_8UC(static_cast<int>(pixels.size(2))), pixels.data_ptr());
  return view.clone();
}

Tensor from_mat(const cv::Mat& bgr) {
  const cv::Mat whole = bgr.isContinuous() ? bgr : bgr.clone();
  return at::from_blob(whole.data, {whole.rows, whole.cols, whole.channels()}, torch::kUInt8)
      .permute({2, 0, 1})
      .flip(0)
      .contiguous();
}

/// Marks the whole numbers on the frame of a plot of [-extent, extent]^2: its scale.
void draw_ticks(cv::Mat& plot, double extent, const cv::Scalar& color) {
  const int size = plot.rows;
  const int length = std::max(2, size / 80);
  // At most some forty marks, at a power of ten from each other.
  const double unit = std::pow(10.0, std::max(0.0, std::ceil(std::log10(extent / 20))));
  const int last = static_cast<int>(std::floor(extent / unit));
  for (int mark = -last; mark <= last; ++mark) {
    const int pixel = static_cast<int>(std::lround((mark * unit / extent + 1) / 2 * size - 0.5));
    if (pixel < 0 || pixel >= size) continue;
    cv::line(plot, {pixel, size - length}, {pixel, size - 1}, color);
    cv::line(plot, {0, size - 1 - pixel}, {length - 1, size - 1 - pixel}, color);
  }
}

void require_plot(double extent, int64_t size) {
  if (!(extent > 0) || !std::isfinite(extent) || size < 1) {
    throw std::invalid_argument(fmt::format("core/image: a plot of extent {} and size {}", extent, size));
  }
}

}  // namespace

Tensor image_grid(const Tensor& images, int64_t columns, int64_t scale, int64_t gap) {
  require_image(images, 4, "image_grid");
  if (columns < 1 || scale < 1 || gap < 0) {
    throw std::invalid_argument(
        fmt::format("core/image: a grid of {} columns at scale {} with a gap of {}", columns, scale, gap));
  }
  const Tensor pixels = images.to(torch::kCPU).repeat_interleave(scale, 2).repeat_interleave(scale, 3);
  const int64_t n = pixels.size(0), height = pixels.size(2), width = pixels.size(3);
  const int64_t rows = (n + columns - 1) / columns;
  Tensor grid = at::full({pixels.size(1), rows * (height + gap) + gap, columns * (width + gap) + gap}, kBorderGray,
                         torch::kUInt8);
  for (int64_t i = 0; i < n; ++i) {
    grid.narrow(1, gap + i / columns * (height + gap), height)
        .narrow(2, gap + i % columns * (width + gap), width)
        .copy_(pixels[i]);
  }
  return grid;
}

Tensor with_caption(const Tensor& image, const std::string& text) {
  require_image(image, 3, "with_caption");
  use_no_threads();
  constexpr int kFont = cv::FONT_HERSHEY_DUPLEX, kLine = 26, kBaseline = 18;
  constexpr double kSize = 0.5;
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) != 0x80) line += byte >= 0x20 && byte < 0x7F ? c : '?';  // one '?' for a character of UTF-8
  }
  const int width = static_cast<int>(image.size(2));
  const auto fits = [&](const std::string& shown) {
    int below = 0;
    return cv::getTextSize(shown, kFont, kSize, 1, &below).width <= width;
  };
  if (!fits(line)) {
    while (!line.empty() && !fits(line + "...")) line.pop_back();
    line += "...";
  }
  cv::Mat strip(kLine, width, CV_8UC3, cv::Scalar::all(255));
  cv::putText(strip, line, {0, kBaseline}, kFont, kSize, cv::Scalar::all(30), 1, cv::LINE_AA);
  return at::cat({from_mat(strip), image.to(torch::kCPU).expand({3, image.size(1), image.size(2)})}, 1);
}

Tensor arrange(const std::vector<Tensor>& pictures, int64_t columns, int64_t gap) {
  if (pictures.empty() || columns < 1 || gap < 0) {
    throw std::invalid_argument(
        fmt::format("core/image: {} pictures in {} columns with a gap of {}", pictures.size(), columns, gap));
  }
  const auto count = static_cast<int64_t>(pictures.size());
  columns = std::min(columns, count);
  std::vector<int64_t> widths(columns, 0), heights((count + columns - 1) / columns, 0);
  for (int64_t i = 0; i < count; ++i) {
    require_image(pictures[i], 3, "arrange");
    heights[i / columns] = std::max(heights[i / columns], pictures[i].size(1));
    widths[i % columns] = std::max(widths[i % columns], pictures[i].size(2));
  }
  const auto before = [&](const std::vector<int64_t>& sizes, int64_t index) {
    return std::accumulate(sizes.begin(), sizes.begin() + index, gap * (index + 1));
  };
  Tensor page = at::full({3, before(heights, std::ssize(heights)), before(widths, columns)}, 255, torch::kUInt8);
  for (int64_t i = 0; i < count; ++i) {
    page.narrow(1, before(heights, i / columns), pictures[i].size(1))
        .narrow(2, before(widths, i % columns), pictures[i].size(2))
        .copy_(pictures[i]);
  }
  return page;
}

int64_t comfortable_scale(int64_t width, int64_t columns) {
  return std::max<int64_t>(1, std::llround(600.0 / static_cast<double>(std::max<int64_t>(1, width * columns))));
}

std::string encode_png(const Tensor& image) {
  require_image(image, 3, "encode_png");
  if (image.numel() == 0) throw std::invalid_argument("core/image: a PNG of no pixels");
  use_no_threads();
  std::vector<unsigned char> bytes;
  if (!cv::imencode(".png", to_mat(image), bytes, {cv::IMWRITE_PNG_COMPRESSION, 6})) {
    throw RunError("cannot encode a PNG: OpenCV was built without it");
  }
  return {bytes.begin(), bytes.end()};
}

void write_png(const std::filesystem::path& path, const Tensor& image) { write_file_whole(path, encode_png(image)); }

Tensor read_png(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  use_no_threads();
  const cv::Mat raw(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
  cv::Mat pixels = bytes.empty() ? cv::Mat() : cv::imdecode(raw, cv::IMREAD_UNCHANGED);
  if (pixels.empty() || pixels.depth() != CV_8U || (pixels.channels() != 1 && pixels.channels() != 3)) {
    throw RunError(
        fmt::format("{}: not a grey or color PNG of 8 bits; the file is damaged or another format", path.string()));
  }
  if (pixels.channels() == 3) cv::cvtColor(pixels, pixels, cv::COLOR_BGR2RGB);
  // The Mat's memory goes with it, so the tensor gets a copy: (H, W, C) -> (C, H, W).
  const Tensor view = at::from_blob(pixels.data, {pixels.rows, pixels.cols, pixels.channels()}, torch::kByte);
  return view.permute({2, 0, 1}).contiguous().clone();
}

Tensor scatter_plot(const Tensor& points, double extent, int64_t size) {
  require_plot(extent, size);
  if (points.dim() != 2 || points.size(1) != 2) {
    throw std::invalid_argument(fmt::format("core/image: scatter_plot wants (N, 2), got {}", c10::str(points.sizes())));
  }
  // Each point is spread over the four pixels around it, and ink covers paper as it piles up: 1 - (1 - opacity)^n.
  constexpr double kOpacity = 0.6;
  const Tensor xy = points.detach().to(torch::kCPU, torch::kFloat64).contiguous();
  const auto at = xy.accessor<double, 2>();
  cv::Mat ink = cv::Mat::zeros(static_cast<int>(size), static_cast<int>(size), CV_64F);
  for (int64_t i = 0; i < xy.size(0); ++i) {
    const double x = (at[i][0] / extent + 1) / 2 * static_cast<double>(size) - 0.5;
    const double y = (1 - at[i][1] / extent) / 2 * static_cast<double>(size) - 0.5;
    if (!(x > -1 && y > -1 && x < static_cast<double>(size) && y < static_cast<double>(size))) continue;  // or NaN
    const int left = static_cast<int>(std::floor(x)), top = static_cast<int>(std::floor(y));
    for (const int dy : {0, 1}) {
      for (const int dx : {0, 1}) {
        if (left + dx < 0 || top + dy < 0 || left + dx >= ink.cols || top + dy >= ink.rows) continue;
        ink.at<double>(top + dy, left + dx) += (1 - std::abs(x - left - dx)) * (1 - std::abs(y - top - dy));
      }
    }
  }
  cv::Mat plot(ink.size(), CV_8UC3);
  const cv::Vec3d blue(138, 66, 26);  // BGR
  for (int row = 0; row < ink.rows; ++row) {
    for (int column = 0; column < ink.cols; ++column) {
      const double paper = std::pow(1 - kOpacity, ink.at<double>(row, column));
      for (int c = 0; c < 3; ++c) {
        plot.at<cv::Vec3b>(row, column)[c] = cv::saturate_cast<uchar>(255 * paper + blue[c] * (1 - paper));
      }
    }
  }
  draw_ticks(plot, extent, cv::Scalar::all(120));
  return from_mat(plot);
}

Tensor density_plot(const Tensor& log_density, double extent, int64_t size) {
  require_plot(extent, size);
  if (log_density.dim() != 2 || log_density.size(0) != log_density.size(1) || log_density.numel() == 0) {
    throw std::invalid_argument(
        fmt::format("core/image: density_plot wants (R, R), got {}", c10::str(log_density.sizes())));
  }
  use_no_threads();
  // Relative to the highest finite value; what is not a number is shown as no density.
  const Tensor log_values = log_density.detach().to(torch::kCPU, torch::kFloat32);
  const Tensor finite = log_values.nan_to_num(-INFINITY, -INFINITY, -INFINITY);
  const Tensor relative = (finite - finite.max()).exp().nan_to_num(0).flip(0).contiguous();
  const int side = static_cast<int>(relative.size(0));
  const cv::Mat density(side, side, CV_32F, relative.data_ptr());
  cv::Mat resized;
  cv::resize(density, resized, cv::Size(static_cast<int>(size), static_cast<int>(size)), 0, 0, cv::INTER_LINEAR);
  cv::Mat bytes, plot;
  resized.convertTo(bytes, CV_8U, 255);
  cv::applyColorMap(bytes, plot, cv::COLORMAP_VIRIDIS);
  draw_ticks(plot, extent, cv::Scalar::all(255));
  return from_mat(plot);
}

}  // namespace genzoo
