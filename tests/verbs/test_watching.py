"""What TensorBoard is given, read back by TensorBoard itself."""

import pytest

from eyebright.core.errors import MissingExtraError
from eyebright.core.events import Choice, Epoch, Note, Progress
from eyebright.verbs.making.watching import TensorBoardLog


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_metric_is_a_curve_over_the_epochs_of_its_stage(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = TensorBoardLog(tmp_path)
    for event in (
        Choice("device", "cpu", "it was asked for"),
        Epoch("fine-tuning", 1, {"loss": 0.5}, 1.0),
        Progress(3, {"loss": 0.4}),
        Note("hello"),
        Epoch("fine-tuning", 2, {"loss": 0.25}, 2.0),
    ):
        log(event)
    log.close()
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    points = read.Scalars("fine-tuning/loss")
    assert [(point.step, point.value) for point in points] == [(1, 0.5), (2, 0.25)]
    assert [point.value for point in read.Scalars("fine-tuning/seconds")] == [1.0, 2.0]
    assert any("device" in tag for tag in read.Tags()["tensors"])


def test_without_the_package_the_command_that_installs_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"eyebright\[tensorboard\]"):
        TensorBoardLog(tmp_path)
