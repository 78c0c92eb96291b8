// Layer normalization with the sum before it, and its gradient. Compiled once for each instruction set; see kernels.h.
#include <cmath>

#include "core/kernels/table.h"
#include "core/kernels/vectors.h"

namespace genzoo::GENZOO_KERNELS {

namespace {

template <class Y>
void normalize_rows(const float* x, const float* update, float* sum, Y* y, const LayerNormRows& r, int64_t rows,
                    int64_t columns) {
  const float count_of_columns = static_cast<float>(columns);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * columns;
    Vec total_of_row(0.0F);
    by_vectors(columns, [&](int64_t i, int count) {
      Vec v = load(x + at + i, count);
      if (update) {
        v = v + load(update + at + i, count);
        store(v, sum + at + i, count);
      }
      total_of_row = total_of_row + first_lanes(v, count);
    });
    const float* s = update ? sum + at : x + at;
    const float mean = total(total_of_row) / count_of_columns;
    const Vec center(mean);
    Vec squares(0.0F);
    by_vectors(columns, [&](int64_t i, int count) {
      const Vec d = first_lanes(load(s + i, count) - center, count);
      squares = at::vec::fmadd(d, d, squares);
    });
    const float inverse_std = 1.0F / std::sqrt(total(squares) / count_of_columns + r.eps);
    const Vec scale(inverse_std);
    by_vectors(columns, [&](int64_t i, int count) {
      Vec n = (load(s + i, count) - center) * scale * load(r.weight + i, count);
      if (r.bias) n = n + load(r.bias + i, count);
      store(n, y + at + i, count);
    });
    r.mean[row] = mean;
    r.inverse_std[row] = inverse_std;
  }
}

template <class Y>
void normalize_rows_backward(const Y* dy, const float* dsum, const float* s, float* dx, float* dweight, float* dbias,
                             const LayerNormRows& r, int64_t rows, int64_t columns) {
  const float count_of_columns = static_cast<float>(columns);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * columns;
    const Vec center(r.mean[row]), scale(r.inverse_std[row]);
    Vec total_of_dn(0.0F), total_of_product(0.0F);  // of the gradient of the normalized values, and with them
    by_vectors(columns, [&](int64_t i, int count) {
      const Vec d = load(dy + at + i, count);
      const Vec n = (load(s + at + i, count) - center) * scale;
      const Vec dn = first_lanes(d * load(r.weight + i, count), count);
      total_of_dn = total_of_dn + dn;
      total_of_product = total_of_product + first_lanes(dn * n, count);
      if (dweight) store(at::vec::fmadd(d, n, load(dweight + i, count)), dweight + i, count);
      if (dbias) store(load(dbias + i, count) + d, dbias + i, count);
    });
    const Vec mean_of_dn(total(total_of_dn) / count_of_columns);
    const Vec mean_of_product(total(total_of_product) / count_of_columns);
    by_vectors(columns, [&](int64_t i, int count) {
      const Vec n = (load(s + at + i, count) - center) * scale;
      Vec d = load(dy + at + i, count) * load(r.weight + i, count) - mean_of_dn - n * mean_of_product;
      d = d * scale;
      if (dsum) d = d + load(dsum + at + i, count);
      store(d, dx + at + i, count);
    });
  }
}

}  // namespace

void layer_norm(const float* x, const float* update, float* sum, float* y, const LayerNormRows& r, int64_t rows,
                int64_t columns) {
  normalize_rows(x, update, sum, y, r, rows, columns);
}
void layer_norm_16(const float* x, const float* update, float* sum, BFloat16* y, const LayerNormRows& r, int64_t rows,
                   int64_t columns) {
  normalize_rows(x, update, sum, y, r, rows, columns);
}
void layer_norm_backward(const float* dy, const float* dsum, const float* s, float* dx, float* dweight, float* dbias,
                         const LayerNormRows& r, int64_t rows, int64_t columns) {
  normalize_rows_backward(dy, dsum, s, dx, dweight, dbias, r, rows, columns);
}
void layer_norm_backward_16(const BFloat16* dy, const float* dsum, const float* s, float* dx, float* dweight,
                            float* dbias, const LayerNormRows& r, int64_t rows, int64_t columns) {
  normalize_rows_backward(dy, dsum, s, dx, dweight, dbias, r, rows, columns);
}

}  // namespace genzoo::GENZOO_KERNELS
