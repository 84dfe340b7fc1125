"""Why Numba could not compile a policy, in plain words, with the line."""

import linecache
import os
import re

from numba.core.errors import NumbaError

from lbsim.engines.compiled.fingerprint import Reach
from lbsim.policy import Policy

__all__ = ["reason"]

_TRANSLATIONS = (
    (
        r"Unknown attribute '(\w+)' of type Policy_",
        "self.{0} is not made in prepare(), so compiled code does not know its type",
    ),
    (
        r"Unknown attribute '(\w+)' of type",
        "the attribute {0!r} is not known to compiled code",
    ),
    (r"NameError: name '(\w+)' is not defined", "the name {0!r} is not defined"),
    (
        r"Use of unsupported NumPy function '?(?:numpy\.)?(\w+)'?",
        "np.{0} is not among the functions that Numba compiles",
    ),
    (
        r"Untyped global name '(\w+)': .*?(?:type of|type) <class '([\w.]+)'>",
        "the global {0!r} is of type {1}, which compiled code cannot read",
    ),
    (
        r"Untyped global name '(\w+)'",
        "the global {0!r} is something that compiled code cannot read",
    ),
    (
        r"(self\.\w+ is an? \w+, which compiled code cannot read; [^\n]*)",
        "{0}",
    ),
    (
        r"(self\.\w+ is [^\n]*?, but a value of\s+type \S+ is assigned to it)",
        "{0}",
    ),
    (r"super\(", "super with arguments is not known to compiled code; write super().method(…)"),
    (
        r"Cannot capture the non-constant value associated with variable '(\w+)' in a function",
        "a lambda or inner function uses {0!r}; write a loop instead",
    ),
    (
        r"Cannot unify (.+?) and (.+?) for '([\w.$]+)'",
        "a variable is sometimes of type {0} and sometimes of type {1}",
    ),
    (
        r"No implementation of function Function\(<(?:built-in )?(?:function|class) '?([\w.]+)"
        r"[^>]*>\) found",
        "{0}(…) is not known to compiled code for what it is given here",
    ),
)


def reason(error: BaseException, reach: Reach) -> str:
    """Return what in a policy could not be compiled: the line, and why.

    Parameters
    ----------
    error : Exception
        What Numba raised.
    reach : Reach
        Of the policy's class: tells the policy's lines from others.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    place = _place(text, reach)
    return f"{_plain_words(text, error)}{place}"


def _plain_words(text: str, error: BaseException) -> str:
    for pattern, words in _TRANSLATIONS:
        found = re.search(pattern, text, re.DOTALL if "\\n" not in pattern else 0)
        if found:
            return words.format(*(" ".join(group.split()) for group in found.groups()))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(_HEADINGS)]
    kind = "" if isinstance(error, NumbaError) else f"{type(error).__name__}: "
    return kind + (lines[0] if lines else "Numba gives no reason")


_HEADINGS = ("Failed in nopython", "- Resolution failure", "During", "None")


def _place(text: str, reach: Reach) -> str:
    """Return the deepest place in the policy's own code that the text names."""
    own = (f for f in (*reach.methods, *reach.functions) if f.__module__ != Policy.__module__)
    codes = [f.__code__ for f in own]
    for file, at, number in re.findall(r'(?:File "([^"]*)", line |at (\S+) \()(\d+)', text):
        line, name = int(number), os.path.basename(file or at)
        for code in codes:
            lines = {at for _, _, at in code.co_lines() if at}
            if line in lines and os.path.basename(code.co_filename) == name:
                source = linecache.getline(code.co_filename, line).strip()
                shown = f": {source}" if source else ""
                return f" (line {line}, in {code.co_name}{shown})"
    return ""


def makes_arrays(error: BaseException) -> bool:
    """Say whether compiling failed only because the code makes an array."""
    text = str(error)
    return "NRT required" in text or "Only accept returning of array passed" in text
