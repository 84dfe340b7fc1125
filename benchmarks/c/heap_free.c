/* First come, first served workers without an event queue.

   When a request is dispatched to such a worker its departure is known: it begins when the worker
   is free of all it was given before (Lindley 1952). So nothing has to be scheduled. A policy that
   looks at requests in flight needs the departures that have passed taken off first: each worker
   keeps its departures in a ring, and they are purged when somebody looks.

   Every function fills one row a request (worker, start, finish) and returns 0, or -1 if a worker
   had more requests than its ring can hold. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "chance.h"

#define RING 512          /* departures a worker's ring holds; a power of two */
#define STRIDE (RING + 8) /* so that the rings do not compete for the same lines of the cache */

/* Rotation: worker i mod w. The workers' recursions are independent, so that they fill vectors. */
#define ROTATE(WORKERS)                                                                            \
    double idle[WORKERS] = {0.0};                                                                  \
    for (; i + (WORKERS) <= n; i += (WORKERS))                                                     \
        for (int w = 0; w < (WORKERS); w++) {                                                      \
            double begin = arrival[i + w] > idle[w] ? arrival[i + w] : idle[w];                    \
            idle[w] = begin + service[i + w];                                                      \
            worker[i + w] = w;                                                                     \
            started[i + w] = begin;                                                                \
            finished[i + w] = idle[w];                                                             \
        }                                                                                          \
    for (int w = 0; i < n; i++, w++) {                                                             \
        started[i] = arrival[i] > idle[w] ? arrival[i] : idle[w];                                  \
        finished[i] = started[i] + service[i];                                                     \
        worker[i] = w;                                                                             \
    }

int rotation(int64_t n, int64_t workers, const double *restrict arrival,
             const double *restrict service, const uint64_t *seed, int64_t *restrict worker,
             double *restrict started, double *restrict finished) {
    int64_t i = 0;
    (void)seed;
    if (workers == 16) {
        ROTATE(16)
        return 0;
    }
    double *idle = calloc(workers, sizeof *idle);
    for (int64_t w = 0; i < n; i++) {
        started[i] = arrival[i] > idle[w] ? arrival[i] : idle[w];
        finished[i] = idle[w] = started[i] + service[i];
        worker[i] = w;
        if (++w == workers) w = 0;
    }
    free(idle);
    return 0;
}

/* The departures of one worker. */
typedef struct {
    uint32_t first, end; /* counted on without wrapping; their difference is what is in flight */
} Ends;

/* Power of two choices: two different workers, the first drawn wins ties. */
int power_of_two(int64_t n, int64_t workers, const double *restrict arrival,
                 const double *restrict service, const uint64_t *seed, int64_t *restrict worker,
                 double *restrict started, double *restrict finished) {
    Chance chance = chance_of(seed);
    double *ring = malloc(workers * STRIDE * sizeof *ring);
    Ends *ends = calloc(workers, sizeof *ends);
    double *idle = calloc(workers, sizeof *idle);
    int failed = 0;
    for (int64_t i = 0; i < n; i++) {
        double now = arrival[i];
        int64_t a = (int64_t)(uniform(&chance) * workers);
        int64_t b = (int64_t)(uniform(&chance) * (workers - 1));
        b += b >= a;
        Ends *at_a = ends + a, *at_b = ends + b;
        while (at_a->first != at_a->end && ring[a * STRIDE + at_a->first % RING] <= now)
            at_a->first++;
        while (at_b->first != at_b->end && ring[b * STRIDE + at_b->first % RING] <= now)
            at_b->first++;
        int64_t w = at_b->end - at_b->first < at_a->end - at_a->first ? b : a;
        double begin = now > idle[w] ? now : idle[w];
        double finish = idle[w] = begin + service[i];
        if (ends[w].end - ends[w].first == RING) {
            failed = -1;
            break;
        }
        ring[w * STRIDE + ends[w].end++ % RING] = finish;
        worker[i] = w;
        started[i] = begin;
        finished[i] = finish;
    }
    free(ring);
    free(ends);
    free(idle);
    return failed;
}

/* --- join the shortest queue ---------------------------------------------------------------

   At most 64 workers: those with k requests in flight are the bits of one word, so that the choice
   is a rotation and a count of zeros. Which workers have a departure behind them is asked of all
   at once where the processor compares eight numbers at a time. */

#ifdef __AVX512F__
/* The workers whose next departure is over. */
static inline uint64_t past(const double *due, int lanes, double now) {
    uint64_t bits = 0;
    for (int at = 0; at < lanes; at += 8)
        bits |= (uint64_t)_mm512_cmp_pd_mask(_mm512_load_pd(due + at), _mm512_set1_pd(now),
                                             _CMP_LE_OQ) << at;
    return bits;
}

/* A whole vector is written, since it is soon read as a whole: a narrower write would stall it. */
static inline void set_due(double *due, int w, double time) {
    double *lane = due + (w & ~7);
    _mm512_store_pd(lane, _mm512_mask_mov_pd(_mm512_load_pd(lane), 1 << (w & 7),
                                             _mm512_set1_pd(time)));
}
#else
static inline uint64_t past(const double *due, int lanes, double now) {
    uint64_t bits = 0;
    for (int w = 0; w < lanes; w++) bits |= (uint64_t)(due[w] <= now) << w;
    return bits;
}

static inline void set_due(double *due, int w, double time) { due[w] = time; }
#endif

/* Ties go to the first at or after `next`, cyclically. */
static inline __attribute__((always_inline)) int
shortest(int64_t n, int workers, const double *restrict arrival, const double *restrict service,
         int64_t *restrict worker, double *restrict started, double *restrict finished) {
    _Alignas(64) double due[64]; /* the next departure of each worker */
    double idle[64] = {0.0};     /* the last one */
    Ends ends[64] = {{0, 0}};
    uint64_t level[RING + 2] = {0}; /* the workers with so many requests in flight */
    double *ring = malloc(workers * STRIDE * sizeof *ring);
    int lanes = (workers + 7) / 8 * 8, next = 0, least = 0, failed = 0;
    for (int w = 0; w < 64; w++) due[w] = INFINITY;
    level[0] = workers == 64 ? ~0ULL : (1ULL << workers) - 1;
    for (int64_t i = 0; i < n; i++) {
        double now = arrival[i];
        uint64_t gone = past(due, lanes, now);
        while (gone) {
            int w = __builtin_ctzll(gone);
            uint32_t had = ends[w].end - ends[w].first++;
            double after = had > 1 ? ring[w * STRIDE + ends[w].first % RING] : INFINITY;
            set_due(due, w, after);
            level[had] ^= 1ULL << w;
            level[had - 1] |= 1ULL << w;
            least = (int)had - 1 < least ? (int)had - 1 : least;
            if (after > now) gone &= gone - 1;
        }
        while (!level[least]) least++;
        uint64_t later = level[least] & (~0ULL << next);
        int w = __builtin_ctzll(later ? later : level[least]);
        next = w + 1 == workers ? 0 : w + 1;
        double begin = now > idle[w] ? now : idle[w];
        double finish = idle[w] = begin + service[i];
        if (least == RING) {
            failed = -1;
            break;
        }
        if (least == 0) set_due(due, w, finish);
        level[least] ^= 1ULL << w;
        level[least + 1] |= 1ULL << w;
        ring[w * STRIDE + ends[w].end++ % RING] = finish;
        worker[i] = w;
        started[i] = begin;
        finished[i] = finish;
    }
    free(ring);
    return failed;
}

int join_shortest(int64_t n, int64_t workers, const double *restrict arrival,
                  const double *restrict service, const uint64_t *seed, int64_t *restrict worker,
                  double *restrict started, double *restrict finished) {
    (void)seed;
    if (workers > 64) return -1;
    if (workers == 16) return shortest(n, 16, arrival, service, worker, started, finished);
    return shortest(n, workers, arrival, service, worker, started, finished);
}
