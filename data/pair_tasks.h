#pragma once
// Pairs of texts made by the program, of which the right answer is known: what a model of pairs can learn exactly, and
// whether it does so for texts longer than those it learned from.

#include <cstdint>

#include "data/dataset.h"

namespace genzoo {

/// Sums of whole numbers, as in Keras' example addition_rnn (after Sutskever, Vinyals & Le, 2014): "12+345" -> "357".
/// No question occurs twice, nor with its numbers exchanged.
struct AdditionConfig {
  int64_t digits = 3;
  bool reverse = true;
  int64_t examples = 50000;
  double validation = 0.1;
  int64_t test_digits = 0;
  int64_t test = 1000;
  int64_t data_seed = 0;

  void fields(Fields& f);
};

/// Strings of letters, all different, and what is to be made of them.
struct LettersConfig {
  int64_t length = 10;
  int64_t min_length = 1;
  int64_t alphabet = 26;
  int64_t examples = 20000;
  double validation = 0.1;
  int64_t test_length = 0;
  int64_t test = 1000;
  int64_t data_seed = 0;

  void fields(Fields& f);
};
struct ReverseConfig : LettersConfig {};  ///< "abc" -> "cba"
struct CopyConfig : LettersConfig {};     ///< "abc" -> "abc"

Dataset open(const AdditionConfig& config, const DataPlaces& places);
Dataset open(const ReverseConfig& config, const DataPlaces& places);
Dataset open(const CopyConfig& config, const DataPlaces& places);

}  // namespace genzoo
