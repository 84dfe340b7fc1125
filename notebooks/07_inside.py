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
# # 7. Inside: who accepts, who decides, and what it costs
#
# **Question.** A connection arrives at port 80. Four processes could serve it. By which way does it come to one of them?
#
# There are three ways.
#
# | way | who decides | in the lab |
# |---|---|---|
# | the master accepts and passes the connection on | a policy | `mode="pass"` |
# | all workers accept from one listening socket | whoever is quickest | `mode="shared"`, policy `SharedAccept` |
# | each worker has a listening socket of its own (SO_REUSEPORT) | a hash in the kernel | `mode="reuseport"`, policy `ReusePort` |
#
# ## Passing a connection, in ten lines
#
# An open connection is a number (a file descriptor) that means something in one process only. Over a Unix socket a process can
# *give* it to another one: the kernel makes a second number for the same connection there.

# %%
import socket

import numpy as np

import lbsim
from lbsim import teach

if hasattr(socket, "send_fds"):  # not on Windows
    listening = socket.create_server(("127.0.0.1", 0))  # the master's
    client = socket.create_connection(listening.getsockname())
    connection, _ = listening.accept()
    to_worker, channel = socket.socketpair(socket.AF_UNIX)
    socket.send_fds(to_worker, [b"a connection for you"], [connection.fileno()])
    note, numbers, _, _ = socket.recv_fds(channel, 100, 1)  # at the worker's end
    print(note, "number", connection.fileno(), "is here number", numbers[0])
    with socket.socket(fileno=numbers[0]) as mine:
        mine.sendall(b"hello from the worker")
    print(client.recv(100))
    for s in (listening, client, connection, to_worker, channel):
        s.close()

# %% [markdown]
# ## Predict
#
# Four event-loop workers, 60 % load, handlers that block for 20 ms on average. The same requests by the three ways. With
# `pass` the policy is a central queue.

# %%
WAYS = ["pass", "shared", "reuseport"]
guess = teach.predict("Lowest p99 first", order=WAYS, unit="ms")
guess

# %% [markdown]
# ## Run: for real

# %%
N = teach.size(1200, quick=200)
cluster = lbsim.Cluster(workers=4, discipline="event_loop")
workload = lbsim.Workload.synthetic(
    N, service=lbsim.Exponential(0.020), load=0.6, cluster=cluster, seed=3
)
policy = lbsim.policies.CentralQueue()


def experiment():
    import live

    return {way: live.measure(workload, policy, cluster, mode=way) for way in WAYS}


real = teach.measured("lesson-7-ways", experiment)
for way, run in real.items():
    shares = np.bincount(run.worker[run.worker >= 0], minlength=4) / len(run)
    p50, p99 = 1e3 * run.quantile([0.5, 0.99])
    print(f"{way:10} p50 {p50:4.0f} ms   p99 {p99:4.0f} ms   shares {shares.round(2).tolist()}")

# %%
ax = guess.reveal({way: 1e3 * run.quantile(0.99) for way, run in real.items()})

# %% [markdown]
# ## Run: simulated

# %%
ways = {
    "pass, central queue": policy,
    "shared": lbsim.policies.SharedAccept(),
    "reuseport": lbsim.policies.ReusePort(),
}
simulated = {
    name: lbsim.simulate(workload, p, lbsim.Cluster(workers=4), seed=1) for name, p in ways.items()
}
teach.table(simulated, "p50 p99 idle_while_waiting imbalance")

# %% [markdown]
# ## The master as the bottleneck
#
# A master that accepts, looks and passes on needs time for each request, and there is only one. Here it takes 0.2 ms (a slow
# one). Requests take 4 ms. The load per worker stays at 60 %; only the number of workers grows.

# %%
for workers in (4, 8, 16, 32, 40):
    cells = []
    for dispatch_s in (0.0, 200e-6):
        big = lbsim.Cluster(workers, master=lbsim.Master(dispatch_s=dispatch_s))
        w = lbsim.Workload.synthetic(
            teach.size(20_000), service=lbsim.Exponential(0.004), load=0.6, cluster=big, seed=1
        )
        cells.append(lbsim.simulate(w, lbsim.policies.LeastConnections(), big, seed=1))
    busy = w.parameters["rate"] * 200e-6
    free, slow = (1e3 * run.quantile(0.99) for run in cells)
    print(
        f"{workers:3} workers: p99 {free:5.1f} ms with a master that takes no time, {slow:8.1f} ms "
        f"with this one, which is {busy:.0%} busy"
    )

# %% [markdown]
# And if the *data* crosses the master too, as in message passing between processes (Node's `process.send`), every byte costs:

# %%
for kilobytes in (1, 100, 1000, 2000):
    copying = lbsim.Cluster(4, master=lbsim.Master(dispatch_s=20e-6, per_byte_s=1e-9))
    w = lbsim.Workload.synthetic(
        teach.size(20_000),
        service=lbsim.Exponential(0.004),
        payload=kilobytes * 1000,
        load=0.6,
        cluster=copying,
        seed=1,
    )
    run = lbsim.simulate(w, lbsim.policies.LeastConnections(), copying, seed=1)
    busy = w.parameters["rate"] * (20e-6 + kilobytes * 1000 * 1e-9)
    print(
        f"{kilobytes:5} kB a request: master {busy:4.0%} busy, p99 {1e3 * run.quantile(0.99):10.1f} ms"
    )

# %% [markdown]
# ## What happened and why
#
# *Shared* is a central queue kept by the kernel: connections wait until some worker accepts one. It is as good as the
# master's central queue (in the simulation exactly as good), and needs no master; but it cannot be told anything: no
# sessions, no priorities, no load.
#
# *Reuseport* shares evenly by count and blindly by time. A connection that the hash sends to a worker that is busy waits there,
# while others are idle. That is the random policy, and its p99 shows it.
#
# *Pass* can do anything a policy can express, and pays with a process that everything goes through. As long as that
# process is idle most of the time nobody notices. At 96 % its queue is part of every latency, and above 100 % it is the whole
# latency: with 40 workers it is asked for more than it can do, though every worker has 40 % to spare.
#
# The larger what crosses it, the sooner. Passing a *connection* costs the same for a byte and for a
# gigabyte, since the data never goes through the master. That is why servers pass sockets and not requests.
#
# **Try this.**
#
# - `python -m live serve live.apps:app --workers 4 --policy PowerOfD:d=2` runs the server alone; ask it with `curl`.
# - How many workers can a master with 30 microseconds a request keep busy? Calculate, then simulate.
# - `python benchmarks/ipc.py` measures what a message between two of this machine's processes costs, by size.
