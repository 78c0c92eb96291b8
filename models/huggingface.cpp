#include "models/huggingface.h"

#include <fmt/format.h>

#include <cmath>

#include "core/error.h"

namespace genzoo {

const Json* ForeignConfig::find(const char* key) const {
  const auto found = config_.find(key);
  return found == config_.end() || found->is_null() ? nullptr : &*found;
}

bool ForeignConfig::has(const char* key) const { return find(key) != nullptr; }

int64_t ForeignConfig::integer(const char* key) const {
  if (!has(key)) refuse(fmt::format("no \"{}{}\"", prefix_, key));
  return integer(key, 0);
}

int64_t ForeignConfig::integer(const char* key, int64_t fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  constexpr int64_t kLargest = int64_t{1} << 40;
  const bool fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() || value->get<uint64_t>() <= static_cast<uint64_t>(kLargest)) &&
                    value->get<int64_t>() >= 1 && value->get<int64_t>() <= kLargest;
  if (!fits) refuse(fmt::format("\"{}{}\" is {}, wanted a positive integer", prefix_, key, value->dump()));
  return value->get<int64_t>();
}

double ForeignConfig::number(const char* key, double fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_number()) refuse(fmt::format("\"{}{}\" is {}, wanted a number", prefix_, key, value->dump()));
  return value->get<double>();
}

bool ForeignConfig::flag(const char* key, bool fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_boolean()) refuse(fmt::format("\"{}{}\" is {}, wanted true or false", prefix_, key, value->dump()));
  return value->get<bool>();
}

std::string ForeignConfig::word(const char* key, const std::string& fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_string()) refuse(fmt::format("\"{}{}\" is {}, wanted a word", prefix_, key, value->dump()));
  return value->get<std::string>();
}

ForeignConfig ForeignConfig::below(const char* key) const {
  const Json* value = find(key);
  if (value && !value->is_object())
    refuse(fmt::format("\"{}{}\" is {}, wanted an object", prefix_, key, value->dump()));
  return ForeignConfig(value ? *value : Json::object(), prefix_ + key + ".");
}

void ForeignConfig::require(const char* key, const Json& value) const {
  const Json* found = find(key);
  if (!found || *found == value) return;
  refuse(fmt::format("\"{}{}\" is {}; this program has such models with {} only", prefix_, key, found->dump(),
                     value.dump()));
}

void ForeignConfig::refuse(const std::string& what) const { throw RunError("config.json: " + what); }

}  // namespace genzoo
