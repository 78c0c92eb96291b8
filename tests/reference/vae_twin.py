"""A twin of configs/vae_binarized_mnist.yaml in plain PyTorch: the same network, data handling, optimizer and steps, with
other random numbers. Prints the test ELBO, to be set beside `genzoo evaluate`'s.

    python tests/reference/vae_twin.py FOLDER_OF_MNIST [STEPS]

Needs Python PyTorch and numpy; takes about as long as the experiment itself. Not a fixture: nothing is written.
"""

import gzip
import math
import pathlib
import sys
import time

import numpy
import torch
from torch import nn

LATENT, HIDDEN, BATCH, VALIDATION = 50, 500, 128, 5000
LR, FINAL_LR, WARMUP = 1e-3, 1e-5, 500


def images(folder, name):
    data = gzip.open(pathlib.Path(folder) / f"{name}-images-idx3-ubyte.gz").read()
    return torch.from_numpy(numpy.frombuffer(data, numpy.uint8, offset=16).copy()).view(-1, 784)


def elbo(encoder, decoder, x):
    mean, log_var = encoder(x).chunk(2, 1)
    z = mean + (log_var / 2).exp() * torch.randn_like(mean)
    log_likelihood = -nn.functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="none").sum(1)
    return log_likelihood - 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(1)


def rate(step, steps):
    if step < WARMUP:
        return LR * (step + 1) / (WARMUP + 1)
    share = (step - WARMUP) / max(steps - WARMUP, 1)
    return FINAL_LR + (LR - FINAL_LR) * 0.5 * (1 + math.cos(math.pi * share))


def main():
    folder, steps = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 50000
    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    train, test = images(folder, "train")[:-VALIDATION], images(folder, "t10k")
    encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
                            nn.Linear(HIDDEN, 2 * LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
                            nn.Linear(HIDDEN, 784))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    adam = torch.optim.Adam(parameters, lr=LR, fused=True)
    start, order = time.time(), torch.empty(0, dtype=torch.long)
    for step in range(steps):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(train))])
        x = torch.bernoulli(train[order[:BATCH]].float() / 255)
        order = order[BATCH:]
        for group in adam.param_groups:
            group["lr"] = rate(step, steps)
        loss = -elbo(encoder, decoder, x).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        if (step + 1) % 5000 == 0:
            print(f"step {step + 1}  loss {loss.item():.2f}  {time.time() - start:.0f} s", flush=True)
    with torch.no_grad():
        bounds = elbo(encoder, decoder, torch.bernoulli(test.float() / 255))
    error = bounds.std().item() / math.sqrt(len(bounds))
    print(f"test ELBO {bounds.mean().item():.3f} +- {error:.3f} nats after {steps} steps, {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
