// An inspection as one page: assets/inspection.html filled in.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/image.h"
#include "core/version.h"
#include "evaluation/inspection.h"
#include "evaluation/report_page.h"
#include "evaluation/report_parts.h"

namespace genzoo {
namespace {

constexpr int64_t kNamedTokens = 40;  // of an attention map: more names would cover each other
constexpr double kMapSide = 900;      // of the map of tokens, units of its drawing

/// A token so that it can be seen: its spaces and line ends as signs.
std::string shown(const std::string& token) {
  std::string text;
  for (const char c : token) {
    if (c == ' ') {
      text += "\u00b7";
    } else if (c == '\n') {
      text += "\u21b5";
    } else if (c == '\t') {
      text += "\u21e5";
    } else {
      text += c;
    }
  }
  return escape_html(text);
}

/// White at 0, orange at 1.
std::string colour(double share) {
  const double s = std::clamp(share, 0.0, 1.0);
  const auto mix = [&](double to) { return static_cast<int>(std::lround(255 + (to - 255) * s)); };
  return fmt::format("rgb({},{},{})", mix(0xd5), mix(0x5e), mix(0x00));
}

std::string likeliest_text(const std::vector<RatedToken>& tokens) {
  std::string text;
  for (const RatedToken& token : tokens) text += fmt::format("\n{} {:.1f} %", shown(token.text), 100 * token.value);
  return text;
}

std::string text_html(const Inspection& inspection, double most) {
  std::string html;
  for (size_t t = 0; t < inspection.text.size(); ++t) {
    const Expectation& place = inspection.text[t];
    std::string title = "the first token, before which nothing is expected";
    if (t > 0) {
      const Expectation& before = inspection.text[t - 1];
      title = fmt::format("{}: {:.2f} nats; entropy of the expectation {:.2f} nats{}", shown(place.token),
                          *place.surprise, before.entropy, likeliest_text(before.likeliest));
    }
    html += fmt::format("<span style=\"background:{}\" title=\"{}\">{}</span>",
                        colour(place.surprise.value_or(0) / most), title, escape_html(place.token));
  }
  return html;
}

/// One head's map (T, T) with the tokens on its axes.
std::string map_svg(const Tensor& weights, const Inspection& inspection) {
  const auto T = weights.size(0);
  const Tensor ink = (255 * (1 - weights.clamp(0, 1).sqrt())).round();
  const Tensor picture = at::stack({ink, (ink * 0.62 + 97).clamp(0, 255), (ink * 0.35 + 166).clamp(0, 255)});
  const Tensor white = weights.eq(0).unsqueeze(0);
  const std::string png = encode_png(picture.masked_fill(white, 255).to(torch::kByte).contiguous());
  constexpr double kSide = 200, kNames = 56;
  const bool named = T <= kNamedTokens;
  const double margin = named ? kNames : 0, step = kSide / static_cast<double>(T), size = std::min(9.0, 0.9 * step);
  std::string svg = fmt::format("<svg viewBox=\"0 0 {0} {0}\" role=\"img\">", kSide + margin);
  svg += fmt::format("<image x=\"{}\" y=\"0\" width=\"{}\" height=\"{}\" href=\"data:image/png;base64,{}\"></image>",
                     margin, kSide, kSide, base64(png));
  svg += fmt::format("<rect x=\"{}\" y=\"0\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#dad6cc\"></rect>",
                     margin, kSide, kSide);
  for (int64_t t = 0; named && t < T; ++t) {
    const double at = (static_cast<double>(t) + 0.5) * step;
    const std::string name = shown(inspection.text[static_cast<size_t>(t)].token);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:.1f}\" text-anchor=\"end\">{}</text>", margin - 3,
                       at + size / 3, size, name);
    svg += fmt::format(
        "<text transform=\"translate({:.1f} {:.1f}) rotate(-90)\" font-size=\"{:.1f}\" text-anchor=\"end\">{}</text>",
        margin + at + size / 3, kSide + 3, size, name);
  }
  return svg + "</svg>";
}

std::string attention_html(const Inspection& inspection) {
  std::string html;
  if (!inspection.attention.defined()) return html;
  for (int64_t layer = 0; layer < inspection.attention.size(0); ++layer) {
    for (int64_t head = 0; head < inspection.attention.size(1); ++head) {
      html += fmt::format("<figure>{}<figcaption>layer {}, head {}</figcaption></figure>\n",
                          map_svg(inspection.attention[layer][head], inspection), layer, head);
    }
  }
  return html;
}

std::string heads_html(const Inspection& inspection) {
  if (!inspection.head_effects.defined()) return "";
  const Tensor& effects = inspection.head_effects;
  const double largest = std::max(effects.abs().max().item<double>(), 1e-12);
  std::string html = "<tr><th></th>";
  for (int64_t head = 0; head < effects.size(1); ++head) html += fmt::format("<th>head {}</th>", head);
  html += "</tr>";
  for (int64_t layer = 0; layer < effects.size(0); ++layer) {
    html += fmt::format("<tr><th>layer {}</th>", layer);
    for (int64_t head = 0; head < effects.size(1); ++head) {
      const auto effect = effects[layer][head].item<double>();
      html += fmt::format("<td style=\"background:{}\">{:+.4f}</td>", colour(effect / largest), effect);
    }
    html += "</tr>";
  }
  return html;
}

std::string neighbours_html(const Inspection& inspection) {
  std::string html = "<tr><th>token</th><th>near to it, with the cosine</th></tr>";
  for (const auto& [token, near] : inspection.neighbours) {
    html += fmt::format("<tr><td><code>{}</code></td><td>", shown(token));
    for (const RatedToken& other : near) html += fmt::format("<code>{}</code> {:.2f} ", shown(other.text), other.value);
    html += "</td></tr>";
  }
  return html;
}

std::string token_map_svg(const TokenMap& map) {
  const Tensor low = std::get<0>(map.places.min(0)), high = std::get<0>(map.places.max(0));
  const Tensor span = (high - low).clamp_min(1e-12);
  constexpr double kMargin = 40;
  std::string svg = fmt::format("<svg viewBox=\"0 0 {0} {0}\" role=\"img\">", kMapSide);
  for (size_t i = 0; i < map.tokens.size(); ++i) {
    const Tensor place = (map.places[static_cast<int64_t>(i)] - low) / span;
    const double x = kMargin + place[0].item<double>() * (kMapSide - 2 * kMargin);
    const double y = kMapSide - kMargin - place[1].item<double>() * (kMapSide - 2 * kMargin);
    svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2\" fill=\"#0b5a8f\"></circle>", x, y);
    svg +=
        fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"12\">{}</text>", x + 4, y + 4, shown(map.tokens[i]));
  }
  return svg + "</svg>";
}

}  // namespace

std::string inspection_page(const Inspection& inspection, const LoadedModel& loaded) {
  double most = 1;
  for (const Expectation& place : inspection.text) most = std::max(most, place.surprise.value_or(0));
  const std::string run = (loaded.run.empty() ? loaded.path : loaded.run).string();
  const int64_t heads = inspection.attention.defined() ? inspection.attention.size(1) : 1;
  return fill_page(
      kInspectionPage,
      {{"run", escape_html(run)},
       {"summary", escape_html(fmt::format(
                       "A {} trained on {} to step {}, looked into on a text of {} tokens: {:.3f} nats per token, "
                       "perplexity {:.2f}.",
                       loaded.model.family, loaded.spec.dataset, loaded.step, inspection.text.size(),
                       inspection.nats_per_token(), std::exp(inspection.nats_per_token())))},
       {"most", fmt::format("{:.1f}", most)},
       {"text", text_html(inspection, most)},
       {"attention", attention_html(inspection)},
       {"columns", std::to_string(heads)},
       {"width", heads > 6 ? "6rem" : "9rem"},
       {"heads", heads_html(inspection)},
       {"neighbours", neighbours_html(inspection)},
       {"map", token_map_svg(inspection.map)},
       {"map_words",
        fmt::format("{} tokens on the two directions in which their vectors vary most (principal components), which "
                    "hold {:.1f} % and {:.1f} % of the variance. What lies near here may be far in the other "
                    "directions.",
                    inspection.map.tokens.size(), 100 * inspection.map.shares[0], 100 * inspection.map.shares[1])},
       {"program", escape_html(fmt::format("genzoo {}", program_version()))}});
}

}  // namespace genzoo
