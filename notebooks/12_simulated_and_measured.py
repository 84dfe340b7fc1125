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
# # 12. Simulated against measured: when to believe a simulation
#
# **Question.** All the numbers of the other lessons come from a model: a master, queues, workers. A real server has an operating system
# below it, sockets, an interpreter. Does the model say what the real one does?
#
# The same workload and the same policy class are run twice: simulated, and by forked workers on this machine. Where
# processes cannot be forked, the measured side is a recording.

# %%
import numpy as np

import lbsim
from lbsim import teach

# A recording has the full size.
N = teach.size(1500, quick=200) if teach.can_measure() else 1500
cluster = lbsim.Cluster(workers=4, discipline="event_loop")
workload = lbsim.Workload.synthetic(
    N, service=lbsim.Exponential(0.020), load=0.6, cluster=cluster, seed=12
)
P = lbsim.policies
policies = {
    "rotation": P.RoundRobin(),
    "two choices": P.PowerOfD(2),
    "central queue": P.CentralQueue(),
}
simulated = {name: lbsim.simulate(workload, p, cluster, seed=12) for name, p in policies.items()}
teach.table(simulated, "p50 p99")

# %% [markdown]
# ## Predict

# %%
guess = teach.predict("Measured p99 of the rotation, as a share of the simulated one?", unit="%")
guess

# %% [markdown]
# ## Run
#
# This takes as long as the requests take: some 15 seconds a policy.


# %%
def experiment():
    import live

    return {name: live.measure(workload, p, cluster, seed=12) for name, p in policies.items()}


measured = teach.measured("lesson-12-measured", experiment)
print(f"{'':15}{'simulated':>16}{'measured':>16}{'ratio':>14}{'same worker':>14}")
print(f"{'':15}{'p50':>8}{'p99':>8}{'p50':>8}{'p99':>8}{'p50':>7}{'p99':>7}")
for name, run in measured.items():
    s, m = (1e3 * r.quantile([0.5, 0.99]) for r in (simulated[name], run))
    same = (run.worker == simulated[name].worker).mean()
    print(
        f"{name:15}{s[0]:8.1f}{s[1]:8.1f}{m[0]:8.1f}{m[1]:8.1f}"
        f"{m[0] / s[0]:7.2f}{m[1] / s[1]:7.2f}{same:14.0%}"
    )

# %%
ax = guess.reveal(
    100 * float(measured["rotation"].quantile(0.99) / simulated["rotation"].quantile(0.99))
)

# %%
ax = lbsim.plot.agreement(simulated["central queue"], measured["central queue"])

# %%
ax = lbsim.plot.ccdf(
    {
        "rotation, simulated": simulated["rotation"],
        "rotation, measured": measured["rotation"],
        "central queue, simulated": simulated["central queue"],
        "central queue, measured": measured["central queue"],
    }
)

# %%
for name, run in measured.items():
    print(f"{name}: {run!r}\n")

# %%
extra = 1e3 * (measured["rotation"].latency - simulated["rotation"].latency)
print(
    f"rotation, request by request: measured - simulated, median {np.nanmedian(extra):.2f} ms, "
    f"90 % within {np.nanquantile(extra, 0.05):.2f} and {np.nanquantile(extra, 0.95):.2f} ms"
)

# %%
spread = [
    1e3 * lbsim.simulate(workload.replicate(i), P.RoundRobin(), cluster, seed=i).quantile(0.99)
    for i in range(6)
]
print("rotation, simulated p99 of six samples of this workload [ms]:", np.round(spread).tolist())

# %% [markdown]
# ## What happened and why
#
# *Rotation* looks at nothing but the order of arrival, so every request goes to the same worker, simulated and
# measured; the two can be compared request by request. What is left is what the model leaves out: the way over the socket, the
# interpreter, and the machine's other work, each request somewhat later than simulated.
#
# *Two choices* looks at queues. A tenth of a millisecond decides which of two queues is longer, the choice falls on another
# worker, and from there on the two runs go different ways, until a quiet moment brings them together again. With the
# *central queue* one request in four has the same worker, no more than chance: which worker is free first is a
# matter of microseconds. Neither run is wrong. Compare their distributions, never single requests; and compare several
# samples, since the p99 of one run of this length moves a good deal from one to the next (the last cell).
#
# When to believe a simulation:
#
# 1. *Order* of policies: yes, if their intervals do not overlap. This is the safest thing that it says.
# 2. *Distributions*: if the overhead of a request is small against its service time, or calibrated
#    (`python -m live calibrate`, then `lbsim.Cluster.calibrated`).
# 3. *Single requests*: only if the policy is blind to load.
# 4. *Never*, where the model lacks what matters: workers that slow each other down (more busy workers than
#    cores), a database that everybody waits for, memory, garbage collection.
#
# And when to believe a measurement: look at what the run says of itself. If the load generator was late, or others used the machine,
# it measured that.
#
# **Try this.**
#
# - Requests of 2 ms in place of 20. Which ratio grows, and why?
# - Measure the rotation twice. How far apart are two *measured* runs?
# - Spin instead of sleeping: `live.measure(..., busy="spin")`, four workers on your cores. Rule 4.
