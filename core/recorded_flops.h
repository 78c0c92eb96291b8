#pragma once
// What passes of genzoo's own are worth to those who count the work of LibTorch's operators.

#include <ATen/record_function.h>

namespace genzoo {

/// Runs `pass` as an operator of this name ("genzoo::..."), whose first input is the number of its FLOPs: a
/// multiplication and an addition are two.
template <class F>
void recorded(const char* name, double flops, const F& pass) {
  const c10::IValue worth(flops);
  RECORD_FUNCTION(name, c10::ArrayRef<const c10::IValue>(&worth, 1));
  pass();
}

}  // namespace genzoo
