"""For the whole session: tests that need a CUDA device or the network are skipped, with the reason, where there is none."""

import gc
import importlib.util
import signal

import pytest

# Begun in the background of a script, or by nohup, this process ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--network", action="store_true", help="run the tests that need more than the package registry")


def pytest_collection_modifyitems(config, items):
    marked_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if marked_gpu and not _cuda_is_available():
        _skip(marked_gpu, "no CUDA device is visible")
    if not config.getoption("--network"):
        _skip([item for item in items if item.get_closest_marker("network")], "the network is only used with --network")


def pytest_collection_finish(session):
    """What was imported is there to stay: the collector of garbage need not walk through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def one_thread():
    """torch on one thread: small networks gain nothing from more, and lose much where the cores are busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _skip(items, reason):
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))


def _cuda_is_available():
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()
