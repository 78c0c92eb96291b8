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
    .bias_relu = bias_relu,
    .bias_gelu = bias_gelu,
    .relu_backward = relu_backward,
    .slope_backward = slope_backward,
    .add_columns = add_columns,
    .couple = couple,
    .couple_backward = couple_backward,
};

}  // namespace genzoo::GENZOO_KERNELS
