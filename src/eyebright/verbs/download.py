"""``download``: fetch a named data set from its publisher. No other verb goes to the network."""

import shlex
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from eyebright.core.errors import InterruptedRunError
from eyebright.core.events import OnEvent, silent
from eyebright.core.settings import Settings, argument


class DownloadSettings(Settings):
    """What ``download`` needs to know."""

    name: str = argument(help="The data set: mnist, cifar10, fashion-mnist, or one of MedMNIST.", positional=True, min_length=1)
    data_home: Path | None = argument(None, help="Where data sets that are known by name lie.")
    from_: str | None = argument(
        None, help="Another address to fetch from; it ends in / where the files lie in it.", alias="from", min_length=1
    )

    model_config = ConfigDict(populate_by_name=True)


class DownloadedFile(BaseModel):
    """A published file: the ``paths`` it became, where it came ``from_url`` (None: it was there), and what ``proves`` it."""

    model_config = ConfigDict(frozen=True)

    file: str
    paths: tuple[Path, ...]
    from_url: str | None
    proof: str


class Download(BaseModel):
    """A set that is now whole in ``folder``, with the page to cite and the licence that its publisher states."""

    model_config = ConfigDict(frozen=True)

    name: str
    folder: Path
    files: tuple[DownloadedFile, ...]
    page: str
    licence: str

    @property
    def was_there(self) -> bool:
        """Whether nothing had to be fetched."""
        return all(file.from_url is None for file in self.files)


def download(name: str, *, data_home: Path | None = None, from_: str | None = None, on_event: OnEvent = silent) -> Download:
    """Fetches the data set called ``name`` and checks its bytes; what is there already is checked and left as it is.

    ``from_`` is an address to fetch from in the place of the publisher. Raises ``SettingsError`` for a name or address that
    cannot be used, ``DataError`` where the right bytes are not to be had, ``ResourceError`` where the disk has no room, and
    ``InterruptedRunError`` on Ctrl-C; what has arrived is kept then.
    """
    return run(DownloadSettings(name=name, data_home=data_home, from_=from_), on_event)


def run(settings: DownloadSettings, on_event: OnEvent = silent) -> Download:
    """Fetches what ``settings`` ask for."""
    from eyebright.data.catalogue import resolve_home
    from eyebright.data.download import download_set
    from eyebright.data.publishers import PUBLISHERS

    home = resolve_home(settings.data_home)
    try:
        obtained = download_set(settings.name, home, source=settings.from_, on_event=on_event)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(f"Stopped. What has arrived is kept. Go on with: {_command(settings)}") from error
    publisher = PUBLISHERS[settings.name]
    return Download(
        name=settings.name,
        folder=obtained[0].paths[0].parent,
        files=tuple(DownloadedFile(file=item.file, paths=item.paths, from_url=item.url, proof=item.proof) for item in obtained),
        page=publisher.page,
        licence=publisher.licence,
    )


def _command(settings: DownloadSettings) -> str:
    words = ["eyebright", "download", settings.name]
    words += ["--data-home", str(settings.data_home)] if settings.data_home else []
    words += ["--from", settings.from_] if settings.from_ else []
    return shlex.join(words)
