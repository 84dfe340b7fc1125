import pytest

import lbsim
from lbsim.policies import LeastConnections, PowerOfD, SizeInterval, Sticky, parse


def test_names_and_parameters():
    assert parse("LeastConnections") == LeastConnections()
    assert parse("powerofd:D=3") == PowerOfD(3)
    assert parse("SizeInterval:cutoffs=(0.01,0.1)") == SizeInterval((0.01, 0.1))
    assert parse("LeastConnections:ties=first") == LeastConnections("first")
    assert parse("Sticky:fallback=PowerOfD,idle=60") == Sticky(PowerOfD(), idle=60)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PowerOfTwo", r"policy 'PowerOfTwo' is not known; did you mean: PowerOfD"),
        ("PowerOfD:k=2", r"parameter 'k' of PowerOfD is not known; there is d, distinct"),
        ("PowerOfD:2", r"'2' is not of the form param=value; PowerOfD has the parameters d"),
    ],
)
def test_what_is_not_known_is_said(text, message):
    with pytest.raises(lbsim.InputError, match=message):
        parse(text)
