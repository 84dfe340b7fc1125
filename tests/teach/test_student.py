"""Exercises lose their solutions, and only these."""

import pytest

import lbsim
from lbsim.teach.student import without_solutions

SOLVED = """\
# %% [markdown]
# # Task
# %%
class Mine:
    def choose(self):
        ### BEGIN SOLUTION
        secret = 1
        return secret
        ### END SOLUTION

    def other(self):
        return 2
"""


def test_a_stub_takes_the_place_of_the_solution_at_its_indentation():
    text = without_solutions(SOLVED)
    assert "secret" not in text
    assert "        # YOUR CODE HERE\n        raise NotImplementedError()\n" in text
    assert text.replace("        # YOUR CODE HERE\n        raise NotImplementedError()\n", "") == (
        SOLVED[: SOLVED.index("        ###")] + SOLVED[SOLVED.rindex("END SOLUTION\n") + 13 :]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "holds no solution"),
        ("### BEGIN SOLUTION\nx = 1", r"e\.py, line 1: the solution has no end"),
        ("x\n### END SOLUTION", r"line 2: a solution ends that never began"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION", "line 2: a solution begins inside .* line 1"),
    ],
)
def test_markers_without_partners_are_errors(text, message):
    with pytest.raises(lbsim.InputError, match=message):
        without_solutions(text, "e.py")
