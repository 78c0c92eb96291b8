#pragma once
// Weights from and for Hugging Face's `transformers`: a folder with config.json, model.safetensors (or shards of it and
// their index) and the tokenizer's files.

#include <filesystem>
#include <string>
#include <vector>

#include "models/huggingface.h"
#include "trainers/checkpoint.h"
#include "trainers/run_folder.h"

namespace genzoo {

/// What a folder holds.
struct HuggingFaceFolder {
  HuggingFaceModel model;
  std::string tokenizer;   ///< Tokenizer::to_json()
  int64_t vocabulary = 0;  ///< tokens of the tokenizer
  int64_t end_token = -1;  ///< the config's eos_token_id (of several the first); -1: none that the tokenizer has
};

/// Reads everything. Throws UsageError when it is no such folder, saying what is missing, RunError naming the file when
/// one is damaged. Weights in other formats are not read: pickled ones can run programs.
HuggingFaceFolder read_huggingface_folder(const std::filesystem::path& folder);

/// The model types that can be read.
std::vector<std::string> huggingface_types();

/// The model that a folder's config.json describes. Throws as read_huggingface_folder, and RunError for one that the
/// zoo has not.
Choice read_huggingface_choice(const std::filesystem::path& folder);

/// How conversations are written for the folder's model, as DataSpec::chat; "": it says nothing, or nothing known here.
/// Throws RunError for a tokenizer_config.json that is damaged.
std::string read_huggingface_chat(const std::filesystem::path& folder);

/// The folder's model, ready for evaluation on the CPU; its config names it as data `imported`.
LoadedModel load_huggingface(const std::filesystem::path& folder);

/// Makes a run of such a folder, with one checkpoint, of step 0. Throws UsageError when the run's folder holds a run
/// already, RunError for a model that the zoo has not.
void import_huggingface(const std::filesystem::path& folder, const RunFolder& run, const std::string& command_line);

/// Writes a model as such a folder, which `transformers` loads; the tokenizer too. Throws UsageError when the folder
/// has files in it, or the model is none that `transformers` has.
void export_huggingface(const LoadedModel& loaded, const std::filesystem::path& folder);

}  // namespace genzoo
