"""The names of what can be trained, for lists and help. It imports no torch, so that they can be shown without it."""

import dataclasses
from typing import Literal

from eyebright.core.registry import Registry
from eyebright.models.handcrafted.names import NAMES as HANDCRAFTED
from eyebright.models.handcrafted.names import parse


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """A network that can be trained. ``weights`` says where pretrained ones come from."""

    name: str
    about: str
    weights: Literal["installed", "download", "none"]


@dataclasses.dataclass(frozen=True)
class Published:
    """An architecture from a paper, under a short name. ``network`` is the full name of what is built for it.

    A manifest keeps the full name: another network may stand for an architecture one day, a stored model must not change.
    """

    name: str
    network: str
    called: str
    authors: str
    year: int
    paper: str

    @property
    def about(self) -> str:
        """One line for lists."""
        return f"{self.called}, {self.authors} {self.year}: {self.network}"


MODELS = Registry(
    "model",
    {
        "cnn": "eyebright.models.cnn:cnn",
        "lenet": "eyebright.models.lenet:lenet",
        "lite0": "eyebright.models.lite0:lite0",
        "mlp": "eyebright.models.mlp:mlp",
        "resnet20-cifar": "eyebright.models.resnet_cifar:resnet20",
        "resnet32-cifar": "eyebright.models.resnet_cifar:resnet32",
        "resnet44-cifar": "eyebright.models.resnet_cifar:resnet44",
        "resnet56-cifar": "eyebright.models.resnet_cifar:resnet56",
        "resnet110-cifar": "eyebright.models.resnet_cifar:resnet110",
        "speed": "eyebright.models.speed.network:speed",
    },
    group="eyebright.models",
)
PRETRAINED = ("lite0",)  # of MODELS: those whose weights come with an installed package
BUILT_IN = (
    ModelInfo(
        "auto",
        "chosen from the pictures: lite0 above 64 pixels, speed or cnn up to 32, between them the better of lite0 and speed",
        "installed",
    ),
    ModelInfo("cnn", "the classic small network, trained from scratch", "none"),
    ModelInfo("speed", "learns small pictures soonest, after the records on CIFAR-10, trained from scratch", "none"),
    ModelInfo("lite0", "EfficientNet-Lite0, pretrained on ImageNet, made for small devices", "installed"),
    ModelInfo("lenet", "LeNet-5 (LeCun et al. 1998), trained from scratch", "none"),
    ModelInfo("mlp", "a multilayer perceptron, two dense layers of 512 units, trained from scratch", "none"),
    *(
        ModelInfo(
            f"resnet{depth}-cifar", f"ResNet-{depth} for pictures of 32 pixels (He et al. 2016), trained from scratch", "none"
        )
        for depth in (20, 32, 44, 56, 110)
    ),
)
_VGG = "Very deep convolutional networks for large-scale image recognition"
_RESNET = "Deep residual learning for image recognition"
_MOBILENET_V3 = "Searching for MobileNetV3"
_VIT = "An image is worth 16x16 words: transformers for image recognition at scale"
_VIT_SIZES = "How to train your ViT? Data, augmentation, and regularization in vision transformers"
_DEIT = "Training data-efficient image transformers and distillation through attention"
# timm's network where there is one, as it takes any size and stochastic depth; torchvision's of VGG, whose dense layers train
# four times faster on a processor than timm's, which are convolutions of the same weights.
PUBLISHED = (
    Published(
        "alexnet", "torchvision:alexnet", "AlexNet, one tower", "Krizhevsky", 2014,
        "One weird trick for parallelizing convolutional neural networks",
    ),
    Published("vgg16", "torchvision:vgg16", "VGG-16", "Simonyan and Zisserman", 2015, _VGG),
    Published("vgg19", "torchvision:vgg19", "VGG-19", "Simonyan and Zisserman", 2015, _VGG),
    Published(
        "googlenet", "torchvision:googlenet", "GoogLeNet with batch norms", "Szegedy et al.", 2015,
        "Going deeper with convolutions",
    ),
    Published(
        "inception_v3", "timm:inception_v3", "Inception v3", "Szegedy et al.", 2016,
        "Rethinking the Inception architecture for computer vision",
    ),
    Published("resnet50", "timm:resnet50", "ResNet-50", "He et al.", 2016, _RESNET),
    Published("resnet101", "timm:resnet101", "ResNet-101", "He et al.", 2016, _RESNET),
    Published("resnet152", "timm:resnet152", "ResNet-152", "He et al.", 2016, _RESNET),
    Published(
        "densenet121", "timm:densenet121", "DenseNet-121", "Huang et al.", 2017, "Densely connected convolutional networks"
    ),
    Published(
        "xception", "timm:legacy_xception", "Xception", "Chollet", 2017,
        "Xception: deep learning with depthwise separable convolutions",
    ),
    Published(
        "squeezenet1_1", "torchvision:squeezenet1_1", "SqueezeNet 1.1", "Iandola et al.", 2016,
        "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    ),
    Published(
        "mobilenetv2", "timm:mobilenetv2_100", "MobileNetV2", "Sandler et al.", 2018,
        "MobileNetV2: inverted residuals and linear bottlenecks",
    ),
    Published(
        "mobilenetv3_small", "timm:mobilenetv3_small_100", "MobileNetV3-Small", "Howard et al.", 2019, _MOBILENET_V3
    ),
    Published(
        "mobilenetv3_large", "timm:mobilenetv3_large_100", "MobileNetV3-Large", "Howard et al.", 2019, _MOBILENET_V3
    ),
    Published(
        "efficientnet_b0", "timm:efficientnet_b0", "EfficientNet-B0", "Tan and Le", 2019,
        "EfficientNet: rethinking model scaling for convolutional neural networks",
    ),
    Published("seresnet50", "timm:seresnet50", "SE-ResNet-50", "Hu et al.", 2018, "Squeeze-and-excitation networks"),
    Published("vit_tiny", "timm:vit_tiny_patch16_224", "ViT-Ti/16", "Steiner et al.", 2022, _VIT_SIZES),
    Published("vit_small", "timm:vit_small_patch16_224", "ViT-S/16", "Steiner et al.", 2022, _VIT_SIZES),
    Published("vit_base", "timm:vit_base_patch16_224", "ViT-B/16", "Dosovitskiy et al.", 2021, _VIT),
    Published("deit_tiny", "timm:deit_tiny_patch16_224", "DeiT-Ti", "Touvron et al.", 2021, _DEIT),
    Published("deit_small", "timm:deit_small_patch16_224", "DeiT-S", "Touvron et al.", 2021, _DEIT),
)  # fmt: skip
SHORT = tuple(ModelInfo(one.name, one.about, "download") for one in PUBLISHED)
CRAFTED = tuple(ModelInfo(name, f"handcrafted: {parse(name).about}", "none") for name in HANDCRAFTED)
_FULL = {one.name: one.network for one in PUBLISHED}
FAMILIES = {
    "timm": "every network of timm; eyebright models --like resnet lists those whose name has resnet",
    "torchvision": "every classification network of torchvision, listed in the same way",
}


def full_name(name: str) -> str:
    """The network that a short name stands for; any other name as it is.

    >>> full_name("xception"), full_name("cnn")
    ('timm:legacy_xception', 'cnn')
    """
    return _FULL.get(name, name)


def plugged_in() -> list[ModelInfo]:
    """The models that installed plug-ins add. A name of ours wins over a plug-in's."""
    known = {info.name for info in (*BUILT_IN, *SHORT, *CRAFTED)}
    return [ModelInfo(name, "from an installed plug-in", "none") for name in MODELS.targets() if name not in known]
