"""A bundle opened as a predictor, in the form that can run here."""

import importlib.util
from typing import Literal

from eyebright.core.arrays import Pixels
from eyebright.core.bundle import Bundle
from eyebright.core.errors import MissingExtraError, ModelError
from eyebright.core.predictor import Outputs, Predictor
from eyebright.core.views import Views, averaged

FormName = Literal["auto", "onnx", "openvino", "torch", "handcrafted", "litert"]
_PACKAGES = {
    "onnx": "onnxruntime", "openvino": "openvino", "torch": "torch", "handcrafted": "numpy", "litert": "ai_edge_litert",
}  # fmt: skip
_FILES = {"openvino": "onnx"}  # the form whose file it runs, where that is not its own
_UNASKED = ("onnx", "torch", "handcrafted", "litert")  # what auto takes: the first that can run
_REASONS = {
    "onnx": "ONNX starts quickest and needs no torch",
    "torch": "the bundle has no ONNX form",
    "handcrafted": "it is the only form of a handcrafted model",
    "litert": "the bundle has no form of our own that can run here",
}


def open_predictor(
    bundle: Bundle,
    *,
    form: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
    waiting: Literal["spin", "sleep"] = "spin",
) -> tuple[Predictor, str]:
    """A predictor with the bundle's views applied, and why it is of this form. ``waiting`` is of the threads of ONNX Runtime.

    ``auto`` takes ONNX where the bundle has it: it starts quickest and needs no torch. ``openvino`` runs the ONNX form, too.
    Raises ``MissingExtraError`` where the package for the form is missing, ``ModelError`` where the bundle has no such form or
    the file is refused.
    """
    chosen, why = _choose(bundle, form)
    path = bundle.form_file(_FILES.get(chosen, chosen))
    classes = bundle.manifest.classes
    predictor: Predictor
    if chosen == "onnx":
        from eyebright.backends.onnx_ import OnnxPredictor

        predictor = OnnxPredictor(path, classes, threads=threads, waiting=waiting)
    elif chosen == "openvino":
        from eyebright.backends.openvino_ import OpenvinoPredictor

        predictor = OpenvinoPredictor(path, classes, threads=threads)
    elif chosen == "handcrafted":
        from eyebright.backends.handcrafted_ import HandcraftedPredictor

        predictor = HandcraftedPredictor.open(path, classes)
    elif chosen == "litert":
        from eyebright.backends.litert_ import LitertPredictor

        foreign = bundle.manifest.forms[chosen].foreign
        if foreign is None:
            raise ModelError(f"{bundle.path} does not say how its litert form is fed. Import the file again.")
        predictor = LitertPredictor.open(path, classes, foreign, bundle.manifest.preprocess.size, threads=threads)
    else:
        from eyebright.backends.torch_ import TorchPredictor, load_network

        if bundle.manifest.architecture is None:
            raise ModelError(f"{bundle.path} names no architecture, so its torch form cannot be rebuilt. Use --form onnx.")
        predictor = TorchPredictor(load_network(path, bundle.manifest.architecture, len(classes)), classes, device=device)
    return with_views(predictor, bundle.manifest.seen_in()), why


def ways(bundle: Bundle) -> dict[str, bool]:
    """Every name that ``open_predictor`` could be asked for with this bundle, and whether its package is installed."""
    return {name: _installed(name) for name in _PACKAGES if _FILES.get(name, name) in bundle.manifest.forms}


def _choose(bundle: Bundle, form: str) -> tuple[str, str]:
    if form != "auto":
        if form in _PACKAGES and not _installed(form):
            raise MissingExtraError(how_to_get(form))
        return form, "it was asked for"
    runnable = [name for name in _UNASKED if name in bundle.manifest.forms and _installed(name)]
    if not runnable:
        forms = list(bundle.manifest.forms)
        raise MissingExtraError.for_extra(_extra(forms[0]), f"A bundle with the forms {', '.join(forms)}")
    return runnable[0], _REASONS[runnable[0]]


def how_to_get(form: str) -> str:
    """The sentence for whoever lacks the package that ``form`` needs."""
    return str(MissingExtraError.for_extra(_extra(form), f"The form {form}"))


def _extra(form: str) -> str:
    return form if form in ("litert", "openvino") else "train"


def _installed(form: str) -> bool:
    return importlib.util.find_spec(_PACKAGES[form]) is not None


class ViewedPredictor:
    """A predictor whose outputs are the mean over several views of each picture."""

    def __init__(self, inner: Predictor, views: Views) -> None:
        self.inner, self.views = inner, views
        self.classes, self.form = inner.classes, inner.form

    def __call__(self, pixels: Pixels) -> Outputs:
        """The mean logits and features over the views."""
        return averaged(self.inner, pixels, self.views)


def with_views(predictor: Predictor, views: Views) -> Predictor:
    """``predictor``, averaged over ``views``; itself where there is only the picture as it is."""
    return predictor if views.single else ViewedPredictor(predictor, views)
