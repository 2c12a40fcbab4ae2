"""What a search keeps of its trials, and which process does which: files that are whole or absent, and locks.

trials/00003.json         a trial that is done
trials/00003.safetensors  its predictions of the validation pictures
trials/00003.claim        exists while a process works on it, locked; a process that dies lets go of its lock
trials/00003/             its checkpoints, for as long
"""

import json
import shutil
from pathlib import Path
from typing import IO

from eyebright.core.files import write_text
from eyebright.core.predictions import Predictions, load_predictions, save_predictions
from eyebright.core.report import Trial


def keep(folder: Path, trial: Trial, predictions: Predictions | None) -> None:
    """Writes a trial's predictions, then its record: where there is a record, all is there."""
    if predictions is not None:
        save_predictions(predictions, predictions_file(folder, trial.number))
    write_text(_record(folder, trial.number), trial.model_dump_json(indent=1) + "\n")


def records(folder: Path) -> list[Trial]:
    """The trials that are done, by number."""
    files = sorted((folder / "trials").glob("*.json"))
    return [Trial.model_validate(json.loads(file.read_text(encoding="utf-8"))) for file in files]


def predictions_of(folder: Path, number: int) -> Predictions:
    """A finished trial's predictions of the validation pictures."""
    return load_predictions(predictions_file(folder, number))


def predictions_file(folder: Path, number: int) -> Path:
    """Where a trial's predictions lie."""
    return folder / "trials" / f"{number:05}.safetensors"


def checkpoints_of(folder: Path, number: int) -> Path:
    """A trial's folder for what it needs while it runs, empty."""
    place = folder / "trials" / f"{number:05}"
    shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
    place.mkdir(parents=True)
    return place


class Claim:
    """A trial that is this process's and no other's until it lets go, or dies."""

    def __init__(self, folder: Path, number: int, lock: IO[bytes]) -> None:
        self.folder, self.number, self._lock = folder, number, lock

    def release(self) -> None:
        """Lets go. The file goes only where the trial is done: of one that is open, another process may hold it already."""
        shutil.rmtree(self.folder / "trials" / f"{self.number:05}", ignore_errors=True)
        if _record(self.folder, self.number).exists():
            _claim_file(self.folder, self.number).unlink(missing_ok=True)
        self._lock.close()


def claim(folder: Path, number: int) -> Claim | None:
    """The trial's claim; None where it is done, or another process is at it."""
    if _record(folder, number).exists():
        return None
    file = _claim_file(folder, number).open("ab")
    # It may have been done between the two looks.
    if not _locked(file) or _record(folder, number).exists():
        file.close()
        return None
    return Claim(folder, number, file)


def _locked(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: there the trials of a search run one after the other
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _record(folder: Path, number: int) -> Path:
    return folder / "trials" / f"{number:05}.json"


def _claim_file(folder: Path, number: int) -> Path:
    return folder / "trials" / f"{number:05}.claim"
