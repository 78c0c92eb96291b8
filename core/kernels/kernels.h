#pragma once
// Loops over memory that LibTorch's operators would run in several passes: written once (*.vec.cpp), compiled for each
// instruction set, chosen by what the processor can do. They take raw pointers and ranges, allocate nothing and start
// no threads; who calls them cuts the work. LibTorch's own operators are the reference that tests compare with.

#include <c10/util/BFloat16.h>

#include <cstdint>

namespace genzoo {

/// One step of Adam with decoupled weight decay. Loshchilov & Hutter (2019), algorithm 2; Kingma & Ba (2015).
struct AdamStep {
  float lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  float bias_correction1 = 1, bias_correction2 = 1;  ///< 1 - beta^t
  float gradient_scale = 1;                          ///< of clipping
  float average_weight = 0;                          ///< of the new value in the average, where one is kept
};

/// Of layer normalization: the parameters, and what each row turned out to be.
struct LayerNormRows {
  const float* weight;  ///< (columns)
  const float* bias;    ///< (columns), or nullptr
  float eps;
  float *mean, *inverse_std;  ///< (rows)
};

/// A product of few rows with rows of weights that lie one behind the other: y = x W^T + b, W (outputs, inputs).
struct FewRows {
  const float* x;  ///< (rows, inputs)
  int64_t rows, inputs;
  float* y;  ///< (rows, outputs), rows `stride` apart
  int64_t stride, outputs;
  const float* bias;  ///< (outputs), or nullptr
};

/// Attention of one head's queries, those of the last `queries` of `length` positions, over the keys and values that
/// are kept of all: y_t = sum over s of softmax_s(scale q_t k_s) v_s, s = 0 ... length - queries + t.
struct CachedAttention {
  const float* q;  ///< (queries, channels), rows `stride` apart
  int64_t queries, stride;
  const float *keys, *values;  ///< (length, channels)
  int64_t length, channels;
  float scale;
  float* y;  ///< (queries, channels), rows `y_stride` apart
  int64_t y_stride;
  float* weights;  ///< room for `length` numbers
};

/// Causal attention of one head over all tokens of a text: y_t = sum over s of softmax_s(scale q_t k_s) v_s, s = 0 ...
/// t. T is float or bfloat16; sums and softmax are float32, factors of products too unless the processor multiplies
/// pairs of bfloat16, to which they then are rounded.
template <class T>
struct CausalHead {
  const T *q, *k, *v;  ///< (tokens, channels), rows `stride` apart
  int64_t stride, tokens, channels;
  float scale;  ///< positive
  /// Of the angles by which each pair of channels (i, i + channels / 2) of q and k is turned first, (tokens, channels /
  /// 2), channels even; or nullptr.
  const float *cos, *sin;
  T* y;  ///< (tokens, channels), rows `y_stride` apart
  int64_t y_stride;
  float* log_sums;  ///< (tokens): log of the sum over s of exp(scale q_t k_s)
  float* scratch;   ///< room for causal_attention_scratch() numbers, at a multiple of 64 bytes
};

/// The gradients of its q, k and v from that of y; y and log_sums are those that were computed.
template <class T>
struct CausalHeadGradients {
  const T* dy;      ///< laid out like y
  T *dq, *dk, *dv;  ///< laid out like q
};

/// Of each channel, y = leaky(x scale + shift), where leaky(z) = z above 0 and negative_slope z below: 0 for ReLU, 1
/// for the identity.
struct ChannelMap {
  const float *scale, *shift;  ///< (channels)
  float negative_slope;
};

/// Matrices in blocks of this many columns, one block behind the other: element (r, c) of (R, C) stands at
/// [c / kBlock][r][c % kBlock] of (C / kBlock, R, kBlock). Products that read whole vectors need no other packing.
constexpr int64_t kBlock = 16;

/// Two images between which a convolution with a 4x4 kernel, stride 2 and padding 1 leads, channels last: (rows,
/// columns, channels). The coarse one has half the fine one's rows and columns, rounded down.
struct HalvedImage {
  int64_t fine_rows, fine_columns, fine_channels;
  int64_t rows, columns, channels;  ///< of the coarse one
};

/// Rows of the matrices of some points: where they begin in the first block of each, and how far the blocks are apart.
template <class T>
struct PointRows {
  static constexpr int kPoints = 9;  ///< at most
  T* values[kPoints];
  int64_t block[kPoints];
};

/// A convolution between such images as `points` products of matrices in blocks: with rows that stand for places and
/// `depth` columns for a patch of the fine image, (rows, depth) (depth, channels) -> (rows, channels). T, of images and
/// of the products' factors, is float or bfloat16, to which factors are rounded once (and what is subnormal to zero);
/// everything else is float32.
///
/// Everything between images and matrices is linear, and each step comes with its adjoint: products of coarse matrices
/// with the transposed weights lead back to the fine image, which is the gradient of the one direction and the forward
/// pass of the other.
template <class T>
struct LoweredConvolution {
  int points;
  /// How many rows an image has at a point.
  int64_t (*rows)(int point, int64_t coarse_rows, int64_t coarse_columns);
  int64_t (*depth)(int64_t fine_channels);

  void (*from_fine)(const T* x, const HalvedImage& image, const PointRows<T>& rows);
  void (*from_coarse)(const T* x, const HalvedImage& image, const PointRows<T>& rows);
  /// y = leaky(what the sums stand for + bias), where leaky(z) = z above 0 and negative_slope z below; bias may be
  /// nullptr.
  void (*to_fine)(const PointRows<float>& sums, const float* bias, float negative_slope, T* y,
                  const HalvedImage& image);
  void (*to_coarse)(const PointRows<float>& sums, const float* bias, float negative_slope, T* y,
                    const HalvedImage& image);

  // Weights (channels, 4, 4, fine_channels). In these the blocks first ... last - 1 are meant: of all points.

  /// The right factors of the products to coarse: for each point (depth, channels) in blocks, in bfloat16 paired.
  void (*weights_to_coarse)(const float* w, int64_t fine_channels, int64_t channels, T* factors, int64_t first,
                            int64_t last);
  /// And to fine: for each point (channels, depth) in the same way.
  void (*weights_to_fine)(const float* w, int64_t fine_channels, int64_t channels, T* factors, int64_t first,
                          int64_t last);
  /// w = beta w + the weights' gradient from that of the factors to fine, which is the sum of `parts` that begin
  /// `stride` apart.
  void (*weight_gradient)(const float* factors, int64_t parts, int64_t stride, int64_t fine_channels, int64_t channels,
                          float beta, float* w, int64_t first, int64_t last);
};

/// The loops of one instruction set.
struct Kernels {
  const char* name;  ///< "avx512", "avx2", "plain"

  /// Moves n values by their gradients and updates both moments; then, unless `average` is nullptr, takes
  /// average += average_weight (value - average), by the operations of at::lerp.
  void (*adam)(float* value, const float* gradient, float* first, float* second, float* average, int64_t n,
               const AdamStep& step);
  /// Sum of n squares, in double.
  double (*sum_of_squares)(const float* x, int64_t n);
  /// z = x + y; z may be x.
  void (*add)(float* z, const float* x, const float* y, int64_t n);
  /// Sum of n values, in the fewest loads there can be: the speed of reading memory.
  double (*sum)(const float* x, int64_t n);

  // Matrices of `rows` rows that begin `stride` apart. Whoever cuts the columns into parts gets the same bits.

  /// y = alpha z + beta y; what y was is not read where beta is 0.
  void (*combine)(float* y, int64_t y_stride, const float* z, int64_t z_stride, float alpha, float beta, int64_t rows,
                  int64_t columns);
  /// y = z + bias, y = max(0, z + bias); bias may be nullptr, y may be z.
  void (*bias)(float* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
               int64_t columns);
  void (*bias_relu)(float* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
                    int64_t columns);
  /// y = gelu(z + bias), the tanh form, and its derivative there (laid out like y), unless nullptr.
  void (*bias_gelu)(float* y, float* slope, int64_t y_stride, const float* z, int64_t z_stride, const float* bias,
                    int64_t rows, int64_t columns);
  /// dz = dy where y > 0, else 0; bias_gradient += the sums of its columns, unless nullptr.
  void (*relu_backward)(float* dz, const float* dy, const float* y, float* bias_gradient, int64_t stride, int64_t rows,
                        int64_t columns);
  /// dz = dy * slope; bias_gradient as above.
  void (*slope_backward)(float* dz, const float* dy, const float* slope, float* bias_gradient, int64_t stride,
                         int64_t rows, int64_t columns);
  /// sums += the sums of the columns of x
  void (*add_columns)(float* sums, const float* x, int64_t stride, int64_t rows, int64_t columns);

  // The same in bfloat16, from products whose sums are float32 (*_16). Everything is computed in float32 and rounded to
  // nearest once; sums of columns stay float32.

  void (*to_bfloat16)(c10::BFloat16* y, const float* x, int64_t n);
  void (*bias_16)(c10::BFloat16* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
                  int64_t columns);
  void (*bias_relu_16)(c10::BFloat16* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias,
                       int64_t rows, int64_t columns);
  void (*bias_gelu_16)(c10::BFloat16* y, c10::BFloat16* slope, int64_t y_stride, const float* z, int64_t z_stride,
                       const float* bias, int64_t rows, int64_t columns);
  void (*relu_backward_16)(c10::BFloat16* dz, const c10::BFloat16* dy, const c10::BFloat16* y, float* bias_gradient,
                           int64_t stride, int64_t rows, int64_t columns);
  void (*slope_backward_16)(c10::BFloat16* dz, const c10::BFloat16* dy, const c10::BFloat16* slope,
                            float* bias_gradient, int64_t stride, int64_t rows, int64_t columns);
  void (*add_columns_16)(float* sums, const c10::BFloat16* x, int64_t stride, int64_t rows, int64_t columns);
  /// y = x; sums += the sums of the columns of x, unless nullptr
  void (*round_columns_16)(c10::BFloat16* y, const float* x, float* sums, int64_t stride, int64_t rows,
                           int64_t columns);

  // Factors of products in bfloat16. Right ones, k rows of n columns, k even, are packed two rows at a time:
  // (k / 2, n, 2). The matrix w has rows `stride` apart.

  void (*pack_rows_16)(const float* w, int64_t stride, int64_t k, int64_t n, c10::BFloat16* out);
  /// From the transpose: w (n, k).
  void (*pack_transposed_16)(const float* w, int64_t stride, int64_t n, int64_t k, c10::BFloat16* out);
  void (*repack_rows_16)(const c10::BFloat16* w, int64_t stride, int64_t k, int64_t n, c10::BFloat16* out);
  void (*repack_transposed_16)(const c10::BFloat16* w, int64_t stride, int64_t n, int64_t k, c10::BFloat16* out);
  /// A left factor from its transpose w (k, m), k even: out (m, k).
  void (*transpose_16)(const c10::BFloat16* w, int64_t stride, int64_t k, int64_t m, c10::BFloat16* out);
  /// In float32, of any size: out (columns, rows) from w (rows, columns).
  void (*transpose)(const float* w, int64_t stride, int64_t rows, int64_t columns, float* out);

  // Layer normalization of contiguous rows. Ba et al. (2016).

  /// With update: sum = x + update, y = norm(sum); without (nullptr, sum too): y = norm(x). Fills mean and inverse_std.
  void (*layer_norm)(const float* x, const float* update, float* sum, float* y, const LayerNormRows& r, int64_t rows,
                     int64_t columns);
  void (*layer_norm_16)(const float* x, const float* update, float* sum, c10::BFloat16* y, const LayerNormRows& r,
                        int64_t rows, int64_t columns);
  /// dx = the gradient of s, what was normalized, through y, + dsum (unless nullptr); dweight, dbias (columns, or
  /// nullptr) += the parameters'.
  void (*layer_norm_backward)(const float* dy, const float* dsum, const float* s, float* dx, float* dweight,
                              float* dbias, const LayerNormRows& r, int64_t rows, int64_t columns);
  void (*layer_norm_backward_16)(const c10::BFloat16* dy, const float* dsum, const float* s, float* dx, float* dweight,
                                 float* dbias, const LayerNormRows& r, int64_t rows, int64_t columns);

  /// losses (rows) = -log softmax(logits)[target]; unless it is nullptr, gradient = softmax(logits) - one_hot(target),
  /// which may be the logits themselves. Logits (rows, columns) are overwritten in any case.
  void (*cross_entropy)(float* logits, float* gradient, const int64_t* targets, float* losses, int64_t rows,
                        int64_t columns);
  void (*cross_entropy_16)(float* logits, c10::BFloat16* gradient, const int64_t* targets, float* losses, int64_t rows,
                           int64_t columns);

  // Batch normalization of rows whose columns are channels. Ioffe & Szegedy (2015).

  /// The mean of each channel and its sum of squared deviations.
  void (*channel_moments)(const float* x, float* mean, float* squares, int64_t rows, int64_t channels);
  void (*channel_moments_16)(const c10::BFloat16* x, float* mean, float* squares, int64_t rows, int64_t channels);
  void (*map_channels)(const float* x, float* y, const ChannelMap& map, int64_t rows, int64_t channels);
  void (*map_channels_16)(const c10::BFloat16* x, c10::BFloat16* y, const ChannelMap& map, int64_t rows,
                          int64_t channels);
  /// With d the gradient of x scale + shift: the sums of d and of d (x - mean) in each channel.
  void (*channel_gradients)(const float* x, const float* dy, const ChannelMap& map, const float* mean, float* sum,
                            float* product, int64_t rows, int64_t channels);
  void (*channel_gradients_16)(const c10::BFloat16* x, const c10::BFloat16* dy, const ChannelMap& map,
                               const float* mean, float* sum, float* product, int64_t rows, int64_t channels);
  /// dx = d scale + x factor + offset
  void (*map_channels_backward)(const float* x, const float* dy, float* dx, const ChannelMap& map, const float* factor,
                                const float* offset, int64_t rows, int64_t channels);
  void (*map_channels_backward_16)(const c10::BFloat16* x, const c10::BFloat16* dy, c10::BFloat16* dx,
                                   const ChannelMap& map, const float* factor, const float* offset, int64_t rows,
                                   int64_t channels);

  /// y = x / divisor + shift, rounded twice
  void (*scale_bytes)(const uint8_t* x, float* y, float divisor, float shift, int64_t n);

  /// log_prob (rows) = the sum of x l - log(1 + e^l) over each row's logits l; unless nullptr, slope = x - sigmoid(l),
  /// its derivative.
  void (*bernoulli)(const float* logits, const float* x, float* slope, float* log_prob, int64_t rows, int64_t columns);

  /// Of Gaussians with moments (rows, 2 dims), the means and behind them log(std^2): z = mean + std noise, and each
  /// dimension's KL divergence from N(0, 1), (rows, dims). Kingma & Welling (2014), section 2.4 and appendix B.
  void (*draw_gaussian)(const float* moments, const float* noise, float* z, float* divergence, int64_t rows,
                        int64_t dims);
  /// From the gradients of z and the divergence, of which nullptr stands for zeros.
  void (*draw_gaussian_backward)(const float* dz, const float* ddivergence, const float* moments, const float* noise,
                                 float* dmoments, int64_t rows, int64_t dims);

  // The affine coupling of vectors (rows, dims) whose dimensions changed, changed + 2, ... change, C of them; changed
  // is 0 or 1. Dinh et al. (2017), eqs. (4), (6).

  /// y (rows, C) = dimensions first, first + 2, ... of x; first 0 or 1.
  void (*take_every_second)(const float* x, int64_t first, float* y, int64_t rows, int64_t dims);
  /// Adds y to those dimensions of x.
  void (*add_every_second)(float* x, int64_t first, const float* y, int64_t rows, int64_t dims);

  /// With s = bound tanh(raw scale) (bound (C), or nullptr: 1): y = x exp(s) + t where it changes, x elsewhere;
  /// log_det (rows) = sum of s. raw (rows, 2 C): raw scales, then t. Leaves tanh_scale (rows, C) for the gradient.
  void (*couple)(const float* x, const float* raw, const float* bound, int64_t changed, float* y, float* tanh_scale,
                 float* log_det, int64_t rows, int64_t dims);
  /// From the gradients of y and log_det those of x, raw and, unless nullptr, of bound in each row: (rows, C).
  void (*couple_backward)(const float* dy, const float* dlog_det, const float* x, const float* tanh_scale,
                          const float* bound, int64_t changed, float* dx, float* draw, float* dbound, int64_t rows,
                          int64_t dims);

  // Products with weights, in fewer bits too, for text that is generated a token at a time: as fast as memory is read,
  // since up to kRowsAtOnce rows of x share one pass over the weights. Sums in float32. Whoever cuts the outputs into
  // parts gets the same bits.

  static constexpr int64_t kRowsAtOnce = 8;
  void (*product_float32)(const float* weight, const FewRows& product);
  /// weight: the upper halves of float32 numbers.
  void (*product_bfloat16)(const uint16_t* weight, const FewRows& product);
  /// weight[o][i] stands for weight[o][i] * scale[o].
  void (*product_int8)(const int8_t* weight, const float* scale, const FewRows& product);

  /// Writes y of a head, and spoils `weights`.
  void (*attend)(const CachedAttention& head);

  // Products of matrices in blocks (kBlock) that stay in cache, as fast as this processor multiplies; depth and columns
  // are multiples of kBlock. Every sum runs over the depth in one order: who cuts rows or columns gets the same bits.

  /// Whether they were written for this instruction set; else they only give the numbers.
  bool has_block_products;
  /// c (rows, columns) = a (rows, depth) b (depth, columns)
  void (*multiply_blocks)(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t columns);
  /// c (rows, columns) = a^T b, or, with add, += ; a (depth, rows), b (depth, columns), rows a multiple of kBlock,
  /// depth not necessarily
  void (*multiply_transposed_blocks)(const float* a, const float* b, float* c, int64_t rows, int64_t depth,
                                     int64_t columns, bool add);

  // The same of bfloat16 factors with float32 sums. What stands at [block][r][c] of a matrix stands at [block][r / 2]
  // [c][r % 2] of a paired one; where R is odd a row of zeros is the last one's other half.

  /// Whether they were written for this instruction set, and this processor has what they need: AVX-512 with BF16.
  bool (*has_block_products_16)();
  /// c = a b; b paired
  void (*multiply_blocks_16)(const c10::BFloat16* a, const c10::BFloat16* b, float* c, int64_t rows, int64_t depth,
                             int64_t columns);
  /// c = or += a^T b; a and b paired
  void (*multiply_transposed_blocks_16)(const c10::BFloat16* a, const c10::BFloat16* b, float* c, int64_t rows,
                                        int64_t depth, int64_t columns, bool add);
  /// out = x (rows, columns) paired
  void (*pair_rows_16)(const c10::BFloat16* x, int64_t rows, int64_t columns, c10::BFloat16* out);

  /// By minimal filtering, F(2x2, 2x2) on the four parities of the fine image: 9 products where there were 16. Fine
  /// channels in blocks. Winograd (1980); Lavin & Gray (2016).
  const LoweredConvolution<float>* minimal_filtering;
  const LoweredConvolution<c10::BFloat16>* minimal_filtering_16;
  /// By gathering the fine image's patches: one product, for fewer fine channels than a block has.
  const LoweredConvolution<float>* patches;
  const LoweredConvolution<c10::BFloat16>* patches_16;
  /// dz = dy where y > 0, else dy * negative_slope; sums (channels), unless nullptr, += the sums of dz's columns.
  void (*leaky_backward)(float* dz, const float* dy, const float* y, float negative_slope, float* sums, int64_t rows,
                         int64_t channels);
  void (*leaky_backward_16)(c10::BFloat16* dz, const c10::BFloat16* dy, const c10::BFloat16* y, float negative_slope,
                            float* sums, int64_t rows, int64_t channels);

  // Causal attention of whole texts, for training. Dao et al. (2022): no matrix of tokens by tokens is kept.

  /// How many numbers a head's `scratch` holds, for the gradients too if they are wanted.
  int64_t (*causal_attention_scratch)(int64_t tokens, int64_t channels, bool gradients);
  /// Writes y and log_sums.
  void (*causal_attention)(const CausalHead<float>& head);
  void (*causal_attention_16)(const CausalHead<c10::BFloat16>& head);
  void (*causal_attention_backward)(const CausalHead<float>& head, const CausalHeadGradients<float>& gradients);
  void (*causal_attention_backward_16)(const CausalHead<c10::BFloat16>& head,
                                       const CausalHeadGradients<c10::BFloat16>& gradients);
};

/// Those of this processor, or of ATEN_CPU_CAPABILITY (avx512, avx2, default) when that asks for fewer: LibTorch's own
/// choice. The same throughout a process.
const Kernels& kernels();

namespace kernels_plain {
extern const Kernels kTable;
}
namespace kernels_avx2 {
extern const Kernels kTable;
}
namespace kernels_avx512 {
extern const Kernels kTable;
}

}  // namespace genzoo
