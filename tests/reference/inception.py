"""Writes inception.safetensors: what pytorch-fid's network makes of three pictures.

    python tests/reference/inception.py

Needs pytorch-fid 0.3 and torchvision. The network is theirs, with the changes of pytorch-fid; its weights are a formula
of name and index (tensor_of), which the test has as well, because the trained ones are 91 MiB.

    color (1, 3, 24, 20), grey (1, 1, 28, 28), large (1, 3, 330, 400)   uint8; large is not in the file but made by
                                                                       bytes_of("large", ...), as the others are
    features (3, 2048)                                                  float32, of color, grey and large
"""

import math

import torch
import torchvision
from pytorch_fid import inception

import fixture


def words(name, count):
    """`count` numbers below 2^32 that look random: a hash of each index, begun at a hash (FNV-1a) of the name."""
    start = 2166136261
    for byte in name.encode():
        start = (start ^ byte) * 16777619 & fixture.MASK32
    z = (torch.arange(count, dtype=torch.int64) + start) & fixture.MASK32
    z = ((z ^ (z >> 16)) * 0x85EBCA6B) & fixture.MASK32
    z = ((z ^ (z >> 13)) * 0xC2B2AE35) & fixture.MASK32
    return z ^ (z >> 16)


def tensor_of(name, shape):
    """Uniform, of a scale that keeps the activations' through the layers; variances are positive."""
    centered = words(name, math.prod(shape)).double() / 2**32 - 0.5
    if name.endswith("conv.weight"):
        values = centered * math.sqrt(12 * 2 / math.prod(shape[1:]))  # He et al., 2015
    elif name.endswith("bn.weight"):
        values = 1 + centered
    elif name.endswith("running_var"):
        values = 1 + centered
    else:
        values = centered / 2
    return values.float().reshape(shape)


def bytes_of(name, shape):
    return (words(name, math.prod(shape)) >> 24).to(torch.uint8).reshape(shape)


def weights():
    shapes = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    return {k: tensor_of(k, v.shape) if v.dim() else v for k, v in shapes.state_dict().items()}


def main():
    inception.load_state_dict_from_url = lambda url, progress: weights()
    network = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()
    pictures = {
        "color": bytes_of("color", (1, 3, 24, 20)),
        "grey": bytes_of("grey", (1, 1, 28, 28)),
        "large": bytes_of("large", (1, 3, 330, 400)),
    }
    with torch.no_grad():
        features = [network((x / 255).expand(-1, 3, -1, -1))[0].flatten(1) for x in pictures.values()]
    features = torch.cat(features)
    print("mean", features.mean(1), "deviation", features.std(1), "zero", (features == 0).double().mean(1))
    print("relative distance of features", torch.cdist(features, features) / features.norm(dim=1))
    del pictures["large"]
    fixture.save("inception", pictures | {"features": features}, {})


if __name__ == "__main__":
    main()
