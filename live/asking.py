"""Ask a real server a few questions, one after the other: for lessons and first tries."""

from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from lbsim import checks
from lbsim.cluster import Cluster
from lbsim.policy import Policy

__all__ = ["Answer", "ask", "count"]

_served = 0  # by this process: a global variable, as many programs have one


async def count(scope: Any, receive: Any, send: Any) -> None:
    """ASGI: answer with how many requests a *global variable* has counted."""
    global _served
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    _served += 1
    body = str(_served).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: str


def ask(
    app: Any,
    policy: Policy,
    *,
    workers: int = 4,
    times: int = 8,
    path: str = "/",
    timeout: float = 30.0,
) -> list[Answer]:
    """Start a server, send some requests one after the other, stop it, return the answers.

    Parameters
    ----------
    app : str or ASGI application
        ``"package.module:app"``, or an object.
    policy : Policy
    workers : int, default 4
    times : int, default 8
    path : str, default "/"
    timeout : float, default 30
        Seconds to wait for each answer.

    Returns
    -------
    list of Answer
    """
    from live.measuring import server

    checks.count("ask", "times", times)
    opener = build_opener(ProxyHandler({}))  # loopback: not through anybody's proxy
    answers = []
    with server(policy, Cluster(workers), app=app) as running:
        host, port = running.crew.address
        # A connection for each request, so that each is placed anew.
        request = Request(f"http://{host}:{port}{path}", headers={"Connection": "close"})
        for _ in range(times):
            try:
                with opener.open(request, timeout=timeout) as response:
                    answers.append(Answer(response.status, response.read().decode()))
            except HTTPError as error:
                answers.append(Answer(error.code, error.read().decode()))
    return answers
