# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11. Overload, timeouts, retries: a failure that feeds itself
#
# **Question.** The kitchen stood still for one second: a gas bottle had to be changed. It runs at 80 %
# load, so it has spare capacity to catch up. Half a minute later, is everything as before?
#
# Clients wait 250 ms for an answer. Then they give up and send the request again, up to three times.

# %%
import numpy as np

import lbsim
from lbsim import teach

SECONDS = 30 if not teach.is_quick() else 12
STALL = [lbsim.Hang(worker, at=5.0, duration=1.0) for worker in range(4)]
P = lbsim.policies


def kitchen(client, load=0.8, queue_limit=None, policy=None):
    """Four workers that stand still from t = 5 to t = 6 s; 10 ms a request."""
    cluster = lbsim.Cluster(workers=4, faults=STALL, queue_limit=queue_limit)
    workload = lbsim.Workload.synthetic(
        round(SECONDS * load * 400),
        service=lbsim.Exponential(0.010),
        load=load,
        cluster=cluster,
        seed=1,
    )
    return lbsim.simulate(workload, policy or P.LeastConnections(), cluster, seed=1, client=client)


def per_second(run):
    """What was wanted, what was sent (retries too) and what was answered in time, each second."""
    edges = np.arange(0, SECONDS - 1)
    wanted = np.histogram(run.arrival, edges)[0]
    sent = np.histogram(run.attempts()["dispatched"], edges)[0]
    answered = np.histogram(run.arrival[run.outcome == 0], edges)[0]
    return wanted, sent, answered


# %% [markdown]
# ## Predict

# %%
guess = teach.predict(
    "Twenty seconds after the stall, what share of the requests is answered?", unit="%"
)
guess

# %% [markdown]
# ## Run

# %%
impatient = lbsim.Client(timeout=0.25, retries=3)
run = kitchen(impatient)
wanted, sent, answered = per_second(run)
print("second           " + "".join(f"{i:5}" for i in range(0, len(wanted), 2)))
print("wanted per s     " + "".join(f"{x:5}" for x in wanted[::2]))
print("handed to workers" + "".join(f"{x:5}" for x in sent[::2]))
print("answered in time " + "".join(f"{x:5}" for x in answered[::2]))

# %%
ax = lbsim.plot.goodput(run)

# %%
late = answered[-3:].sum() / wanted[-3:].sum()
ax = guess.reveal(100 * float(late))

# %% [markdown]
# ## What happened and why
#
# The second of standing still made every waiting client give up. Each sent its request again, and
# the workers now had the old copies *and* the new ones: nobody takes a request back that is already in a worker's
# queue. So the next ones waited more than 250 ms as well, gave up, and sent theirs again. From then on each request
# is sent four times, the load is 80 % times four, and the workers are busy all the time with answers that nobody waits for
# any more:

# %%
attempts = run.attempts()
after = attempts[attempts["dispatched"] > 8.0]
print(after["ending"].value_counts(normalize=True).round(3).to_string())
print(f"workers busy, over the whole run: {run.summary()['utilisation']:.0%}")

# %% [markdown]
# This is a *metastable* failure: the trigger is long gone, and the overload keeps itself alive. The cluster has two
# stable states at the same load, and a push takes it from the good one to the bad one.
#
# ## What gets it out


# %%
class LatestFirst(lbsim.Policy):
    """A central queue that serves the request that came last."""

    slots = 1

    def choose(self, request, cluster):
        return lbsim.HOLD

    def rank(self, request):
        return -request.time


remedies = {
    "as above": (impatient, {}),
    "wait 1 s, then 2, then 4": (
        lbsim.Client(timeout=0.25, retries=3, backoff=1.0, jitter=0.5),
        {},
    ),
    "no retries": (lbsim.Client(timeout=0.25), {}),
    "workers drop what nobody wants": (
        lbsim.Client(timeout=0.25, retries=3, take_back="queued"),
        {},
    ),
    "central queue": (impatient, {"policy": P.CentralQueue()}),
    "central queue, latest first": (impatient, {"policy": LatestFirst()}),
    "central queue of 20, else refuse": (
        impatient,
        {"policy": P.CentralQueue(), "queue_limit": 20},
    ),
}
print(
    f"{'answered in time [%], in second':34}" + "".join(f"{i:5}" for i in range(4, SECONDS - 2, 3))
)
for name, (client, options) in remedies.items():
    wanted, _, answered = per_second(kitchen(client, **options))
    shares = 100 * answered / wanted
    print(f"{name:34}" + "".join(f"{share:5.0f}" for share in shares[4::3]))

# %% [markdown]
# ## Why each of them does what it does
#
# Waiting longer between retries delays the collapse but does not end it: 80 % load times four tries is still too much. Without retries
# the backlog is worked off. Workers that drop what nobody wants any more save only part of the work: a queue in order of
# arrival always begins with the requests that have waited nearly 250 ms, and most of them time out while they are
# served. The same holds for the central queue.
#
# Two remedies end it although every client still retries. *Latest first* serves the requests that
# can still be answered in time, and leaves the old ones to time out. And a *short queue that refuses at once* never lets
# a request in that it could not answer in time: 20 requests are worked off in about 50 ms.
#
# **Try this.**
#
# - Find the lowest load at which the stall is not survived (try 0.2, 0.24, 0.3). Load times how many tries is that?
# - `retries=1`. And a timeout of 1 s?
# - How long may the stall be at 50 % load?
