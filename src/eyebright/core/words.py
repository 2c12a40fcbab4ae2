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
