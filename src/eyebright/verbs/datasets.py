"""``datasets``: which data sets are known by name, and which of them are on this computer."""

from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from eyebright.core.events import OnEvent, silent
from eyebright.core.settings import Settings, argument


class DatasetsSettings(Settings):
    """What ``datasets`` needs to know."""

    data_home: Path | None = argument(None, help="Where data sets that are known by name lie.")


class DatasetEntry(BaseModel):
    """A data set that DATA may name. ``where`` is its place on this computer, or None."""

    model_config = ConfigDict(frozen=True)

    name: str
    about: str
    where: str | None


def list_datasets(data_home: Path | None = None) -> list[DatasetEntry]:
    """Every data set known by name, then the zips, tables and folders in the data home."""
    return run(DatasetsSettings(data_home=data_home))


def run(settings: DatasetsSettings, on_event: OnEvent = silent) -> list[DatasetEntry]:
    """The list that ``settings`` ask for."""
    from eyebright.data.catalogue import ABOUT, DATASETS, resolve_home

    home = resolve_home(settings.data_home)
    known = [
        DatasetEntry(name=name, about=ABOUT.get(name, "from a plug-in"), where=_where(name, home))
        for name in DATASETS.targets()
    ]
    own = [
        DatasetEntry(name=path.stem if path.is_file() else path.name, about="in the data home", where=str(path))
        for path in (sorted(home.iterdir()) if home.is_dir() else [])
        if _is_ones_own(path)
    ]
    return [*known, *own]


def _where(name: str, home: Path) -> str | None:
    """Where the set's files are. They are not opened: a list should not cost what the largest set in it costs."""
    from eyebright.data.catalogue import ABOUT, located

    if name not in ABOUT:
        return "in a plug-in"
    if name == "digits":
        return "in scikit-learn" if find_spec("sklearn") else None
    folder = located(name, home)
    return None if folder is None else str(folder)


def _is_ones_own(path: Path) -> bool:
    """Whether an entry of the data home is a set of the user's, not the folder of a set that is known by name."""
    from eyebright.data.catalogue import DATASETS, FOLDERS

    if path.is_file():
        return path.suffix in (".zip", ".csv")
    taken = {*DATASETS.targets(), *(folder.split("/")[0] for folders in FOLDERS.values() for folder in folders)}
    return path.is_dir() and path.name not in taken and not path.name.startswith(".")
