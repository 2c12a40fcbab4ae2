"""Functions compiled by numba, once for a computer."""

from collections.abc import Callable
from typing import Any


def compiled(**options: Any) -> Callable[[Any], Any]:
    """A decorator that compiles a function when it is first called, to run without the interpreter, and keeps what came of it.

    It is kept beside the function's file or in the user's cache, and used until that file changes: a change here takes one
    there. Where neither can be written to, it is compiled again in the next process. ``options`` are numba's; no array is
    checked for its bounds, and dividing by zero gives infinity, as in numpy. Raises ``ImportError`` where there is no numba.
    """
    from numba import njit

    def compile_it(function: Any) -> Any:
        compiler: Any = njit
        try:
            return compiler(cache=True, nogil=True, error_model="numpy", **options)(function)
        except RuntimeError:  # numba finds no place that it may write to
            return compiler(nogil=True, error_model="numpy", **options)(function)

    return compile_it
