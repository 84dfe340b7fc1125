"""Units of time for people: everything else in this package is in seconds."""

__all__ = ["duration", "pick_unit"]

# From which duration on a unit is used, its length in seconds, its name. A figure of days is
# shown beside its fractions, so the larger units begin where there are some of them.
UNITS = (
    (172800.0, 86400.0, "d"),
    (7200.0, 3600.0, "h"),
    (600.0, 60.0, "min"),
    (1.0, 1.0, "s"),
    (1e-3, 1e-3, "ms"),
    (0.0, 1e-6, "µs"),
)


def pick_unit(seconds: float) -> tuple[float, str]:
    """Return the unit (its length in seconds, its name) that suits a typical duration.

    Examples
    --------
    >>> pick_unit(0.25), pick_unit(7300.0)
    ((0.001, 'ms'), (3600.0, 'h'))
    """
    for least, length, name in UNITS:
        if seconds >= least:
            return length, name
    return UNITS[-1][1:]


def duration(seconds: float) -> str:
    """Return a duration as text, three digits or more.

    Examples
    --------
    >>> duration(0.0123), duration(59.96), duration(156610.0)
    ('12.3 ms', '60 s', '43.5 h')
    """
    length, unit = pick_unit(seconds)
    value = seconds / length
    return f"{value:,.0f} {unit}" if value >= 1000.0 else f"{value:.3g} {unit}"
