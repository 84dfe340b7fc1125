"""Policies by name, as on the command line: ``PowerOfD:d=2``."""

import ast
import difflib
import inspect
from typing import Any

from lbsim.errors import InputError
from lbsim.policy import Policy

__all__ = ["parse"]


def parse(text: str) -> Policy:
    """Make a policy from ``NAME`` or ``NAME:param=value,param=value``.

    Parameters
    ----------
    text : str
        Values are Python literals; anything else is a word, or the name of a policy where a
        policy is wanted: ``Sticky:fallback=PowerOfD,idle=60``.

    Returns
    -------
    Policy

    Raises
    ------
    InputError
        The name, a parameter or a value is not known.

    Examples
    --------
    >>> parse("PowerOfD:d=3")
    PowerOfD(d=3, distinct=True)
    """
    from lbsim import policies

    name, _, rest = text.strip().partition(":")
    names = [n for n in policies.__all__ if n != "parse"]
    kind = _match(name, names, f"policy {name!r}")
    parameters = list(inspect.signature(getattr(policies, kind)).parameters)
    values: dict[str, Any] = {}
    for part in _split(rest):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(
                f"{text!r}: {part!r} is not of the form param=value; "
                f"{kind} has the parameters {', '.join(parameters) or '(none)'}"
            )
        key = _match(key.strip(), parameters, f"parameter {key.strip()!r} of {kind}")
        values[key] = _value(value.strip(), names)
    missing = [
        p.name
        for p in inspect.signature(getattr(policies, kind)).parameters.values()
        if p.default is p.empty and p.name not in values
    ]
    if missing:
        raise InputError(
            f"{text!r}: {kind} needs {', '.join(missing)}; give {kind}:{missing[0]}=VALUE, a value "
            "as Python writes it"
        )
    policy: Policy = getattr(policies, kind)(**values)
    return policy


def _match(name: str, known: list[str], complaint: str) -> str:
    """Return the known name that is meant, in any case of letters, or say which are close."""
    for candidate in known:
        if candidate.lower() == name.lower():
            return candidate
    close = difflib.get_close_matches(name.lower(), [k.lower() for k in known], 3, 0.5)
    if close:
        listed = ", ".join(k for k in known if k.lower() in close)
        raise InputError(f"{complaint} is not known; did you mean: {listed}?")
    raise InputError(f"{complaint} is not known; there is {', '.join(known) or 'none'}")


def _value(text: str, names: list[str]) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        pass
    return parse(text) if text.partition(":")[0] in names else text


def _split(text: str) -> list[str]:
    """Split at the commas that are not inside brackets."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]
