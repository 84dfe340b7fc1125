"""The form in which a learner makes a guess, of ipywidgets."""

import html
from typing import TYPE_CHECKING, Any

from lbsim.errors import InputError

if TYPE_CHECKING:
    from lbsim.teach.predict import Prediction

__all__ = ["bundle"]


def bundle(prediction: "Prediction") -> dict[str, Any] | None:
    """Return the form as Jupyter displays it; None without ipywidgets or a kernel."""
    try:
        import ipywidgets
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None  # a terminal: nobody would draw the widget
    shown: dict[str, Any] = _form(ipywidgets, prediction)._repr_mimebundle_()
    shown["text/plain"] = repr(prediction)
    # For a saved page, where no kernel runs.
    shown["text/html"] = f"<b>{html.escape(prediction.question)}</b><br>{_echo(prediction)}"
    return shown


def _form(w: Any, prediction: "Prediction") -> Any:
    """Return the question, its inputs, and a line that says what was taken."""
    echo = w.HTML(_echo(prediction))

    def take(guess: Any) -> None:
        try:
            prediction.make(guess)
        except InputError as error:
            # The last guess that could be read stays; the learner sees why this one could not.
            echo.value = f'<span role="alert">{html.escape(str(error))}</span>'
        else:
            echo.value = _echo(prediction)

    question = w.HTML(f"<b>{html.escape(prediction.question)}</b>")
    inputs = {"number": _number, "choice": _choice, "order": _order}[prediction.kind]
    return w.VBox([question, inputs(w, prediction, take), echo])


def _echo(prediction: "Prediction") -> str:
    guess = prediction.guess
    if guess is None:
        return '<span role="status">no guess yet</span>'
    if prediction.kind == "number":
        text = f"{guess:g} {prediction.unit}".rstrip()
    else:
        text = guess if isinstance(guess, str) else ", then ".join(guess)
    return f'<span role="status">your guess: {html.escape(text)}</span>'


def _number(w: Any, prediction: "Prediction", take: Any) -> Any:
    given = "" if prediction.guess is None else f"{prediction.guess:g}"
    field = w.Text(value=given, placeholder=f"a number {prediction.unit}".strip())

    def changed(change: dict[str, Any]) -> None:
        if change["new"].strip():
            take(change["new"])

    field.observe(changed, "value")
    return w.HBox([field, w.Label(prediction.unit)])


def _choice(w: Any, prediction: "Prediction", take: Any) -> Any:
    field = w.RadioButtons(options=prediction.options, value=prediction.guess)
    field.layout.width = "max-content"
    field.observe(lambda change: take(change["new"]), "value")
    return field


def _order(w: Any, prediction: "Prediction", take: Any) -> Any:
    n = len(prediction.options)
    given = prediction.guess or (None,) * n
    fields = [
        w.Dropdown(
            options=prediction.options,
            value=given[i],
            description=f"{i + 1}.",
        )
        for i in range(n)
    ]

    def changed(_: dict[str, Any]) -> None:
        if all(field.value is not None for field in fields):
            take([field.value for field in fields])

    for field in fields:
        field.observe(changed, "value")
    return w.VBox(fields)
