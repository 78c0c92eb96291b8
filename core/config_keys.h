#pragma once
// Which keys a config gives, before it is read.

#include <string>
#include <vector>

#include "core/config.h"

namespace genzoo {

/// Whether a source gives a key, "train.steps", in its file or by an override.
bool gives_key(const ConfigSource& source, const std::string& key);

/// The keys it gives right below another; of a bare word that word.
std::vector<std::string> keys_below(const ConfigSource& source, const std::string& key);

}  // namespace genzoo
