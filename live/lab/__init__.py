"""The lab: policies simulated and measured on the same requests, on one page."""

from live.lab.bench import Teller
from live.lab.pair import BANDS, Pair
from live.lab.studies import REPLAYS, SIMULATED, Study, requests_for, study
from live.lab.verdict import Verdict, Word, validate

__all__ = [
    "BANDS", "REPLAYS", "SIMULATED", "Pair", "Study", "Teller", "Verdict", "Word", "requests_for",
    "study", "validate",
]  # fmt: skip
