#include "core/kernels/table.h"

namespace genzoo::GENZOO_KERNELS {

#define GENZOO_STRING_OF(text) #text
#define GENZOO_STRING(text) GENZOO_STRING_OF(text)

extern const Kernels kTable = {
    .name = GENZOO_STRING(GENZOO_KERNELS) + sizeof("kernels_") - 1,
    .adam = adam,
    .sum_of_squares = sum_of_squares,
    .add = add,
    .sum = sum,
    .combine = combine,
    .bias = bias,
    .bias_relu = bias_relu,
    .bias_gelu = bias_gelu,
    .relu_backward = relu_backward,
    .slope_backward = slope_backward,
    .add_columns = add_columns,
    .to_bfloat16 = to_bfloat16,
    .bias_16 = bias_16,
    .bias_relu_16 = bias_relu_16,
    .bias_gelu_16 = bias_gelu_16,
    .relu_backward_16 = relu_backward_16,
    .slope_backward_16 = slope_backward_16,
    .add_columns_16 = add_columns_16,
    .round_columns_16 = round_columns_16,
    .pack_rows_16 = pack_rows_16,
    .pack_transposed_16 = pack_transposed_16,
    .repack_rows_16 = repack_rows_16,
    .repack_transposed_16 = repack_transposed_16,
    .transpose_16 = transpose_16,
    .transpose = transpose,
    .layer_norm = layer_norm,
    .layer_norm_16 = layer_norm_16,
    .layer_norm_backward = layer_norm_backward,
    .layer_norm_backward_16 = layer_norm_backward_16,
    .cross_entropy = cross_entropy,
    .cross_entropy_16 = cross_entropy_16,
    .channel_moments = channel_moments,
    .channel_moments_16 = channel_moments_16,
    .map_channels = map_channels,
    .map_channels_16 = map_channels_16,
    .channel_gradients = channel_gradients,
    .channel_gradients_16 = channel_gradients_16,
    .map_channels_backward = map_channels_backward,
    .map_channels_backward_16 = map_channels_backward_16,
    .bernoulli = bernoulli,
    .couple = couple,
    .couple_backward = couple_backward,
    .product_bfloat16 = product_bfloat16,
    .product_int8 = product_int8,
    .attend = attend,
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
    .has_block_products = true,
#else
    .has_block_products = false,
#endif
    .multiply_blocks = multiply_blocks,
    .multiply_transposed_blocks = multiply_transposed_blocks,
    .minimal_filtering = &kMinimalFiltering,
    .patches = &kPatches,
    .leaky_backward = leaky_backward,
    .causal_attention_scratch = causal_attention_scratch,
    .causal_attention = causal_attention,
    .causal_attention_16 = causal_attention_16,
    .causal_attention_backward = causal_attention_backward,
    .causal_attention_backward_16 = causal_attention_backward_16,
};

}  // namespace genzoo::GENZOO_KERNELS
