"""Decoding by Hugging Face's `generate`, measured: one line of JSON.

    python huggingface_rival.py --workload decode
    python huggingface_rival.py --workload decode --precision bfloat16

The workload `decode`: GPT-2's network of 124 million parameters with random weights, 128 tokens after a prompt of 16,
greedy, with its cache of keys and values.
"""
from __future__ import annotations

import math

import torch
import transformers

import data
import measure

PROMPT = 16


def main() -> None:
    parser = measure.arguments(__doc__, ["decode"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"], help="of the weights")
    options = parser.parse_args()

    measure.pin(options.threads)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    bfloat16 = options.precision == "bfloat16"
    config = transformers.GPT2Config(vocab_size=50304, bos_token_id=None, eos_token_id=None)
    model = transformers.GPT2LMHeadModel(config).eval().to(torch.bfloat16 if bfloat16 else torch.float32)
    prompt = torch.randint(0, config.vocab_size, (1, PROMPT))

    @torch.inference_mode()
    def step() -> torch.Tensor:
        return model.generate(prompt, max_new_tokens=data.NEW_TOKENS, min_new_tokens=data.NEW_TOKENS, do_sample=False,
                              pad_token_id=0)

    result = measure.run(step, lambda text: text[0, -1].item(), options)
    result["loss_first"] = result["loss_last"] = None
    facts = {
        "workload": "decode", "peer": "transformers", "mode": "generate", "dtype": "bf16" if bfloat16 else "fp32",
        "threads": options.threads, "batch": 1, "unit": "tokens/s",
        "params": sum(math.prod(parameter.shape) for parameter in model.parameters()),
        "knobs": measure.allocator_knob(), "data": "random weights",
        "version": f"{transformers.__version__}, torch {torch.__version__}",
    }
    measure.print_line(facts, result, steps_per_call=data.NEW_TOKENS, items_per_step=1)


if __name__ == "__main__":
    main()
