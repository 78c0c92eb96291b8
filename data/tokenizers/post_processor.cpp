#include "data/tokenizers/post_processor.h"

#include <fmt/format.h>

#include <string>

#include "core/error.h"
#include "data/tokenizers/json_fields.h"

namespace genzoo {
namespace {

constexpr const char* kWhere = "post_processor";
using Part = Surroundings::Part;

Surroundings nothing() { return {{{}}, {{}, {.text = 1, .type = 1}}}; }
bool adds(const Surroundings& surroundings) { return surroundings.single.size() > 1 || surroundings.pair.size() > 2; }

int32_t token_of(const SortedJson& value, int64_t vocabulary, const std::string& name) {
  if (!is_count(value) || value.get<uint64_t>() >= static_cast<uint64_t>(vocabulary)) {
    throw RunError(fmt::format("tokenizer: post_processor: the token {} of \"{}\", wanted 0 to {}", value.dump(), name,
                               vocabulary - 1));
  }
  return value.get<int32_t>();
}

/// ["[CLS]", 101]
int32_t named_token(const SortedJson& description, const char* key, int64_t vocabulary) {
  const SortedJson& pair = list_in(description, key, kWhere);
  if (pair.size() != 2 || !pair[0].is_string()) {
    throw RunError(
        fmt::format("tokenizer: post_processor: \"{}\": {}, wanted a token and its index", key, pair.dump()));
  }
  return token_of(pair[1], vocabulary, pair[0].get<std::string>());
}

int32_t type_in(const SortedJson& part) {
  const SortedJson type = part.value("type_id", SortedJson(0));
  if (!is_count(type) || type > 255) {
    throw RunError(fmt::format("tokenizer: post_processor: type_id {}, wanted a small number", type.dump()));
  }
  return type.get<int32_t>();
}

std::vector<Part> template_of(const SortedJson& description, const char* key, size_t texts, int64_t vocabulary) {
  std::vector<Part> parts;
  size_t found = 0;
  for (const SortedJson& each : list_in(description, key, kWhere)) {
    if (each.is_object() && each.contains("Sequence")) {
      const SortedJson& text = each["Sequence"];
      const bool second = text_in(text, "id", kWhere) == "B";
      found |= second ? 2U : 1U;
      parts.push_back({.text = second, .type = type_in(text)});
      continue;
    }
    const SortedJson& special = object_in(each, "SpecialToken", kWhere);
    const std::string name = text_in(special, "id", kWhere);
    const SortedJson& all = object_in(description, "special_tokens", kWhere);
    if (!all.contains(name)) {
      throw RunError(
          fmt::format("tokenizer: post_processor: the special token \"{}\" of \"{}\" is not among its "
                      "special_tokens",
                      name, key));
    }
    for (const SortedJson& token : list_in(all[name], "ids", kWhere)) {
      parts.push_back({.token = token_of(token, vocabulary, name), .type = type_in(special)});
    }
  }
  if (found != (texts == 1 ? 1U : 3U)) {
    throw RunError(fmt::format("tokenizer: post_processor: \"{}\", wanted {} in it", key,
                               texts == 1 ? "the sequence A" : "the sequences A and B"));
  }
  return parts;
}

Surroundings sequence_of(const SortedJson& description, int64_t vocabulary) {
  Surroundings all = nothing();
  for (const SortedJson& each : list_in(description, "processors", kWhere)) {
    if (text_in(each, "type", kWhere) == "Sequence") {
      throw RunError("tokenizer: post_processor: a Sequence within a Sequence is not supported");
    }
    const Surroundings next = make_surroundings(each, vocabulary);
    if (!adds(next)) continue;
    if (adds(all)) throw RunError("tokenizer: post_processor: a Sequence in which two add tokens is not supported");
    all = next;
  }
  return all;
}

}  // namespace

Surroundings make_surroundings(const SortedJson& description, int64_t vocabulary) {
  if (description.is_null()) return nothing();
  const std::string type = text_in(description, "type", kWhere);
  if (type == "ByteLevel") return nothing();
  if (type == "TemplateProcessing") {
    return {template_of(description, "single", 1, vocabulary), template_of(description, "pair", 2, vocabulary)};
  }
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    const Part first{.token = named_token(description, "cls", vocabulary)};
    const Part end{.token = named_token(description, "sep", vocabulary)};
    if (type == "RobertaProcessing") return {{first, {}, end}, {first, {}, end, end, {.text = 1}, end}};
    return {{first, {}, end}, {first, {}, end, {.text = 1, .type = 1}, {.token = end.token, .type = 1}}};
  }
  if (type == "Sequence") return sequence_of(description, vocabulary);
  throw RunError(
      fmt::format("tokenizer: a post_processor of type \"{}\" is not known; known are TemplateProcessing, "
                  "BertProcessing, RobertaProcessing, ByteLevel, Sequence",
                  type));
}

}  // namespace genzoo
