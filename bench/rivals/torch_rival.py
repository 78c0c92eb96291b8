"""A workload in PyTorch, measured: one line of JSON.

    python torch_rival.py --workload vae_mlp
    python torch_rival.py --workload gpt_char_384 --mode compile --precision bfloat16

Another allocator is chosen from outside: LD_PRELOAD=libtcmalloc_minimal.so.4.
"""
from __future__ import annotations

import math

import torch

import data
import measure
from workloads import WORKLOADS, How


def main() -> None:
    parser = measure.arguments(__doc__, list(WORKLOADS))
    parser.add_argument("--mode", default="eager", choices=["eager", "compile", "max-autotune"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"],
                        help="bfloat16: autocast; of decode: the weights")
    parser.add_argument("--channels-last", action="store_true", help="channels innermost, for convolutions")
    parser.add_argument("--flush-denormal", action="store_true", help="denormal numbers count as zero")
    options = parser.parse_args()

    measure.pin(options.threads)
    torch.set_flush_denormal(options.flush_denormal)  # before the pool of threads starts: they inherit it
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    name, decoding = options.workload, options.workload == "decode"
    bfloat16 = options.precision == "bfloat16"
    workload, description = WORKLOADS[name](How(options.mode, bfloat16, options.channels_last))
    read = (lambda text: text[0, -1].item()) if decoding else (lambda loss: loss.item())
    result = measure.run(workload.step, read, options)
    if decoding:
        result["loss_first"] = result["loss_last"] = None
    facts = {
        "workload": name, "peer": "torch", "mode": options.mode, "dtype": "bf16" if bfloat16 else "fp32",
        "threads": options.threads, "batch": data.BATCH_SIZES[name],
        "unit": "tokens/s" if name in data.GPT_SIZES else "samples/s",
        "params": sum(math.prod(parameter.shape) for parameter in workload.parameters),
        "knobs": measure.allocator_knob() + ["flush-denormal"] * options.flush_denormal +
                 ["channels-last"] * options.channels_last,
        "data": description, "version": torch.__version__,
    }
    if decoding:
        measure.print_line(facts, result, steps_per_call=data.NEW_TOKENS, items_per_step=1)
    else:
        measure.print_line(facts, result, steps_per_call=1, items_per_step=data.items_per_step(name))


if __name__ == "__main__":
    main()
