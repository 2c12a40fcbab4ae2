"""A cache and a finished run for the whole session, and a way to train in a second."""

import pytest

from .shapes import SETTINGS, skip_the_slow, squares


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Caches of the session's own: what is converted or embedded once serves every test, and nobody's own files."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EYEBRIGHT_CACHE", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")  # of the processes that tests start
        yield folder


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Nets this small are slowed down by a second thread, by far where the machine is busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Three classes of 30 coloured squares."""
    return squares(tmp_path_factory.mktemp("data") / "squares")


@pytest.fixture(scope="session")
def finished(data, tmp_path_factory):
    """A run made by the real thing: ONNX, timings and all. Tests only read it."""
    from .shapes import trained

    return trained(data, tmp_path_factory.mktemp("runs") / "finished", epochs=8)


@pytest.fixture
def quick(monkeypatch):
    """Training that leaves out what takes seconds."""
    skip_the_slow(monkeypatch)


@pytest.fixture
def settings():
    return dict(SETTINGS)
