"""What the scripts here share: the zoo's random streams, the trajectory of ten steps, and the file both go to.

A fixture NAME.safetensors of a model holds a tiny one and what PyTorch makes of it:

    model.<parameter or buffer>   before training
    x, y                          the batch, as stored (y may be missing)
    loss, losses                  of step 0; of steps 0 ... 9 on that batch, step t with the noise of stream (0, loss, t)
    grad.<parameter>              of step 0, before clipping
    after.<parameter or buffer>   after the ten steps

Models of two players have `losses.discriminator` and `losses.generator` instead of `losses`, and no `loss`. Metadata, as
a run's config and checkpoint have them: model, optimizer (YAML), spec (JSON), clip_norm (a number, or empty).

A fixture without `model` in its metadata is of something else; its script says what.

Run the scripts with Python PyTorch and safetensors at hand; the files are committed, so the tests need neither.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file

STEPS = 10
LOSS = 4  # Purpose::loss of core/random.h

MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1


def _mix64(z):
    z = (z + 0x9E3779B97F4A7C15) & MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    return z ^ (z >> 31)


def _mix32(z):
    z = ((z ^ (z >> 16)) * 0x85EBCA6B) & MASK32
    z = ((z ^ (z >> 13)) * 0xC2B2AE35) & MASK32
    return z ^ (z >> 16)


def stream_key(seed, purpose, a, b=0):
    """The key of core/random.cpp's stream (seed, purpose, a, b)."""
    family = _mix64(seed)
    family = _mix64(family ^ purpose)
    family = _mix64(family ^ b)
    family = _mix64(family ^ (a >> 32))
    low = _mix32((a ^ family) & MASK32)
    low = _mix32((low + (family >> 32)) & MASK32)
    return _mix64(family ^ (a << 32 & MASK64)) & ~MASK32 | low


def generator(seed, purpose, step, shard=0):
    """Draws what Rng::for_batch(seed, purpose, step, shard) draws on the CPU."""
    return torch.Generator().manual_seed(stream_key(seed, purpose, step, shard))


def state(module):
    """Parameters and buffers by name; the count of batches seen, which the zoo's batch normalization lacks, left out."""
    tensors = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    return {k: v.detach().clone() for k, v in tensors.items()}


def decayed(module, weight_decay):
    """Parameter groups: weight decay for matrices and larger, none for vectors."""
    parameters = list(module.parameters())
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


def trajectory(module, loss, optimizer, clip_norm=None):
    """The tensors of ten steps: loss(step, generator) of the module under a torch.optim optimizer of its parameters."""
    tensors = {f"model.{k}": v for k, v in state(module).items()}
    losses = []
    for step in range(STEPS):
        value = loss(step, generator(0, LOSS, step))
        optimizer.zero_grad()
        value.backward()
        if step == 0:
            tensors |= {f"grad.{k}": p.grad.clone() for k, p in module.named_parameters()}
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
        optimizer.step()
        losses.append(value.detach())
    tensors |= {f"after.{k}": v for k, v in state(module).items()}
    return tensors | {"loss": losses[0], "losses": torch.stack(losses)}


def write(name, tensors, model, spec, optimizer, clip_norm=""):
    """Writes NAME.safetensors beside this file. spec: the members of DataSpec that are not at their defaults."""
    spec = dict(dataset="reference", levels=0, classes=0, vocabulary=0, token_unit="", tokenizer="") | spec
    save(name, tensors, dict(model=model, spec=json.dumps(spec), optimizer=optimizer, clip_norm=str(clip_norm)))


def save(name, tensors, metadata):
    """Writes NAME.safetensors beside this file."""
    path = pathlib.Path(__file__).with_name(f"{name}.safetensors")
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata=metadata)
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size / 1024:.0f} KiB")
