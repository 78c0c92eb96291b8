// Whether contestants learn from the same examples, however each treats them.
#include "evaluation/shared_data.h"

#include "data/images.h"
#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"

namespace genzoo {
namespace {

/// 60 grey images for training, 20 of them for validation, and 20 for tests, without labels.
Dataset unlabelled(Binarize binarize, uint64_t key = 1) {
  ImageOptions options;
  options.validation = 20;
  options.binarize = binarize;
  return make_image_dataset("pictures", {.x = tiny::pixels(60, 256, key), .y = {}},
                            {.x = tiny::pixels(20, 256, 99), .y = {}},
                            /*classes=*/0, options);
}

TEST_CASE("images are the same in grey and in bits, whichever way these are drawn", "[evaluation][compare]") {
  const Dataset grey = unlabelled(Binarize::none), fixed = unlabelled(Binarize::fixed),
                dynamic = unlabelled(Binarize::dynamic);
  for (const Dataset* a : {&grey, &fixed, &dynamic}) {
    for (const Dataset* b : {&grey, &fixed, &dynamic}) CHECK(same_data(*a, *b));
  }
  const Dataset other = unlabelled(Binarize::fixed, 2);
  for (const Dataset* a : {&grey, &fixed, &dynamic}) {
    CHECK_FALSE(same_data(*a, other));
    CHECK_FALSE(same_data(other, *a));
  }
}

TEST_CASE("the same examples split elsewhere are other data", "[evaluation][compare]") {
  const Tensor x = tiny::pixels(60, 256, 1);
  const auto split_at = [&](int64_t n) {
    Dataset dataset = tiny::images(256, 20);  // without labels: one run of bytes
    dataset.train.x = x.narrow(0, 0, n);
    dataset.validation.x = x.narrow(0, n, 60 - n);
    return dataset;
  };
  CHECK(split_at(40).digest() == split_at(40).digest());
  CHECK(split_at(40).digest() != split_at(50).digest());
  CHECK(same_data(split_at(40), split_at(40)));
  CHECK_FALSE(same_data(split_at(40), split_at(50)));
}

}  // namespace
}  // namespace genzoo
