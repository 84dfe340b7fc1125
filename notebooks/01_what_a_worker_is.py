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
# # 1. What a worker is, and why one slow request blocks
#
# **Question.** A chef cooks one dish at a time. Somebody orders a dish that takes a second. Half a
# second later somebody orders a coffee: 5 ms. When does the coffee come?
#
# A worker is a *process*: it has its own memory, it runs on one core at a time, and what it cannot do at once
# waits in its queue. This lesson runs a real one. (Where no process can be forked, it shows a recording.)

# %%
import numpy as np

import lbsim
from lbsim import teach

SLOW_S, COFFEE_S = 1.0, 0.005
# One dish of a second at t = 0, and a coffee every 100 ms.
arrival = np.concatenate([[0.0], np.arange(0.1, 1.5, 0.1)])
service = np.where(arrival == 0.0, SLOW_S, COFFEE_S)
cooking = lbsim.Workload.from_arrays(arrival, service, name="one slow dish")
one = lbsim.Cluster(workers=1, discipline="event_loop")

# %% [markdown]
# ## Predict

# %%
guess = teach.predict("How long does the coffee ordered at t = 0.5 s take?", unit="ms")
guess

# %% [markdown]
# ## Run: a real worker
#
# `live.measure` starts a master and a forked worker, and sends it these requests over TCP, each at its time.


# %%
def experiment():
    import live

    return {"computes": live.measure(cooking, lbsim.policies.RoundRobin(), one)}


real = teach.measured("lesson-1-blocked", experiment)["computes"]
print("ordered at [s]  " + "".join(f"{t:6.1f}" for t in real.arrival[:13]))
print("latency [ms]    " + "".join(f"{1e3 * x:6.0f}" for x in real.latency[:13]))

# %%
ax = guess.reveal(1e3 * float(real.latency[5]))

# %% [markdown]
# ## What if the dish only has to bake?
#
# In the oven it needs nobody. A chef who *awaits* it can make coffee meanwhile. The same second, but spent
# waiting (for a database, a file, another service) in place of computing:

# %%
wait = np.where(arrival == 0.0, SLOW_S, 0.0)
baking = lbsim.Workload.from_arrays(
    arrival, np.where(arrival == 0.0, 0.0, COFFEE_S), wait=wait, name="one dish in the oven"
)


def experiment():
    import live

    return {"waits": live.measure(baking, lbsim.policies.RoundRobin(), one)}


oven = teach.measured("lesson-1-waiting", experiment)["waits"]
print("ordered at [s]  " + "".join(f"{t:6.1f}" for t in oven.arrival[:13]))
print("latency [ms]    " + "".join(f"{1e3 * x:6.0f}" for x in oven.latency[:13]))

# %% [markdown]
# ## And the simulator?

# %%
for name, workload in (("computes", cooking), ("waits", baking)):
    run = lbsim.simulate(workload, lbsim.policies.RoundRobin(), one)
    print(f"{name:9} simulated [ms]" + "".join(f"{1e3 * x:6.0f}" for x in run.latency[:13]))
blocked = lbsim.simulate(cooking, lbsim.policies.RoundRobin(), one)
print(blocked.slowest(3)[1])

# %%
ax = lbsim.plot.timeline(blocked, begin=0.0, end=1.5)

# %% [markdown]
# ## What happened and why
#
# While the worker computes, it does nothing else: no accepting, no answering, not even saying "please wait". Every
# coffee that came meanwhile waited for the rest of the second, and then they were all made in a row. The coffee of t = 0.5 s
# took about half a second, though it is 5 ms of work: a hundred times as long, by no fault of its own.
#
# When the same second is spent *awaiting*, the loop is free, and every coffee takes what a coffee takes.
#
# This is why the choice of the worker matters at all: a request does not wait for "the server", it waits
# behind particular requests at a particular worker. And it is why one slow handler can hurt everybody: the more
# workers there are, the fewer requests stand behind it, *if* they are sent elsewhere.
#
# **Try this.**
#
# - Two workers, `workers=2`, with rotation and with `LeastConnections()`. Which coffees still wait?
# - Make the dish 100 ms, one in twenty orders. How does the p99 of the coffees look?
# - Would a faster chef help, one who makes coffee in 1 ms?
