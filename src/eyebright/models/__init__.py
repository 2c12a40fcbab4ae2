"""Networks: functions from pixels in [0, 1] to logits and features.

The small classics are one family a file; ``zoo`` opens timm's and torchvision's networks; ``lite0`` is the pretrained network
that comes with an installed package. ``catalogue`` knows them all by name. This room never reads a picture and never trains.
"""
