"""To be imported before torchvision.

Beside a CPU build of torch, torchvision's own build dies on operators that torch lacks; once declared, they are never called.
"""

import torch

if torch.version.cuda is None:
    LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor a, Tensor b, float c) -> Tensor",
    ):
        try:
            LIBRARY.define(schema)
        except RuntimeError:  # this torchvision brought it
            continue
