/* Join the shortest queue among very many workers, without looking at all of them.

   Departures are known when a request is dispatched (see heap_free.c) and wait in a timing wheel
   (Varghese and Lauck 1987): a request is linked into the slot of its departure, and one that is
   due in a later turn of the wheel stays in its slot. Workers with k requests in flight are bits
   of level k; a second bitset says which words of the first are not empty, so that the first such
   worker at or after a given one is a few instructions away. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS 4096

typedef struct {
    int64_t words, groups;
    uint64_t *bits, *summary;
} Level;

static void put(Level *level, int64_t w) {
    level->bits[w >> 6] |= 1ULL << (w & 63);
    level->summary[w >> 12] |= 1ULL << ((w >> 6) & 63);
}

static int take(Level *level, int64_t w) { /* returns whether the word is now empty */
    uint64_t rest = level->bits[w >> 6] &= ~(1ULL << (w & 63));
    if (rest == 0) level->summary[w >> 12] &= ~(1ULL << ((w >> 6) & 63));
    return rest == 0;
}

/* The first worker of a level at or after `from`, or -1. */
static int64_t first_from(const Level *level, int64_t from) {
    int64_t word = from >> 6;
    if (word >= level->words) return -1;
    uint64_t here = level->bits[word] & (~0ULL << (from & 63));
    if (here) return (word << 6) + __builtin_ctzll(here);
    word++;
    int64_t group = word >> 6;
    if (group >= level->groups) return -1;
    uint64_t some = level->summary[group] & (~0ULL << (word & 63));
    while (!some) {
        if (++group >= level->groups) return -1;
        some = level->summary[group];
    }
    word = (group << 6) + __builtin_ctzll(some);
    return (word << 6) + __builtin_ctzll(level->bits[word]);
}

int indexed_shortest(int64_t n, int64_t workers, const double *restrict arrival,
                     const double *restrict service, const uint64_t *seed,
                     int64_t *restrict worker, double *restrict started,
                     double *restrict finished) {
    (void)seed;
    Level *levels = calloc(LEVELS, sizeof *levels);
    int64_t *population = calloc(LEVELS, sizeof *population);
    int32_t *load = calloc(workers, sizeof *load);
    double *idle = calloc(workers, sizeof *idle);
    int64_t words = (workers + 63) / 64, groups = (words + 63) / 64;
    int64_t slots = 1024; /* about one departure a slot, and a turn of about 8 mean services */
    while (slots < 8 * workers) slots *= 2;
    double mean_gap = (arrival[n - 1] - arrival[0]) / (n > 1 ? n - 1 : 1);
    double per_slot = mean_gap > 0.0 ? 1.0 / mean_gap : 1.0;
    int32_t *wheel = malloc(slots * sizeof *wheel); /* the first request of each slot, or -1 */
    int32_t *link = malloc(n * sizeof *link);
    memset(wheel, -1, slots * sizeof *wheel);
    int64_t hand = 0, next = 0, least = 0; /* all slots before `hand` have been emptied */
    int failed = 0;
    for (int k = 0; k < LEVELS; k++) levels[k].words = words, levels[k].groups = groups;
    levels[0].bits = calloc(words, 8);
    levels[0].summary = calloc(groups, 8);
    for (int64_t w = 0; w < workers; w++) put(&levels[0], w);
    population[0] = workers;
    for (int64_t i = 0; i < n; i++) {
        double now = arrival[i];
        int64_t present = (int64_t)(now * per_slot);
        /* A wheel that stood still for more than a turn looks at each slot once. */
        if (present - hand > slots) hand = present - slots;
        for (; hand <= present; hand++) {
            int32_t *from = &wheel[hand & (slots - 1)];
            while (*from >= 0) {
                int32_t row = *from;
                if (finished[row] <= now) {
                    int64_t w = worker[row];
                    int32_t k = load[w]--;
                    take(&levels[k], w);
                    put(&levels[k - 1], w);
                    population[k]--;
                    population[k - 1]++;
                    if (k - 1 < least) least = k - 1;
                    *from = link[row];
                } else {
                    from = &link[row];
                }
            }
            if (hand == present) break; /* this slot gets more, and is looked at again */
        }
        while (population[least] == 0) least++;
        int64_t w = first_from(&levels[least], next);
        if (w < 0) w = first_from(&levels[least], 0);
        next = w + 1 == workers ? 0 : w + 1;
        if (least + 1 == LEVELS) {
            failed = -1;
            break;
        }
        Level *above = &levels[least + 1];
        if (!above->bits) {
            above->bits = calloc(words, 8);
            above->summary = calloc(groups, 8);
        }
        take(&levels[least], w);
        put(above, w);
        population[least]--;
        population[least + 1]++;
        load[w]++;
        double begin = now > idle[w] ? now : idle[w];
        double finish = idle[w] = begin + service[i];
        worker[i] = w;
        started[i] = begin;
        finished[i] = finish;
        int32_t *slot = &wheel[(int64_t)(finish * per_slot) & (slots - 1)];
        link[i] = *slot;
        *slot = (int32_t)i;
    }
    for (int k = 0; k < LEVELS; k++) {
        free(levels[k].bits);
        free(levels[k].summary);
    }
    free(levels);
    free(population);
    free(load);
    free(idle);
    free(wheel);
    free(link);
    return failed;
}
