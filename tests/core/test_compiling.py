"""Functions compiled by numba: kept where that can be done, and working where it cannot."""

import numpy as np

from eyebright.core.compiling import compiled


def total(values):
    found = 0.0
    for value in values:
        found += value
    return found


def test_a_function_is_compiled_and_gives_what_it_gave():
    assert compiled()(total)(np.arange(5.0)) == total(np.arange(5.0)) == 10


def test_options_are_numbas():
    assert compiled(fastmath=True)(total).targetoptions["fastmath"] is True


def test_without_a_place_to_keep_it_a_function_is_compiled_all_the_same(monkeypatch):
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert compiled()(total)(np.arange(5.0)) == 10
