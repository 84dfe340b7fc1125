"""Predict before you run: a question, the learner's guess, and both beside each other.

In Jupyter a prediction shows itself as a small form. Everywhere else, and where ipywidgets is
not installed, the guess is given in code (``guess=``); without a guess, `reveal` shows the
result alone, so that a lesson runs from top to bottom either way.
"""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lbsim import checks
from lbsim.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Prediction", "predict"]

ANSWERS = ("lowest", "highest")


class Prediction:
    """A question and the learner's guess; make one with `predict`.

    Attributes
    ----------
    question : str
    kind : {"number", "choice", "order"}
    unit : str
    options : tuple of str
        What there is to choose from or to put in order; empty for a number.
    answer : {"lowest", "highest"}
        What is right (comes first) when `reveal` is given numbers.
    guess : float, str, tuple of str or None
        None until the learner has made one.
    """

    def __init__(
        self, question: str, kind: str, unit: str, options: tuple[str, ...], answer: str
    ) -> None:
        self.question = question
        self.kind = kind
        self.unit = unit
        self.options = options
        self.answer = answer
        self.guess: Any = None

    def make(self, guess: Any) -> None:
        """Take a guess in place of the one before.

        Raises
        ------
        InputError
            It is no number, or not among the options.
        """
        if self.kind == "number":
            self.guess = _number(guess)
        elif self.kind == "choice":
            self.guess = self._option(guess)
        else:
            if isinstance(guess, str) or not isinstance(guess, Sequence):
                raise InputError(f"guess = {guess!r} is not an order; give a list, first to last")
            order = tuple(self._option(name) for name in guess)
            if sorted(order) != sorted(self.options):
                raise InputError(
                    f"guess = {list(order)} does not name each of {', '.join(self.options)} "
                    "once; give all of them, in your order"
                )
            self.guess = order

    def reveal(self, result: Any, ax: "Axes | None" = None) -> "Axes":
        """Draw the guess beside the result; the title says how they compare.

        Parameters
        ----------
        result : float, str or mapping of str to float
            For a number: the number, in the same unit. For a choice or an order: the figure of
            each option (policies count as their text; a pandas Series will do), or, for a
            choice, the right option.
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
        """
        from lbsim.teach import reveal

        if self.kind == "number":
            return reveal.number(self.guess, checks.real("reveal", "result", result), self.unit, ax)
        if not hasattr(result, "items"):
            if self.kind == "order":
                raise InputError(
                    f"result = {result!r} is not a figure for each option; give a mapping of "
                    f"{', '.join(self.options)} to numbers"
                )
            return reveal.right_option(self.guess, self._option(result), self.options, ax)
        figures = {str(name): checks.real("reveal", str(name), v) for name, v in result.items()}
        if set(figures) != set(self.options):
            wrong = sorted(set(figures) ^ set(self.options))
            raise InputError(
                f"result and question differ in {', '.join(wrong)}; give a figure for each of "
                f"{', '.join(self.options)}, and no other"
            )
        best_first = sorted(
            self.options,
            key=lambda name: figures[name] if self.answer == "lowest" else -figures[name],
        )
        draw = reveal.choice if self.kind == "choice" else reveal.order
        return draw(self.guess, {name: figures[name] for name in best_first}, self.unit, ax)

    def _option(self, value: Any) -> str:
        if str(value) not in self.options:
            raise InputError(
                f"{str(value)!r} is not among the options; give one of {', '.join(self.options)}"
            )
        return str(value)

    def __repr__(self) -> str:
        return f"{self.question} [{'no guess yet' if self.guess is None else self.guess}]"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Show the form in Jupyter, or the question and how to answer it in code."""
        from lbsim.teach import form

        shown = form.bundle(self)
        if shown is not None:
            return shown
        example = {
            "number": "120",
            "choice": repr(next(iter(self.options), "")),
            "order": repr(list(self.options)),
        }[self.kind]
        hint = (
            f"Your guess: {self.guess}"
            if self.guess is not None
            else f"make(guess), say make({example})"
        )
        text = f"<b>{html.escape(self.question)}</b><br>{html.escape(hint)}"
        return {"text/plain": repr(self), "text/html": text}


def predict(
    question: str,
    *,
    unit: str = "",
    choices: Sequence[Any] | None = None,
    order: Sequence[Any] | None = None,
    answer: str = "lowest",
    guess: Any = None,
) -> Prediction:
    """Ask for a guess: a number, or one of `choices`, or an order of things.

    Parameters
    ----------
    question : str
    unit : str, optional
        Of the number, or of the figures that `Prediction.reveal` gets: "ms", "%".
    choices : sequence, optional
        Ask for one of these; policies and numbers count as their text.
    order : sequence, optional
        Ask for an order of these, first to last.
    answer : {"lowest", "highest"}, default "lowest"
        Which figure is the right choice, or comes first in the right order.
    guess : float, str or sequence, optional
        The guess, in code; where there is a form, what it starts with.

    Returns
    -------
    Prediction
        Shows itself as a form in Jupyter, if it is the last line of a cell.

    Examples
    --------
    >>> import lbsim
    >>> p99 = lbsim.teach.predict("What will the 99th percentile be?", unit="ms", guess=100)
    >>> p99.reveal(312.0).get_title()
    'You said 100 ms; it was 312 ms: 3.1 times as much'
    >>> which = lbsim.teach.predict("Who wins?", choices=["Random()", "PowerOfD(d=2)"])
    >>> which.make("Random()")
    >>> which.reveal({"Random()": 1.7, "PowerOfD(d=2)": 0.4}).get_title()
    'You said Random(); it was PowerOfD(d=2)'
    """
    if choices is not None and order is not None:
        raise InputError("choices and order are two questions; give one of them")
    if answer not in ANSWERS:
        raise InputError(f"answer = {answer!r} is not known; give one of {', '.join(ANSWERS)}")
    kind = "number" if choices is None and order is None else "choice" if order is None else "order"
    options = tuple(str(option) for option in (choices or order or ()))
    if kind != "number" and (len(set(options)) != len(options) or len(options) < 2):
        name = "order" if kind == "order" else "choices"
        raise InputError(f"{name} = {list(options)} needs at least two options, all different")
    prediction = Prediction(question, kind, unit, options, answer)
    if guess is not None:
        prediction.make(guess)
    return prediction


def _number(value: Any) -> float:
    """Read a number as a person types it."""
    text = str(value).strip()
    if "," in text:
        # 1,500 means one thing in London and another in Berlin.
        raise InputError(f"guess = {text!r} has a comma; write 1500 or 1.5")
    return checks.real("predict", "guess", text)
