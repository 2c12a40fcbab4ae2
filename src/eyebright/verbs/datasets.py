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
    """Every data set known by name, then the archives, ``.npz`` files, tables and folders in the data home."""
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
        DatasetEntry(name=name, about="in the data home", where=str(path))
        for path in (sorted(home.iterdir()) if home.is_dir() else [])
        if (name := _own_name(path))
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


def _own_name(path: Path) -> str | None:
    """What an entry of the data home is called, None where it is no set or belongs to one that is known by name."""
    from eyebright.data.catalogue import DATASETS, FOLDERS, own_name

    if path.is_file():
        name = own_name(path)
        return None if name in DATASETS.targets() else name
    taken = {*DATASETS.targets(), *(folder.split("/")[0] for folders in FOLDERS.values() for folder in folders)}
    return path.name if path.is_dir() and path.name not in taken and not path.name.startswith(".") else None
