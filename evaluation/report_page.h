#pragma once
// Filling the page of a report.

#include <map>
#include <string>
#include <string_view>

#include "core/json.h"

namespace genzoo {

/// Text as HTML shows it, in an element or a quoted attribute: & < > " ' escaped; what is not UTF-8, and control
/// characters HTML does not allow, become U+FFFD.
std::string escape_html(std::string_view text);

/// Fills a page. `{{name}}` becomes the value; `{{#name}} ... {{/name}}` stays only where the value is not empty.
/// Values are put in as they are and not looked at again. Throws std::logic_error for a name without a value, or a part
/// without its end.
std::string fill_page(std::string_view page, const std::map<std::string, std::string, std::less<>>& values);

/// JSON as it may stand within <script>.
std::string json_for_script(const Json& data);

/// The bytes in base64 (RFC 4648), for data addresses.
std::string base64(std::string_view bytes);

}  // namespace genzoo
