"""Why a model answered as it did: heat maps over the picture. It asks predictors; it never trains one or reads a file.

``heat_map`` says for each part of a picture whether it speaks for a class or against it: by Grad-CAM where the model lets its
layers be seen, else by covering parts of the picture, which any model can be asked. With numpy alone, so that the base install
can explain an ONNX bundle.
"""

from eyebright.explanation.heat import METHODS, Heat, heat_map

__all__ = ["METHODS", "Heat", "heat_map"]
