// A simple reader of HTML: enough to find a tag left open, a picture without words, something loaded from elsewhere.
#pragma once

#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <vector>

namespace genzoo {

struct HtmlTag {
  std::string name;
  std::map<std::string, std::string> attributes;
};

struct HtmlPage {
  std::vector<HtmlTag> tags;          ///< opening ones, in order
  std::vector<std::string> mistakes;  ///< empty: well formed
  std::string text;                   ///< between the tags, scripts and styles left out, as escaped
  std::map<std::string, int> ids;
};

/// Reads one tag from after its '<' up to its '>'; moves `at` behind it.
inline HtmlTag read_tag(const std::string& html, size_t& at, std::vector<std::string>& mistakes) {
  const auto skip = [&] {
    while (at < html.size() && std::isspace(static_cast<unsigned char>(html[at]))) ++at;
  };
  const auto word = [&](const std::string& end) {
    const size_t first = at;
    at = std::min(html.find_first_of(end, at), html.size());
    return html.substr(first, at - first);
  };
  HtmlTag tag{word(" \n\t>"), {}};
  for (skip(); at < html.size() && html[at] != '>'; skip()) {
    const std::string name = word(" \n\t=>");
    std::string value;
    if (at < html.size() && html[at] == '=') {
      if (html[++at] != '"') mistakes.push_back("an unquoted value of " + name);
      ++at;
      value = word("\"");
      ++at;
    }
    if (!tag.attributes.emplace(name, value).second) mistakes.push_back("twice " + name);
  }
  ++at;
  return tag;
}

inline HtmlPage read_html(const std::string& html) {
  static const std::vector<std::string> kVoid = {"meta", "link", "img", "br", "wbr", "hr", "input"};
  HtmlPage page;
  std::vector<std::string> open;
  for (size_t at = 0; at < html.size();) {
    if (html[at] == '>') page.mistakes.push_back("a stray > at " + std::to_string(at));
    if (html[at] != '<') {
      page.text += html[at++];
      continue;
    }
    if (html.compare(at, 4, "<!--") == 0) {
      at = std::min(html.find("-->", at), html.size() - 3) + 3;
      continue;
    }
    if (html.compare(at, 2, "<!") == 0) {
      at = html.find('>', at) + 1;
      continue;
    }
    if (html.compare(at, 2, "</") == 0) {
      const size_t end = html.find('>', at);
      const std::string name = html.substr(at + 2, end - at - 2);
      if (open.empty() || open.back() != name) page.mistakes.push_back("</" + name + "> closes nothing");
      if (!open.empty()) open.pop_back();
      at = end + 1;
      continue;
    }
    const HtmlTag tag = read_tag(html, ++at, page.mistakes);
    page.tags.push_back(tag);
    if (tag.attributes.contains("id") && ++page.ids[tag.attributes.at("id")] > 1) {
      page.mistakes.push_back("twice the id " + tag.attributes.at("id"));
    }
    if (std::ranges::count(kVoid, tag.name)) continue;
    const bool in_svg = tag.name == "svg" || std::ranges::count(open, "svg") > 0;  // where <path .../> is closed
    if (in_svg && tag.attributes.contains("/")) continue;
    open.push_back(tag.name);
    if (tag.name == "script" || tag.name == "style") at = std::min(html.find("</" + tag.name, at), html.size());
  }
  for (const std::string& name : open) page.mistakes.push_back("<" + name + "> is never closed");
  return page;
}

}  // namespace genzoo
