#pragma once
// The verbs of the program, one file each, and the table of them.

#include <span>

#include "core/error.h"
#include "tools/arguments.h"

namespace genzoo {

/// What can follow `genzoo` on the command line.
struct Verb {
  const char* name;
  const char* summary;      ///< a line
  const char* positionals;  ///< "RUN INPUT", "[DIR]"
  const char* text;         ///< what help says besides; lines, or empty
  std::vector<Option> options;
  ExitCode (*run)(const Arguments& arguments);
};

// clang-format off
Verb train_verb();
Verb sample_verb();
Verb interpolate_verb();
Verb reconstruct_verb();
Verb generate_verb();
Verb score_verb();
Verb classify_verb();
Verb encode_verb();
Verb decode_verb();
Verb evaluate_verb();
Verb inspect_verb();
Verb compare_verb();
Verb bench_verb();
Verb models_verb();
Verb datasets_verb();
Verb config_verb();
Verb fetch_verb();
Verb tokenizer_verb();
Verb export_verb();
Verb import_verb();
Verb list_verb();
// clang-format on

/// All verbs, in the order help shows them.
std::span<const Verb> verbs();

/// The verb of that name. Throws UsageError with the nearest known one.
const Verb& find_verb(const std::string& name);

/// What `genzoo help` says, and `genzoo help VERB`.
std::string describe_program();
std::string describe_verb(const Verb& verb);

}  // namespace genzoo
