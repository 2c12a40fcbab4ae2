"""Fine-tuning in folds: a network a fold, judged on the pictures that it has not seen, their weights averaged into one.

Of few pictures a validation part says little, and the network that is trained again on all of them is judged by nobody. In
folds every picture is asked of a network that has not seen it: all of them decide how far fine-tuning is followed, and by
all of them the temperature is fitted. Networks that began from the same weights and were fine-tuned a little lie in one valley
of the loss: the mean of their weights is one network about as good as their ensemble (Wortsman et al. 2022, "Model soups"),
and the point half-way between it and where they began is often better than either (Wortsman et al. 2022, "Robust fine-tuning
of zero-shot models", section 3).
"""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eyebright.core.arrays import Logits
from eyebright.core.events import OnEvent, silent
from eyebright.core.report import Attempt
from eyebright.models.network import PixelNetwork
from eyebright.training.fit import epochs_in_words, fit, outputs_of
from eyebright.training.head import HeadChoice
from eyebright.training.recipe import Recipe
from eyebright.training.scratch import Learned
from eyebright.training.transfer import TransferData, Verdict, calibrated_loss, head_attempt, kept_head, set_head

SHARES = (0.5, 1.0)  # of the way from the head to the end of fine-tuning, that are tried
CHECKED = 128  # pictures that the mean must know about as its networks do


def fine_tune_in_folds(
    network: PixelNetwork,
    data: TransferData,
    choice: HeadChoice,
    recipe: Recipe,
    *,
    checkpoints: Path,
    head_seconds: float = 0.0,
    on_event: OnEvent = silent,
) -> Learned:
    """Fine-tunes a network for each of ``data.folds`` on all the others, from a head that has not seen the fold either.

    ``network`` comes with the head on every picture. It becomes the mean of these networks, or the point half-way between that
    and where they began, if those know the pictures that they have not seen better than the heads did, by the log loss at the
    best temperature; else it stays as it is. Interrupted and called again, it goes on from ``checkpoints``.
    """
    recipe = recipe.model_copy(update={"patience": 0})
    members = _train_members(network, data, choice.strength, recipe, checkpoints, on_event)
    judged, share = data.judged, members.share
    labels = data.pictures.labels[judged]
    heads = calibrated_loss(choice.out_of_fold[judged], labels)[0]
    verdict = Verdict(members.losses[share], heads, len(labels), where="out-of-fold")
    merged = copy.deepcopy(network)
    merged.load_state_dict(_between(members.begins.state(), members.ends.state(), share))
    # Nobody is left to judge the mean: all pictures were seen by most. But it has to know them about as its networks do, nearer
    # to that than to what strangers know; where these have gone apart, their mean is nowhere.
    apart = _loss_on(merged, data, _some(data), recipe) > (members.known[share] + members.losses[share]) / 2
    kept = verdict.keeps_tuning and not apart
    trained = (
        f"fine-tuning, {epochs_in_words(recipe.epochs)}, unfrozen: {recipe.unfreeze}, the mean of {members.count} networks"
    )
    attempts = [
        head_attempt(data, choice, head_seconds, kept=not kept, reason="the starting point"),
        Attempt(
            name=trained if share == 1 else f"{trained}, {1 - share:.0%} of the way back",
            score=verdict.tuned,
            metric="calibrated out-of-fold log loss",
            seconds=members.seconds,
            kept=kept,
            reason=f"{verdict}; but the mean of their weights knows less than each by itself" if apart else str(verdict),
        ),
    ]
    if not kept:
        return kept_head(data, choice, recipe, attempts, f"Fine-tuning was not kept: {attempts[1].reason}.")
    network.load_state_dict(merged.state_dict())
    where = f"out-of-fold logits of the {members.count} fine-tuned networks, whose mean the model is"
    way = "" if share == 1 else f", {1 - share:.0%} of the way back to the head"
    of = f"the model is the mean of {members.count} networks, each fine-tuned on all folds but one{way}"
    ended = f"Fine-tuning was kept: {verdict}; {of}."
    return Learned(attempts, members.logits[share][judged], judged, where, ended, recipe, choice.strength)


@dataclasses.dataclass(frozen=True)
class _Members:
    """The networks of the folds: where they began and ended, and what they say, for each of ``SHARES`` of the way.

    ``logits`` are those of each picture by the network that has not seen it (zeros where all have), ``losses`` theirs at the
    best temperature, and ``known`` the mean such loss on pictures that most have seen.
    """

    count: int
    begins: "_Mean"
    ends: "_Mean"
    logits: dict[float, Logits]
    losses: dict[float, float]
    known: dict[float, float]
    seconds: float

    @property
    def share(self) -> float:
        """How far fine-tuning is to be followed."""
        return min(self.losses, key=self.losses.__getitem__)


def _train_members(
    network: PixelNetwork, data: TransferData, strength: float, recipe: Recipe, checkpoints: Path, on_event: OnEvent
) -> _Members:
    begins, ends, seconds = _Mean(), _Mean(), 0.0
    logits = {share: np.zeros((len(data.pictures), data.classes), np.float32) for share in SHARES}
    known: dict[float, list[float]] = {share: [] for share in SHARES}
    folds, judged = data.fold_numbers, data.judged
    for number, fold in enumerate(folds, 1):
        held = data.folds == fold
        member = copy.deepcopy(network)
        set_head(member, data.head(~held, strength))
        begin = _weights(member)
        seconds += fit(
            member,
            data.part(~held),
            None,
            recipe.model_copy(update={"seed": recipe.seed + number - 1}),
            stage=f"fine-tuning fold {number} of {len(folds)}",
            checkpoint=checkpoints / f"fine-tuning-{number}.safetensors",
            class_weights=data.class_weights,
            on_event=on_event,
        ).seconds
        end = _weights(member)
        begins.add(begin)
        ends.add(end)
        for share in SHARES:
            member.load_state_dict(_between(begin, end, share))
            logits[share][held] = outputs_of(member, data.part(held).pictures, recipe)[0]
            known[share].append(_loss_on(member, data, _some(data), recipe))
    labels = data.pictures.labels[judged]
    losses = {share: calibrated_loss(found[judged], labels)[0] for share, found in logits.items()}
    means = {share: float(np.mean(found)) for share, found in known.items()}
    return _Members(len(folds), begins, ends, logits, losses, means, seconds)


def _some(data: TransferData) -> np.ndarray:
    """The rows, spread over all, on which the mean is compared with its networks."""
    n = len(data.pictures)
    return np.linspace(0, n - 1, min(CHECKED, n)).astype(np.int64)


def _weights(network: PixelNetwork) -> dict[str, Tensor]:
    """A copy on the processor, wherever the network is."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _loss_on(network: PixelNetwork, data: TransferData, rows: np.ndarray, recipe: Recipe) -> float:
    return calibrated_loss(outputs_of(network, data.pictures.pictures[rows], recipe)[0], data.pictures.labels[rows])[0]


def _between(begin: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The weights ``share`` of the way from ``begin`` to ``end``; whole numbers (a norm's count of steps) are the end's."""
    weights = {name: tensor for name, tensor in end.items() if tensor.is_floating_point()}
    return {**end, **{name: torch.lerp(begin[name], tensor, share) for name, tensor in weights.items()}}


class _Mean:
    """The mean of networks of one kind, weight by weight, summed in double precision."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}
        self._count = 0

    def add(self, state: Mapping[str, Tensor]) -> None:
        self._last = dict(state)
        for name, tensor in state.items():
            self._sums[name] = self._sums[name] + tensor.double() if name in self._sums else tensor.double()
        self._count += 1

    def state(self) -> dict[str, Tensor]:
        """The mean in each weight's own type; of whole numbers the last ones."""
        return {
            name: (self._sums[name] / self._count).to(tensor.dtype) if tensor.is_floating_point() else tensor
            for name, tensor in self._last.items()
        }
