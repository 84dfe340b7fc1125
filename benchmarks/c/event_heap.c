/* First come, first served workers with an event queue: the general way.

   The next departure of every busy worker is in a 4-ary heap; each worker has a queue of requests.
   Policies see exact numbers in flight. Ties in time: departures come before arrivals, then by
   worker, as in the lab. */
#include <stdint.h>
#include <stdlib.h>

#include "chance.h"

#define QUEUE 1024 /* requests that a worker's queue holds; a power of two */

enum { ROTATION, SHORTEST, POWER_OF_TWO };

typedef struct {
    double time;
    int64_t worker;
} Event;

static inline int before(Event a, Event b) {
    return a.time < b.time || (a.time == b.time && a.worker < b.worker);
}

static inline void sink(Event *heap, int64_t size, int64_t at, Event event) {
    for (;;) {
        int64_t child = 4 * at + 1;
        if (child >= size) break;
        int64_t end = child + 4 < size ? child + 4 : size, least = child;
        for (child++; child < end; child++)
            if (before(heap[child], heap[least])) least = child;
        if (!before(heap[least], event)) break;
        heap[at] = heap[least];
        at = least;
    }
    heap[at] = event;
}

static inline void rise(Event *heap, int64_t at, Event event) {
    while (at > 0) {
        int64_t parent = (at - 1) / 4;
        if (!before(event, heap[parent])) break;
        heap[at] = heap[parent];
        at = parent;
    }
    heap[at] = event;
}

static inline __attribute__((always_inline)) int
simulate(int rule, int64_t n, int64_t workers, const double *restrict arrival,
         const double *restrict service, const uint64_t *seed, int64_t *restrict worker,
         double *restrict started, double *restrict finished) {
    Chance chance = chance_of(seed);
    Event *heap = malloc(workers * sizeof *heap);
    int64_t *queue = malloc(workers * QUEUE * sizeof *queue);
    int64_t *first = calloc(workers, sizeof *first), *load = calloc(workers, sizeof *load);
    int64_t size = 0, next = 0, i = 0;
    int failed = 0;
    while (i < n || size > 0) {
        if (size > 0 && (i == n || heap[0].time <= arrival[i])) {
            Event event = heap[0];
            int64_t w = event.worker;
            finished[queue[w * QUEUE + first[w]++ % QUEUE]] = event.time;
            if (--load[w] > 0) { /* the worker's next request begins */
                int64_t row = queue[w * QUEUE + first[w] % QUEUE];
                started[row] = event.time;
                sink(heap, size, 0, (Event){event.time + service[row], w});
            } else if (--size > 0) {
                sink(heap, size, 0, heap[size]);
            }
            continue;
        }
        int64_t w;
        if (rule == ROTATION) {
            w = next;
        } else if (rule == SHORTEST) {
            w = next;
            int64_t at = next;
            for (int64_t step = 1; step < workers && load[w] > 0; step++) {
                if (++at == workers) at = 0;
                if (load[at] < load[w]) w = at;
            }
        } else {
            w = (int64_t)(uniform(&chance) * workers);
            int64_t other = (int64_t)(uniform(&chance) * (workers - 1));
            other += other >= w;
            if (load[other] < load[w]) w = other;
        }
        next = w + 1 == workers ? 0 : w + 1;
        if (load[w] == QUEUE) {
            failed = -1;
            break;
        }
        worker[i] = w;
        queue[w * QUEUE + (first[w] + load[w]) % QUEUE] = i;
        if (load[w]++ == 0) {
            started[i] = arrival[i];
            rise(heap, size++, (Event){arrival[i] + service[i], w});
        }
        i++;
    }
    free(heap);
    free(queue);
    free(first);
    free(load);
    return failed;
}

#define POLICY(NAME, RULE)                                                                         \
    int NAME(int64_t n, int64_t workers, const double *arrival, const double *service,             \
             const uint64_t *seed, int64_t *worker, double *started, double *finished) {           \
        return simulate(RULE, n, workers, arrival, service, seed, worker, started, finished);      \
    }

POLICY(heap_rotation, ROTATION)
POLICY(heap_shortest, SHORTEST)
POLICY(heap_power_of_two, POWER_OF_TWO)
