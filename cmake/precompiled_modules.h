// The same for rooms of modules. The header of torch::nn::Module brings those of serialized programs, for another
// second a file.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "precompiled.h"
