"""What lies between two convolutions, in one pass over memory each: pooling, batch norm and activation, compiled by numba.

On a processor these steps cost more than the arithmetic of the convolutions when torch does them one by one, as each reads and
writes everything that is in memory. All arrays have the channels last, and are float32 or bfloat16, the latter given as uint16.

The activation is z * sigmoid(slope * z): SiLU for a slope of 1, close to GELU for 1.702 (Hendrycks and Gimpel 2016, section 2).
"""

# numba compiles these functions for the types that they are called with; annotations would say less than they cost.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"

import numpy as np
import torch
from numba import get_num_threads, njit, prange, set_num_threads, types
from numba.extending import overload

from eyebright.core.compiling import compiled

FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}  # as True, but infinities and what is no number stay what they are
CHUNKS = 64  # work is cut into so many pieces whatever the number of threads, so that sums come out the same on each

_FLOAT, _UNSIGNED, _SIGNED, _SHORT = np.float32, np.uint32, np.int32, np.uint16
_LOG2_E, _LN_2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
# Coefficients of exp's Taylor series: on [-ln 2 / 2, ln 2 / 2] six of them are right to 3e-6, past what bfloat16 can show.
_C2, _C3, _C4, _C5 = np.float32(1 / 2), np.float32(1 / 6), np.float32(1 / 24), np.float32(1 / 120)
MOST_THREADS = get_num_threads()  # that numba begins with


def _read(value):
    raise NotImplementedError


@overload(_read, inline="always")
def _read_compiled(value):
    """An element as float32: a bfloat16 is the upper half of one."""
    if value == types.uint16:
        return lambda value: _UNSIGNED(_UNSIGNED(value) << _UNSIGNED(16)).view(_FLOAT)
    return lambda value: value


def _rounded(value, like):
    raise NotImplementedError


@overload(_rounded, inline="always")
def _rounded_compiled(value, like):
    """A float32 as the type of ``like``: for bfloat16 rounded to the nearest, ties to even."""
    if like == types.uint16:

        def to_bfloat16(value, like):
            bits = _FLOAT(value).view(_UNSIGNED)
            return _SHORT((bits + _UNSIGNED(0x7FFF) + ((bits >> _UNSIGNED(16)) & _UNSIGNED(1))) >> _UNSIGNED(16))

        return to_bfloat16
    return lambda value, like: _FLOAT(value)


@njit(inline="always", error_model="numpy")
def _sigmoid(x):
    power = min(max(-x * _LOG2_E, _FLOAT(-100)), _FLOAT(100))
    whole = np.floor(power + _FLOAT(0.5))
    rest = (power - whole) * _LN_2
    part = _FLOAT(1) + rest * (_FLOAT(1) + rest * (_C2 + rest * (_C3 + rest * (_C4 + rest * _C5))))
    scale = _SIGNED((_SIGNED(whole) + _SIGNED(127)) << _SIGNED(23)).view(_FLOAT)
    return _FLOAT(1) / (_FLOAT(1) + part * scale)


def follow_torch() -> None:
    """Lets the kernels that this thread calls next use as many threads as torch does."""
    set_num_threads(min(torch.get_num_threads(), MOST_THREADS))


@compiled(parallel=True, fastmath=FAST)
def pool_and_sums(x, pooled, winner, sums):
    """2x2 maxima of ``x`` [n, h, w, c], which of the four won, and each channel's sums of values and squares [chunks, 2, c]."""
    n, channels = x.shape[0], x.shape[3]
    height, width = pooled.shape[1], pooled.shape[2]
    for chunk in prange(CHUNKS):
        total = np.zeros((2, channels), _FLOAT)
        for i in range(n * chunk // CHUNKS, n * (chunk + 1) // CHUNKS):
            for row in range(height):
                for column in range(width):
                    for c in range(channels):
                        a, b = _read(x[i, 2 * row, 2 * column, c]), _read(x[i, 2 * row, 2 * column + 1, c])
                        d, e = _read(x[i, 2 * row + 1, 2 * column, c]), _read(x[i, 2 * row + 1, 2 * column + 1, c])
                        upper, lower = max(a, b), max(d, e)
                        most = max(upper, lower)
                        in_upper, in_lower = _UNSIGNED(b > a), _UNSIGNED(2) + _UNSIGNED(e > d)
                        winner[i, row, column, c] = np.uint8(in_lower if lower > upper else in_upper)
                        pooled[i, row, column, c] = _rounded(most, pooled[i, row, column, c])
                        total[0, c] += most
                        total[1, c] += most * most
        sums[chunk] = total


@compiled(parallel=True, fastmath=FAST)
def plain_sums(x, sums):
    """Each channel's sums of values and squares [chunks, 2, c], of ``x`` [rows, c]."""
    rows, channels = x.shape
    for chunk in prange(CHUNKS):
        total = np.zeros((2, channels), _FLOAT)
        for i in range(rows * chunk // CHUNKS, rows * (chunk + 1) // CHUNKS):
            for c in range(channels):
                value = _read(x[i, c])
                total[0, c] += value
                total[1, c] += value * value
        sums[chunk] = total


@compiled(parallel=True, fastmath=FAST)
def activate(x, out, scale, shift, slope):
    """``out`` = z * sigmoid(slope * z) with z = x * scale + shift, channel by channel; ``out`` may be ``x`` [rows, c]."""
    rows, channels = x.shape
    for chunk in prange(CHUNKS):
        for i in range(rows * chunk // CHUNKS, rows * (chunk + 1) // CHUNKS):
            for c in range(channels):
                z = _read(x[i, c]) * scale[c] + shift[c]
                out[i, c] = _rounded(z * _sigmoid(slope * z), out[i, c])


@compiled(parallel=True, fastmath=FAST)
def activation_gradient(x, gradient, out, scale, shift, slope, sums):
    """``out`` = the loss's gradient by z, and each channel's sums of it and of it times x: for norm and bias."""
    rows, channels = x.shape
    for chunk in prange(CHUNKS):
        total = np.zeros((2, channels), _FLOAT)
        for i in range(rows * chunk // CHUNKS, rows * (chunk + 1) // CHUNKS):
            for c in range(channels):
                value = _read(x[i, c])
                z = value * scale[c] + shift[c]
                s = _sigmoid(slope * z)
                by_z = _read(gradient[i, c]) * s * (_FLOAT(1) + slope * z * (_FLOAT(1) - s))
                out[i, c] = _rounded(by_z, out[i, c])
                total[0, c] += by_z
                total[1, c] += by_z * value
        sums[chunk] = total


@compiled(parallel=True, fastmath=FAST)
def norm_gradient(x, gradient, by_gradient, by_value, constant):
    """The batch norm's backward pass in place: gradient = by_gradient * gradient + by_value * x + constant [rows, c]."""
    rows, channels = x.shape
    for chunk in prange(CHUNKS):
        for i in range(rows * chunk // CHUNKS, rows * (chunk + 1) // CHUNKS):
            for c in range(channels):
                value = by_gradient[c] * _read(gradient[i, c]) + by_value[c] * _read(x[i, c]) + constant[c]
                gradient[i, c] = _rounded(value, gradient[i, c])


@compiled(parallel=True, fastmath=FAST)
def norm_gradient_unpooled(x, gradient, by_gradient, by_value, constant, winner, out):
    """The same, sent back through the pooling: to the place that won, zero elsewhere; ``out`` [n, h, w, c] is written whole."""
    n, height, width, channels = x.shape
    nothing = _rounded(_FLOAT(0), out[0, 0, 0, 0])
    for chunk in prange(CHUNKS):
        for i in range(n * chunk // CHUNKS, n * (chunk + 1) // CHUNKS):
            out[i, 2 * height :] = nothing
            for row in range(height):
                out[i, 2 * row, 2 * width :] = nothing
                out[i, 2 * row + 1, 2 * width :] = nothing
                for column in range(width):
                    for c in range(channels):
                        value = by_gradient[c] * _read(gradient[i, row, column, c]) + constant[c]
                        value += by_value[c] * _read(x[i, row, column, c])
                        sent, place = _rounded(value, nothing), winner[i, row, column, c]
                        out[i, 2 * row, 2 * column, c] = sent if place == 0 else nothing
                        out[i, 2 * row, 2 * column + 1, c] = sent if place == 1 else nothing
                        out[i, 2 * row + 1, 2 * column, c] = sent if place == 2 else nothing
                        out[i, 2 * row + 1, 2 * column + 1, c] = sent if place == 3 else nothing


@compiled(parallel=True, fastmath=FAST)
def side_by_side(x, out):
    """Pictures ``x`` [n, h, w, c] in rows of several, a column of zeros after each: ``out`` [rows, h, several * (w + 1), c]."""
    n, height, width = x.shape[:3]
    rows, several = out.shape[0], out.shape[2] // (width + 1)
    nothing = _rounded(_FLOAT(0), out[0, 0, 0, 0])
    for row in prange(rows):
        for k in range(several):
            i, left = row * several + k, k * (width + 1)
            for y in range(height):
                if i < n:
                    out[row, y, left : left + width] = x[i, y]
                    out[row, y, left + width] = nothing
                else:
                    out[row, y, left : left + width + 1] = nothing
