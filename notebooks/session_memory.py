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
# # What a session store costs: memory, and wrong answers after a move
#
# **Question.** Sessions live in the memory of the workers. Nobody tells a worker that a session has moved on. How much memory is that,
# and what does a guest see whose session is elsewhere?

# %%
import matplotlib.pyplot as plt
import numpy as np

import lbsim
from lbsim import teach

N = teach.size(20_000)
KILOBYTES = 20  # of a session
P = lbsim.policies


def run(policy, crash=False):
    """Eight workers, 5,000 sessions; worker 3 crashes at t = 20 s, if asked."""
    faults = lbsim.Faults(lbsim.Crash(3, at=20.0), restart_s=1.0) if crash else lbsim.Faults()
    cluster = lbsim.Cluster(workers=8, faults=faults)
    workload = lbsim.Workload.synthetic(
        N,
        service=lbsim.Exponential(mean=0.010),
        sessions=lbsim.Sessions(5000, zipf=0.6),
        load=0.6,
        cluster=cluster,
        seed=1,
    )
    return lbsim.simulate(workload, policy, cluster, seed=1)


anywhere, sticky = run(P.LeastConnections()), run(P.Sticky())

# %% [markdown]
# ## Predict

# %%
guess = teach.predict(
    "Requests go anywhere. How many copies of a session are there at the end, on average?"
)
guess

# %% [markdown]
# ## Run: memory


# %%
def copies(run, **options):
    """Copies of sessions in all workers (or in the one store) at the end of the run."""
    return sum(int(path.at(run.arrival[-1])) for path in lbsim.sessions.stored(run, **options))


known = len(np.unique(anywhere.workload.key))
rows = {
    "anywhere, kept for ever": copies(anywhere),
    "anywhere, dropped after 5 s idle": copies(anywhere, idle=5.0),
    "sticky, kept for ever": copies(sticky),
    "sticky, dropped after 5 s idle": copies(sticky, idle=5.0),
    "one shared store, kept for ever": copies(anywhere, shared=True),
}
print(f"{known:,} sessions were seen")
for name, n in rows.items():
    print(f"{name:34}{n:7,} copies {n * KILOBYTES / 1e3:6.0f} MB")

# %%
ax = guess.reveal(rows["anywhere, kept for ever"] / known)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
times = np.linspace(0.0, float(anywhere.arrival[-1]), 300)
for name, r, options in (
    ("anywhere", anywhere, {}),
    ("anywhere, 5 s idle", anywhere, {"idle": 5.0}),
    ("sticky", sticky, {}),
):
    total = sum(path.at(times) for path in lbsim.sessions.stored(r, **options))
    ax.plot(times, total * KILOBYTES / 1e3, label=name)
ax.set_xlabel("time [s]")
ax.set_ylabel("memory of all workers [MB]")
_ = ax.legend(frameon=False)
# %% [markdown]
# ## Run: wrong answers
#
# The session is a shopping cart. Each request puts one thing into it and answers with how many there are. A worker that
# has not seen all of them answers with too few.

# %%
crashed = run(P.Sticky(), crash=True)
for name, r in (
    ("anywhere", anywhere),
    ("sticky", sticky),
    ("sticky, a worker crashes", crashed),
):
    wrong = lbsim.sessions.wrong_answers(r)
    print(f"{name:26} {wrong.mean():6.1%} of the answers are wrong")

# %%
wrong = lbsim.sessions.wrong_answers(crashed)
second = np.floor(crashed.arrival).astype(int)
for s in (18, 19, 20, 21, 25, 35):
    print(f"t = {s} s: {wrong[second == s].mean():5.1%} wrong")

# %% [markdown]
# ## What happened and why
#
# When requests go anywhere, a session sooner or later has been at most workers, and each of these keeps a copy: after
# half a minute there are nearly three times as many copies as sessions, and the curve still rises. Dropping idle copies bounds it, but
# a guest who comes back after the limit is a stranger. Sticky sessions have one copy each, as a shared store has.
#
# And without stickiness `74.3%` of the answers are *wrong*: the cart is whatever that worker happens to know. No error, no
# log line. With stickiness all answers are right, until a worker dies. Then its sessions, about an eighth, lose their carts,
# and stay wrong for as long as they last: the count never catches up. A restart or a reload does the same, one
# worker after the other.
#
# So stickiness is for speed (a cache that may be lost). What must not be lost belongs into a store outside of the
# workers: it has one copy, survives them, and lets any worker answer. What that costs per request depends on the
# store; `python benchmarks/stores.py` measures memory, SQLite and Redis on this machine.
#
# **Try this.**
#
# - `P.KeyHash()` in the place of `P.Sticky()`, with the crash. Why are so many more answers wrong?
# - A rolling reload, `lbsim.Reload(at=10.0)`, in place of the crash. How many carts survive it?
# - At which idle limit does "anywhere" need as much memory as "sticky, kept for ever"?
