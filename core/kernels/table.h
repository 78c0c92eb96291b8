#pragma once
// The functions that each instruction set has a copy of. Their namespace is GENZOO_KERNELS: kernels_avx512, say.

#include "core/kernels/kernels.h"

namespace genzoo::GENZOO_KERNELS {

void adam(float* value, const float* gradient, float* first, float* second, float* average, int64_t n,
          const AdamStep& step);
double sum_of_squares(const float* x, int64_t n);
void add(float* z, const float* x, const float* y, int64_t n);
double sum(const float* x, int64_t n);
void combine(float* y, int64_t y_stride, const float* z, int64_t z_stride, float alpha, float beta, int64_t rows,
             int64_t columns);
void bias(float* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
          int64_t columns);
void bias_relu(float* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
               int64_t columns);
void bias_gelu(float* y, float* slope, int64_t y_stride, const float* z, int64_t z_stride, const float* bias,
               int64_t rows, int64_t columns);
void relu_backward(float* dz, const float* dy, const float* y, float* bias_gradient, int64_t stride, int64_t rows,
                   int64_t columns);
void slope_backward(float* dz, const float* dy, const float* slope, float* bias_gradient, int64_t stride, int64_t rows,
                    int64_t columns);
void add_columns(float* sums, const float* x, int64_t stride, int64_t rows, int64_t columns);
void to_bfloat16(c10::BFloat16* y, const float* x, int64_t n);
void bias_16(c10::BFloat16* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
             int64_t columns);
void bias_relu_16(c10::BFloat16* y, int64_t y_stride, const float* z, int64_t z_stride, const float* bias, int64_t rows,
                  int64_t columns);
void bias_gelu_16(c10::BFloat16* y, c10::BFloat16* slope, int64_t y_stride, const float* z, int64_t z_stride,
                  const float* bias, int64_t rows, int64_t columns);
void relu_backward_16(c10::BFloat16* dz, const c10::BFloat16* dy, const c10::BFloat16* y, float* bias_gradient,
                      int64_t stride, int64_t rows, int64_t columns);
void slope_backward_16(c10::BFloat16* dz, const c10::BFloat16* dy, const c10::BFloat16* slope, float* bias_gradient,
                       int64_t stride, int64_t rows, int64_t columns);
void add_columns_16(float* sums, const c10::BFloat16* x, int64_t stride, int64_t rows, int64_t columns);
void round_columns_16(c10::BFloat16* y, const float* x, float* sums, int64_t stride, int64_t rows, int64_t columns);
void pack_rows_16(const float* w, int64_t stride, int64_t k, int64_t n, c10::BFloat16* out);
void pack_transposed_16(const float* w, int64_t stride, int64_t n, int64_t k, c10::BFloat16* out);
void repack_rows_16(const c10::BFloat16* w, int64_t stride, int64_t k, int64_t n, c10::BFloat16* out);
void repack_transposed_16(const c10::BFloat16* w, int64_t stride, int64_t n, int64_t k, c10::BFloat16* out);
void transpose_16(const c10::BFloat16* w, int64_t stride, int64_t k, int64_t m, c10::BFloat16* out);
void transpose(const float* w, int64_t stride, int64_t rows, int64_t columns, float* out);
void layer_norm(const float* x, const float* update, float* sum, float* y, const LayerNormRows& r, int64_t rows,
                int64_t columns);
void layer_norm_16(const float* x, const float* update, float* sum, c10::BFloat16* y, const LayerNormRows& r,
                   int64_t rows, int64_t columns);
void layer_norm_backward(const float* dy, const float* dsum, const float* s, float* dx, float* dweight, float* dbias,
                         const LayerNormRows& r, int64_t rows, int64_t columns);
void layer_norm_backward_16(const c10::BFloat16* dy, const float* dsum, const float* s, float* dx, float* dweight,
                            float* dbias, const LayerNormRows& r, int64_t rows, int64_t columns);
void cross_entropy(float* logits, float* gradient, const int64_t* targets, float* losses, int64_t rows,
                   int64_t columns);
void cross_entropy_16(float* logits, c10::BFloat16* gradient, const int64_t* targets, float* losses, int64_t rows,
                      int64_t columns);
void channel_moments(const float* x, float* mean, float* squares, int64_t rows, int64_t channels);
void channel_moments_16(const c10::BFloat16* x, float* mean, float* squares, int64_t rows, int64_t channels);
void map_channels(const float* x, float* y, const ChannelMap& map, int64_t rows, int64_t channels);
void map_channels_16(const c10::BFloat16* x, c10::BFloat16* y, const ChannelMap& map, int64_t rows, int64_t channels);
void channel_gradients(const float* x, const float* dy, const ChannelMap& map, const float* mean, float* sum,
                       float* product, int64_t rows, int64_t channels);
void channel_gradients_16(const c10::BFloat16* x, const c10::BFloat16* dy, const ChannelMap& map, const float* mean,
                          float* sum, float* product, int64_t rows, int64_t channels);
void map_channels_backward(const float* x, const float* dy, float* dx, const ChannelMap& map, const float* factor,
                           const float* offset, int64_t rows, int64_t channels);
void map_channels_backward_16(const c10::BFloat16* x, const c10::BFloat16* dy, c10::BFloat16* dx, const ChannelMap& map,
                              const float* factor, const float* offset, int64_t rows, int64_t channels);
void scale_bytes(const uint8_t* x, float* y, float divisor, float shift, int64_t n);
void bernoulli(const float* logits, const float* x, float* slope, float* log_prob, int64_t rows, int64_t columns);
void draw_gaussian(const float* moments, const float* noise, float* z, float* divergence, int64_t rows, int64_t dims);
void draw_gaussian_backward(const float* dz, const float* ddivergence, const float* moments, const float* noise,
                            float* dmoments, int64_t rows, int64_t dims);
void take_every_second(const float* x, int64_t first, float* y, int64_t rows, int64_t dims);
void add_every_second(float* x, int64_t first, const float* y, int64_t rows, int64_t dims);
void couple(const float* x, const float* raw, const float* bound, int64_t changed, float* y, float* tanh_scale,
            float* log_det, int64_t rows, int64_t dims);
void couple_backward(const float* dy, const float* dlog_det, const float* x, const float* tanh_scale,
                     const float* bound, int64_t changed, float* dx, float* draw, float* dbound, int64_t rows,
                     int64_t dims);
void product_float32(const float* weight, const FewRows& product);
void product_bfloat16(const uint16_t* weight, const FewRows& product);
void product_int8(const int8_t* weight, const float* scale, const FewRows& product);
void attend(const CachedAttention& head);
void multiply_blocks(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t columns);
void multiply_transposed_blocks(const float* a, const float* b, float* c, int64_t rows, int64_t depth, int64_t columns,
                                bool add);
bool has_block_products_16();
void multiply_blocks_16(const c10::BFloat16* a, const c10::BFloat16* b, float* c, int64_t rows, int64_t depth,
                        int64_t columns);
void multiply_transposed_blocks_16(const c10::BFloat16* a, const c10::BFloat16* b, float* c, int64_t rows,
                                   int64_t depth, int64_t columns, bool add);
void pair_rows_16(const c10::BFloat16* x, int64_t rows, int64_t columns, c10::BFloat16* out);
extern const LoweredConvolution<float> kMinimalFiltering, kPatches;
extern const LoweredConvolution<c10::BFloat16> kMinimalFiltering16, kPatches16;
void leaky_backward(float* dz, const float* dy, const float* y, float negative_slope, float* sums, int64_t rows,
                    int64_t channels);
void leaky_backward_16(c10::BFloat16* dz, const c10::BFloat16* dy, const c10::BFloat16* y, float negative_slope,
                       float* sums, int64_t rows, int64_t channels);
int64_t causal_attention_scratch(int64_t tokens, int64_t channels, bool gradients);
void causal_attention(const CausalHead<float>& head);
void causal_attention_16(const CausalHead<c10::BFloat16>& head);
void causal_attention_backward(const CausalHead<float>& head, const CausalHeadGradients<float>& gradients);
void causal_attention_backward_16(const CausalHead<c10::BFloat16>& head,
                                  const CausalHeadGradients<c10::BFloat16>& gradients);

}  // namespace genzoo::GENZOO_KERNELS
