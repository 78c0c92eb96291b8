"""Prints what TensorBoard's own reader finds in an event file, as JSON.

    pip install tensorboard
    python3 read_events.py events.out.tfevents...

Scalars, images and texts by tag as [step, ...]; histograms as their protocol buffer has them, and as the rows (left,
right, count) that the page draws.
"""
import base64
import json
import sys

from tensorboard.backend.event_processing import event_accumulator, event_file_loader
from tensorboard.util import tensor_util


def main(path):
    sizes = {kind: 0 for kind in ("scalars", "images", "histograms", "tensors")}  # 0: all
    events = event_accumulator.EventAccumulator(path, size_guidance=sizes).Reload()
    tags = events.Tags()
    found = {
        "scalars": {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags["scalars"]},
        "images": {
            tag: [[e.step, e.width, e.height, base64.b16encode(e.encoded_image_string).decode()]
                  for e in events.Images(tag)]
            for tag in tags["images"]
        },
        "texts": {
            tag: [[e.step, *(s.decode() for s in e.tensor_proto.string_val)] for e in events.Tensors(tag)]
            for tag in tags["tensors"]
        },
        "histograms": {},
        "drawn": {},
    }
    for tag in tags["histograms"]:
        found["histograms"][tag] = [
            [e.step, e.histogram_value.min, e.histogram_value.max, e.histogram_value.num, e.histogram_value.sum,
             e.histogram_value.sum_squares, list(e.histogram_value.bucket_limit), list(e.histogram_value.bucket)]
            for e in events.Histograms(tag)
        ]
    # The page's reader turns every kind into tensors.
    for event in event_file_loader.EventFileLoader(path).Load():
        for value in event.summary.value:
            if value.tag in found["histograms"]:
                found["drawn"].setdefault(value.tag, []).append(tensor_util.make_ndarray(value.tensor).tolist())
    json.dump(found, sys.stdout)


main(sys.argv[1])
