"""Exercises without their solutions.

The markers are nbgrader's (``### BEGIN SOLUTION``, ``### END SOLUTION``), and the cells carry
nbgrader's metadata, so that a course that uses nbgrader can take the solved files as they are.
"""

import re

from lbsim.errors import InputError

__all__ = ["BEGIN", "END", "STUB", "without_solutions"]

BEGIN = "### BEGIN SOLUTION"
END = "### END SOLUTION"
STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")


def without_solutions(text: str, name: str = "this exercise") -> str:
    r"""Replace what stands between the markers by a stub.

    Parameters
    ----------
    text : str
        A notebook in the percent format.
    name : str
        For the message of an error.

    Raises
    ------
    InputError
        There is no solution in it, or a marker has no partner.

    Examples
    --------
    >>> print(without_solutions("def f():\n    ### BEGIN SOLUTION\n    return 1\n"
    ...                         "    ### END SOLUTION"))
    def f():
        # YOUR CODE HERE
        raise NotImplementedError()
    """
    kept: list[str] = []
    opened = 0  # line number of the marker whose end has not come
    solutions = 0
    for number, line in enumerate(text.split("\n"), 1):
        if BEGIN in line:
            if opened:
                raise InputError(
                    f"{name}, line {number}: a solution begins inside the one of line {opened}; "
                    f"put {END!r} before it"
                )
            opened = number
            solutions += 1
            indent = re.match(r"\s*", line).group()  # type: ignore[union-attr]  # always matches
            kept += [indent + stub for stub in STUB]
        elif END in line:
            if not opened:
                raise InputError(
                    f"{name}, line {number}: a solution ends that never began; "
                    f"put {BEGIN!r} before it"
                )
            opened = 0
        elif not opened:
            kept.append(line)
    if opened:
        raise InputError(f"{name}, line {opened}: the solution has no end; add {END!r}")
    if not solutions:
        raise InputError(f"{name} holds no solution; mark it with {BEGIN!r} and {END!r}")
    return "\n".join(kept)
