"""The same model, written as users of other simulators would write it."""

import random
from collections.abc import Generator

import numpy as np
import simpy

__all__ = ["ciw_model", "simpy_model"]


def simpy_model(rule: str, arrival: np.ndarray, service: np.ndarray, workers: int) -> np.ndarray:
    """Return the latencies of a SimPy model: a resource a worker, a process a request.

    Parameters
    ----------
    rule : {"rotation", "shortest", "power of two"}
    """
    env = simpy.Environment()
    resources = [simpy.Resource(env) for _ in range(workers)]
    latency = np.empty(len(arrival))
    rng = random.Random(1)
    last = -1

    def load(worker: int) -> int:
        return resources[worker].count + len(resources[worker].queue)

    def choose() -> int:
        nonlocal last
        if rule == "power of two":
            first, second = rng.sample(range(workers), 2)
            return second if load(second) < load(first) else first
        if rule == "rotation":
            last = (last + 1) % workers
        else:
            last = min(((last + 1 + k) % workers for k in range(workers)), key=load)
        return last

    def request(row: int, seconds: float) -> Generator[simpy.Event, None, None]:
        began = env.now
        with resources[choose()].request() as turn:
            yield turn
            yield env.timeout(seconds)
        latency[row] = env.now - began

    def source() -> Generator[simpy.Event, None, None]:
        for row, (time, seconds) in enumerate(zip(arrival.tolist(), service.tolist(), strict=True)):
            yield env.timeout(time - env.now)
            env.process(request(row, seconds))

    env.process(source())
    env.run()
    return latency


def ciw_model(rule: str, arrival: np.ndarray, service: np.ndarray, workers: int) -> np.ndarray:
    """Return the latencies of a Ciw model: a door that routes, then a node a worker.

    Parameters
    ----------
    rule : {"shortest", "rotation"}
    """
    import ciw

    class Shortest(ciw.routing.JoinShortestQueue):
        """Counts those in service too, which Ciw's own router does not."""

        def get_queue_size(self, node_index: int) -> int:
            return self.simulation.nodes[node_index].number_of_individuals

    nodes = list(range(2, workers + 2))
    router = {
        "shortest": Shortest(destinations=nodes),
        "rotation": ciw.routing.Cycle(cycle=nodes),
    }[rule]
    gaps = np.diff(arrival, prepend=0.0).tolist()
    seconds = service.tolist()

    class Given(ciw.dists.Distribution):
        """The request's own service time, whichever node serves it."""

        def sample(self, t: float | None = None, ind: ciw.Individual | None = None) -> float:
            return seconds[ind.id_number - 1]

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*gaps, float("inf")])] + [None] * workers,
        service_distributions=[ciw.dists.Deterministic(0.0)] + [Given()] * workers,
        number_of_servers=[float("inf")] + [1] * workers,
        routing=ciw.routing.NetworkRouting(routers=[router] + [ciw.routing.Leave()] * workers),
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(len(arrival), method="Finish")
    records = [r for r in simulation.get_all_records() if r.node > 1]
    return np.array([r.exit_date - r.arrival_date for r in records])
