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

/// Associative recall: pairs of a letter, the key, and a digit, its value, in a row, and then one of the keys again,
/// whose value is the target: "a3f7k1f" -> "7". Keys of a source are all different. Graves et al., Neural Turing
/// Machines, 2014, https://arxiv.org/abs/1410.5401, section 4.3; in this form Arora et al., Zoology, 2023,
/// https://arxiv.org/abs/2312.04927. Dataset::distance is that of the value asked for.
///
/// The training part has short sources, of which there are few, many times over, so that they are not rare among the
/// others. What stands in validation or test stands nowhere else.
struct RecallConfig {
  int64_t max_pairs = 8;
  int64_t min_pairs = 2;
  int64_t keys = 26;
  int64_t values = 10;
  int64_t examples = 50000;
  double validation = 0.1;
  int64_t test_pairs = 0;
  int64_t test = 1000;
  int64_t data_seed = 0;

  void fields(Fields& f);
};

Dataset open(const AdditionConfig& config, const DataPlaces& places);
Dataset open(const ReverseConfig& config, const DataPlaces& places);
Dataset open(const CopyConfig& config, const DataPlaces& places);
Dataset open(const RecallConfig& config, const DataPlaces& places);

}  // namespace genzoo
