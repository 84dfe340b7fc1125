"""For lessons: take a guess before the experiment, and show it beside the result."""

from lbsim.teach.predict import Prediction, predict

__all__ = ["Prediction", "predict"]
