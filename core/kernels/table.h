#pragma once
// The functions that each instruction set has a copy of. Their namespace is GENZOO_KERNELS: kernels_avx512, say.

#include "core/kernels/kernels.h"

namespace genzoo::GENZOO_KERNELS {

void adam(float* value, const float* gradient, float* first, float* second, int64_t n, const AdamStep& step);
double sum_of_squares(const float* x, int64_t n);
void add(float* x, const float* y, int64_t n);
double sum(const float* x, int64_t n);
void bias_relu(float* y, int64_t stride, const float* bias, int64_t rows, int64_t columns);
void bias_gelu(float* z, float* slope, int64_t stride, const float* bias, int64_t rows, int64_t columns);
void relu_backward(float* dz, const float* dy, const float* y, float* bias_gradient, int64_t stride, int64_t rows,
                   int64_t columns);
void slope_backward(float* dz, const float* dy, const float* slope, float* bias_gradient, int64_t stride, int64_t rows,
                    int64_t columns);
void add_columns(float* sums, const float* x, int64_t stride, int64_t rows, int64_t columns);
void couple(const float* x, const float* raw, const float* bound, int64_t changed, float* y, float* tanh_scale,
            float* log_det, int64_t rows, int64_t dims);
void couple_backward(const float* dy, const float* dlog_det, const float* x, const float* tanh_scale,
                     const float* bound, int64_t changed, float* dx, float* draw, float* dbound, int64_t rows,
                     int64_t dims);

}  // namespace genzoo::GENZOO_KERNELS
