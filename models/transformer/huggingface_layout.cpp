#include "models/transformer/huggingface_layout.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace genzoo {
namespace {

/// A tensor of ours and where it lies with them.
struct Place {
  std::string ours;
  std::vector<std::string> theirs;
  Form form;
  bool has_bias;
};

std::vector<Place> places(const Layout& layout, int64_t n_layer, const char* kind) {
  std::vector<Place> all;
  const auto add = [&](const Part& part, const std::string& ours, const std::string& theirs) {
    Place place{fmt::format("{}{}.{}", ours, part.ours, kind), {}, part.form, part.has_bias};
    for (const char* name : part.theirs) place.theirs.push_back(fmt::format("{}{}.{}", theirs, name, kind));
    all.push_back(std::move(place));
  };
  for (const Part& part : layout.outside) add(part, "", layout.prefix);
  for (int64_t i = 0; i < n_layer; ++i) {
    for (const Part& part : layout.inside) {
      add(part, fmt::format("blocks.{}.", i), fmt::format("{}{}{}.", layout.prefix, layout.layer, i));
    }
  }
  for (const Part& part : layout.bare) add(part, "", "");
  return all;
}

/// (H 3 D, ...) to (3 H D, ...), or the way back.
Tensor by_head_to_ours(const Tensor& t, const LayoutSizes& sizes) {
  const int64_t H = sizes.n_head, D = sizes.n_embd / H;
  const Tensor parts = t.reshape({H, 3, D, -1}).transpose(0, 1);  // (3, H, D, in)
  const Tensor turned = parts.narrow(0, 0, 2).index_select(/*dim=*/2, sizes.channel_order);
  return at::cat({turned, parts.narrow(0, 2, 1)}).reshape(t.sizes());
}

Tensor ours_to_by_head(const Tensor& t, const LayoutSizes& sizes) {
  const int64_t H = sizes.n_head, D = sizes.n_embd / H;
  const Tensor parts = t.reshape({3, H, D, -1});
  const Tensor turned = parts.narrow(0, 0, 2).index_select(/*dim=*/2, sizes.channel_order.argsort());
  return at::cat({turned, parts.narrow(0, 2, 1)}).transpose(0, 1).reshape(t.sizes());
}

/// Outputs of the parts that ours are put together of.
std::vector<int64_t> outputs(const Place& place, const LayoutSizes& sizes, int64_t all) {
  if (place.theirs.size() == 1) return {all};
  if (place.theirs.size() == 2) return {all / 2, all / 2};
  return {sizes.n_embd, sizes.key_channels, sizes.key_channels};
}

/// Drops what is no parameter, and gives names that lack the prefix the prefix: OpenAI's own GPT-2 has none.
Tensors with_prefix(Tensors theirs, const Layout& layout) {
  Tensors all;
  for (auto& [name, tensor] : theirs) {
    const auto ends = [&, &name = name](const char* end) { return name.ends_with(end); };
    if (std::ranges::any_of(layout.constant, ends)) continue;
    const bool bare = std::ranges::any_of(layout.bare, [&, &name = name](const Part& part) {
      return name.starts_with(std::string(part.theirs[0]) + ".");
    });
    all[bare || name.starts_with(layout.prefix) ? name : layout.prefix + name] = std::move(tensor);
  }
  return all;
}

/// The first names of a list, and how many there are.
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 4;
  const std::span<const std::string> shown(names.data(), std::min(kShown, names.size()));
  return fmt::format("{}{}", fmt::join(shown, ", "),
                     names.size() > kShown ? fmt::format(" and {} more", names.size() - kShown) : "");
}

/// One tensor of ours from those of theirs, which are taken out; undefined when some are missing.
Tensor take(const Place& place, const LayoutSizes& sizes, at::IntArrayRef shape, Tensors& theirs,
            std::vector<std::string>& missing) {
  std::vector<Tensor> parts;
  const std::vector<int64_t> rows = outputs(place, sizes, shape[0]);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto found = theirs.find(place.theirs[i]);
    if (found == theirs.end()) {
      missing.push_back(place.theirs[i]);
      continue;
    }
    std::vector<int64_t> wanted = shape.vec();
    wanted[0] = rows[i];
    if (place.form == Form::transposed && wanted.size() == 2) std::swap(wanted[0], wanted[1]);
    const Tensor& got = found->second;
    if (got.sizes() != at::IntArrayRef(wanted) || !got.is_floating_point()) {
      throw RunError(fmt::format("{} is {} ({}), config.json wants floating-point ({})", found->first,
                                 c10::toString(got.scalar_type()), fmt::join(got.sizes(), ", "),
                                 fmt::join(wanted, ", ")));
    }
    Tensor part = got.to(torch::kFloat);
    if (place.form == Form::transposed && part.dim() == 2) part = part.t();
    parts.push_back(place.form == Form::by_head ? by_head_to_ours(part, sizes) : part);
    theirs.erase(found);
  }
  return parts.size() == rows.size() ? at::cat(parts).contiguous() : Tensor();
}

}  // namespace

Tensors our_tensors(const Layout& layout, const LayoutSizes& sizes, const Tensors& own, Tensors theirs) {
  theirs = with_prefix(std::move(theirs), layout);
  Tensors ours;
  std::vector<std::string> missing;
  for (const char* kind : {"weight", "bias"}) {
    for (const Place& place : places(layout, sizes.n_layer, kind)) {
      const auto mine = own.find(place.ours);
      if (mine == own.end()) continue;  // no bias, or no such layer
      const Tensor made = take(place, sizes, mine->second.sizes(), theirs, missing);
      if (made.defined()) ours[place.ours] = made;
    }
  }
  if (!missing.empty()) throw RunError(fmt::format("the weights have no {}", some_of(missing)));
  if (!theirs.empty()) {
    std::vector<std::string> left;
    for (const auto& [name, tensor] : theirs) left.push_back(name);
    throw RunError(fmt::format("config.json does not speak of the weights {}", some_of(left)));
  }
  return ours;
}

Tensors their_tensors(const Layout& layout, const LayoutSizes& sizes, const Tensors& own) {
  Tensors theirs;
  for (const std::string_view kind : {"weight", "bias"}) {
    for (const Place& place : places(layout, sizes.n_layer, kind.data())) {
      const auto found = own.find(place.ours);
      Tensor whole;
      if (found != own.end()) {
        whole = found->second.detach().to(torch::kCPU, torch::kFloat);
      } else if (kind == "bias" && layout.biases && place.has_bias) {
        whole = at::zeros({own.at(place.ours.substr(0, place.ours.size() - kind.size()) + "weight").size(0)});
      } else {
        continue;
      }
      if (place.form == Form::by_head) whole = ours_to_by_head(whole, sizes);
      const auto parts = whole.split_with_sizes(outputs(place, sizes, whole.size(0)));
      for (size_t i = 0; i < parts.size(); ++i) {
        const bool turn = place.form == Form::transposed && parts[i].dim() == 2;
        theirs[place.theirs[i]] = (turn ? parts[i].t() : parts[i]).contiguous();
      }
    }
  }
  return theirs;
}

}  // namespace genzoo
