"""A guess is taken, kept, and drawn beside the result."""

import sys

import pandas as pd
import pytest

import lbsim
from lbsim import InputError
from lbsim.teach import form, predict

FIGURES = {"a": 3.0, "b": 1.0, "c": 2.0}


@pytest.fixture(autouse=True)
def closed_figures():
    """Where another test has loaded pyplot, new axes are its, and it keeps them."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize(
    ("guess", "result", "title"),
    [
        (100, 312.0, "You said 100 ms; it was 312 ms: 3.1 times as much"),
        ("312", 312.0, "Right: it was 312 ms"),
        (300, 312.0, "You said 300 ms; it was 312 ms: close"),
        (1000, 10.0, "You said 1,000 ms; it was 10 ms: 1/100 of it"),
        (0, 10.0, "You said 0 ms; it was 10 ms"),
        (None, 10.0, "You made no guess; it was 10 ms"),
    ],
)
def test_number(guess, result, title):
    ax = predict("p99?", unit="ms", guess=guess).reveal(result)
    assert ax.get_title() == title
    drawn = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() in "Do"]
    assert drawn == ([float(guess)] if guess is not None else []) + [result]


def test_a_guess_far_off_is_drawn_on_a_log_axis():
    assert predict("?", guess=1).reveal(1000.0).get_xscale() == "log"
    assert predict("?", guess=0).reveal(1000.0).get_xscale() == "linear"


def test_choice_marks_the_guess_and_puts_the_right_one_first():
    question = predict("which?", choices="abc", unit="s", guess="a")
    ax = question.reveal(pd.Series(FIGURES))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "c", "a"]
    assert [text for text in texts(ax) if "your guess" in text] == ["3 s   ◀ your guess"]
    assert ax.get_title() == "You said a; it was b"
    highest = predict("which?", choices="abc", answer="highest", guess="a")
    assert highest.reveal(FIGURES).get_title() == "Right: it was a"


def test_choice_without_figures():
    ax = predict("lost?", choices=["yes", "no"], guess="no").reveal("yes")
    assert ax.get_title() == "You said no; it was yes"
    assert texts(ax) == ["it was this one", "  ◀ your guess"]


@pytest.mark.parametrize(
    ("guess", "title"),
    [
        ("bca", "Right: your order is the result's"),
        ("cba", "2 of 3 pairs are in the right order"),
        ("acb", "0 of 3 pairs are in the right order"),
        (None, "You made no guess; this is the order"),
    ],
)
def test_order(guess, title):
    ax = predict("order?", order="abc", guess=guess and list(guess)).reveal(FIGURES)
    assert ax.get_title() == title
    assert len(ax.get_lines()) == (3 if guess else 0)


def test_policies_count_as_their_text():
    rotation = lbsim.policies.RoundRobin()
    question = predict("which?", choices=[rotation, lbsim.policies.Random()], guess=rotation)
    assert question.guess == "RoundRobin()"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: predict("?", guess="1,500"), "guess = '1,500' has a comma; write 1500 or 1.5"),
        (lambda: predict("?", guess="many"), "guess = 'many' is not a number; give one"),
        (lambda: predict("?", choices="ab", order="ab"), "give one of them"),
        (lambda: predict("?", choices=["a"]), r"choices = \['a'\] needs at least two options"),
        (
            lambda: predict("?", choices="ab", guess="c"),
            "'c' is not among the options; give one of",
        ),
        (lambda: predict("?", order="abc", guess=["a", "b"]), "does not name each of a, b, c once"),
        (lambda: predict("?", order="abc", guess="abc"), "is not an order; give a list"),
        (lambda: predict("?", choices="ab", answer="best"), "answer = 'best' is not known"),
        (lambda: predict("?", choices="ab").reveal({"a": 1}), "result and question differ in b"),
        (lambda: predict("?", order="ab").reveal("a"), "is not a figure for each option"),
        (lambda: predict("?").reveal("much"), "result = 'much' is not a number"),
    ],
)
def test_messages(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_without_widgets_the_question_says_how_to_answer(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    shown = predict("<1> or 2?", choices=["1", "2"])._repr_mimebundle_()
    assert shown["text/html"] == "<b>&lt;1&gt; or 2?</b><br>make(guess), say make(&#x27;1&#x27;)"


def inputs(kind, question):
    widgets = pytest.importorskip("ipywidgets", reason="the extra 'notebook' is not installed")
    box = form._form(widgets, question)
    assert kind in type(box.children[1].children[0] if kind == "Text" else box.children[1]).__name__
    return box.children[1], box.children[2]


def test_form_takes_a_number_and_keeps_it_when_the_next_cannot_be_read():
    question = predict("p99?", unit="ms")
    row, echo = inputs("Text", question)
    row.children[0].value = "120"
    assert (question.guess, echo.value) == (120.0, '<span role="status">your guess: 120 ms</span>')
    row.children[0].value = "1<2"
    assert question.guess == 120.0
    assert "alert" in echo.value
    assert "1&lt;2" in echo.value


def test_form_takes_a_choice():
    question = predict("which?", choices="ab")
    field, _ = inputs("RadioButtons", question)
    assert question.guess is None
    field.value = "b"
    assert question.guess == "b"


def test_form_takes_an_order_once_it_is_whole():
    question = predict("order?", order="abc")
    box, echo = inputs("VBox", question)
    for field, name in zip(box.children, "ca", strict=False):
        field.value = name
    assert question.guess is None
    box.children[2].value = "a"
    assert "does not name each of a, b, c once" in echo.value
    box.children[1].value = "b"
    assert question.guess == ("c", "b", "a")
