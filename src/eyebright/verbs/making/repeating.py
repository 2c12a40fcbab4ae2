"""The chosen way of training, done once more: for a fold, a member of an ensemble, a student, or fewer pictures."""

import numpy as np
from jaxtyping import Bool

from eyebright.models.ensemble import Ensemble
from eyebright.models.network import PixelNetwork
from eyebright.training.members import train_member
from eyebright.training.recipe import Recipe
from eyebright.training.scratch import Learned, TrainingData
from eyebright.verbs.making.work import Work


def train_again(
    work: Work,
    data: TrainingData,
    learned: Learned,
    rows: Bool[np.ndarray, "n"],
    *,
    stage: str,
    file: str,
    recipe: Recipe | None = None,
    member: int = 0,
    teacher: Ensemble | None = None,
) -> PixelNetwork:
    """A fresh network trained on ``rows`` as ``learned`` was, by its recipe ``again`` where none is given.

    ``file`` names the checkpoint from which an interrupted training goes on; ``member`` gives other initial weights; see
    ``train_member`` for ``teacher``.
    """
    chosen = recipe or learned.again
    assert chosen is not None  # of a model that is no network nothing is trained again
    network, _ = work.fresh_network(member=member)
    train_member(
        network,
        data,
        rows,
        chosen,
        strength=learned.strength,
        stage=stage,
        checkpoint=work.run.checkpoints / f"{file}.safetensors",
        teacher=teacher,
        on_event=work.story,
    )
    return network
