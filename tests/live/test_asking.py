"""A few questions to a real server."""

import lbsim
from live.asking import Answer, ask


def test_a_global_variable_counts_in_each_worker_by_itself():
    answers = ask("live.asking:count", lbsim.policies.RoundRobin(), workers=3, times=7)
    assert [answer.body for answer in answers] == ["1", "1", "1", "2", "2", "2", "3"]


def test_an_error_is_an_answer_too():
    answers = ask(
        "live.apps:app", lbsim.policies.RoundRobin(), workers=1, times=1, path="/?cpu_ms=-1"
    )
    assert [answer.status for answer in answers] == [400]


def test_an_application_may_be_an_object():
    async def greet(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"good day"})

    assert ask(greet, lbsim.policies.RoundRobin(), workers=1, times=1) == [Answer(200, "good day")]
