"""Numbers in words that the terminal and the report say alike."""


def duration(seconds: float) -> str:
    """A length of time in words, as exact as it deserves.

    >>> duration(8.2), duration(100), duration(7260)
    ('8 s', '1 min 40 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rounded(value: float, places: int, whole: float = 1.0) -> str:
    """``value`` with ``places`` decimals; with more, where it would read as none or as the ``whole`` and is neither.

    So "100 %" is said only of what was always right, "0 %" only of what never was. Ends of intervals need no such care.

    >>> rounded(99.71, 0, 100), rounded(100, 0, 100), rounded(0.9971, 2), rounded(0.004, 2)
    ('99.7', '100', '0.997', '0.004')
    """
    text = f"{value:.{places}f}"
    if float(text) in (0.0, whole) and abs(value - float(text)) > 1e-9:
        return rounded(value, places + 1, whole)
    return text


def probability(value: float, places: int) -> str:
    """A model's probability with ``places`` decimals; never none and never one, which are only rounded so.

    >>> probability(0.99971, 3), probability(1.0, 3), probability(0.9971, 3), probability(0.004, 2)
    ('>0.999', '>0.999', '0.997', '<0.01')
    """
    text, step = f"{value:.{places}f}", 10.0**-places
    if float(text) >= 1:
        return f">{1 - step:.{places}f}"
    return text if float(text) else f"<{step:.{places}f}"


def sureness(value: float) -> str:
    """A model's probability in per cent, as exact as a glance wants it; never none and never all, as in ``probability``.

    >>> sureness(0.87), sureness(0.9971), sureness(0.9996), sureness(1.0)
    ('87 %', '99.7 %', '>99.9 %', '>99.9 %')
    """
    if value >= 0.9995:
        return ">99.9 %"
    return "<0.1 %" if value < 0.0005 else f"{rounded(100 * value, 0, 100)} %"
