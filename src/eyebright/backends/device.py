"""Which device does the arithmetic, and why."""

from eyebright.core.errors import ResourceError


def choose_device(wanted: str = "auto") -> tuple[str, str]:
    """The torch device and the reason for it. Raises ``ResourceError`` where a device that was asked for is not there."""
    import torch

    if wanted == "cpu":
        return "cpu", "it was asked for"
    if torch.cuda.is_available():
        return "cuda", f"{torch.cuda.get_device_name()} is visible"
    if wanted == "cuda":
        raise ResourceError("--device is cuda, but torch sees no CUDA device. Use --device cpu; eyebright doctor says more.")
    return "cpu", "no CUDA device is visible"
