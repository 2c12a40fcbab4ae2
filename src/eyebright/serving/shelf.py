"""The models that are served: their names are fixed when the server starts, the version behind a name may be replaced.

A reload opens the new version aside, warms and checks it, and then puts it in the old one's place, all at once. Whoever asked
before is answered by the old version, which is freed when the last of them has its answer.
"""

import os
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path

from eyebright.core.bundle import Bundle, safe_name
from eyebright.core.errors import EyebrightError, SettingsError
from eyebright.core.events import Note, OnEvent, Phase, Progress, silent
from eyebright.core.registry import unknown
from eyebright.serving.answers import RefusalError
from eyebright.serving.served import ServedModel
from eyebright.verbs.making.imagenet import NAME as IMAGENET
from eyebright.verbs.making.imagenet import open_bundle

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ROOT = r"(?:[A-Za-z]:[\\/]|\\\\|/)"  # of a drive, of a share, or of everything
_PATH = re.compile(rf"(?<='){_ROOT}[^']+|(?<=\"){_ROOT}[^\"]+|(?<![\w/\\.]){_ROOT}[^\s:;,'\"]+")  # a quoted one may have spaces

Opener = Callable[[str, Bundle], ServedModel]


def named_places(given: Sequence[str]) -> dict[str, str]:
    """The name and the place of each model that was ``given``: ``NAME=PATH``, a folder, or the word ``imagenet``.

    A folder is known by its own name, a run's ``bundle`` folder by the run's. Raises ``SettingsError`` where none is given, a
    name has other letters than a URL may have, or two models have the same one.

    >>> named_places(["runs/flowers-1/bundle", "old=runs/flowers-0", "imagenet"])
    {'flowers-1': 'runs/flowers-1/bundle', 'old': 'runs/flowers-0', 'imagenet': 'imagenet'}
    """
    if not given:
        raise SettingsError("No model was named; one bundle at least was expected. Give a bundle's folder, or imagenet.")
    places: dict[str, str] = {}
    for one in given:
        name, place = _named(one)
        if name in places:
            raise SettingsError(f"Two models are called {name!r}: {places[name]} and {place}. Name one of them: NAME={place}.")
        places[name] = place
    return places


def _named(given: str) -> tuple[str, str]:
    name, equals, place = given.partition("=")
    if not equals or Path(given).exists():
        return _own_name(given), given
    if not _NAME.fullmatch(name) or not place:
        raise SettingsError(
            f"{given!r} is not NAME=PATH: a name is up to 100 letters, digits, dots, dashes and underscores, and begins with a "
            "letter or a digit. For example: flowers=runs/flowers-1"
        )
    return name, place


def _own_name(place: str) -> str:
    if place == IMAGENET:
        return IMAGENET
    path = Path(os.path.abspath(place))  # unlike resolve it keeps a link's own name
    return safe_name((path.parent if path.name == "bundle" else path).name)


class Shelf:
    """Fixed names and, behind each, the version of the model that is served now."""

    def __init__(self, places: dict[str, str], open_model: Opener, *, on_event: OnEvent = silent) -> None:
        """Opens every model. Raises ``DataError`` or ``ModelError`` where one is missing or refused."""
        self.names = tuple(places)
        self._places, self._open_model, self._on_event = places, open_model, on_event
        on_event(Phase("Opening the models", len(places), "models"))
        self._models: dict[str, ServedModel] = {}
        for name in places:
            self._models[name] = self._opened(name)
            on_event(Progress(len(self._models)))

    def __getitem__(self, name: str | None) -> ServedModel:
        """The model called ``name``; None: the first. Raises ``RefusalError`` 404 with the nearest names for an unknown one."""
        if name is None:
            name = self.names[0]
        if name not in self._models:
            raise RefusalError(HTTPStatus.NOT_FOUND, unknown("model", name[:200], self.names))
        return self._models[name]

    def reload(self, name: str) -> ServedModel:
        """The model called ``name``, opened again from its place and put in place of the old version.

        Takes as long as opening does; the old version answers meanwhile. Raises ``RefusalError`` 404 for an unknown name, and
        409, saying why, where the new version is missing, damaged or not what it says it is: then the old one stays.
        """
        old = self[name]
        try:
            fresh = self._opened(name)
        except (EyebrightError, OSError) as error:
            self._on_event(Note(f"{name} was not loaded again: {error}", "warning"))
            reason = without_paths(str(error), self._places[name], name)
            detail = f"{name} was not loaded again, version {old.about.sha256[:12]} stays. {reason}"
            raise RefusalError(HTTPStatus.CONFLICT, detail) from error
        self._models[name] = fresh
        self._on_event(Note(f"{name} was loaded again: version {fresh.about.sha256[:12]} follows {old.about.sha256[:12]}."))
        return fresh

    def _opened(self, name: str) -> ServedModel:
        return self._open_model(name, open_bundle(self._places[name], self._on_event))


def open_shelf(given: Sequence[str], *, form: str = "auto", on_event: OnEvent = silent) -> Shelf:
    """The shelf with the models that were ``given`` (see ``named_places``), opened in ``form``.

    Raises ``SettingsError``, ``DataError``, ``ModelError`` or ``MissingExtraError``, as names and bundles are.
    """

    def open_model(name: str, bundle: Bundle) -> ServedModel:
        return ServedModel.open(name, bundle, form=form, on_event=on_event)

    return Shelf(named_places(given), open_model, on_event=on_event)


def without_paths(text: str, place: str, name: str) -> str:
    """``text`` for people elsewhere: the model's ``place`` becomes its ``name``, any other path of this computer dots.

    >>> without_paths("/srv/models/leaves/bundle.json is damaged, see /etc/x.", "/srv/models/leaves", "leaves")
    'leaves/bundle.json is damaged, see ...'
    """
    path = Path(place)
    paths = {str(path.resolve()), str(path.absolute()), str(path), place} - {".", "/", name}
    paths |= {one.replace("\\", "\\\\") for one in paths}  # as Python quotes those of Windows
    if paths:
        wholes = map(_whole, sorted(paths, key=len, reverse=True))
        text = re.sub("|".join(wholes), lambda _: name, text)  # in one pass: a name is not searched again
    return _PATH.sub("...", text)


def _whole(path: str) -> str:
    """The pattern of ``path`` where it is no piece of another one. A word alone may be one of the sentence's own."""
    escaped, before, after = re.escape(path), r"(?<![\w./\\-])", r"(?![\w-]|\.\w)"
    if "/" in path or "\\" in path:
        return f"{before}{escaped}{after}"
    return rf"^{escaped}(?=\s)|(?<=['\"]){escaped}(?=['\"])|{before}{escaped}(?=[\\/])"
