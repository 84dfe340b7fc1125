/* NumPy's PCG64 (PCG XSL RR 128/64, O'Neill 2014), so that C draws what the lab draws. */
#ifndef CHANCE_H
#define CHANCE_H
#include <stdint.h>

typedef struct {
    unsigned __int128 state, increment;
} Chance;

/* words: the state and the increment, high word first, as NumPy's `bit_generator.state` has them */
static inline Chance chance_of(const uint64_t *words) {
    Chance c;
    c.state = ((unsigned __int128)words[0] << 64) | words[1];
    c.increment = ((unsigned __int128)words[2] << 64) | words[3];
    return c;
}

/* Uniform on [0, 1), the same number as `Generator.random()`. */
static inline double uniform(Chance *c) {
    const unsigned __int128 multiplier =
        ((unsigned __int128)0x2360ed051fc65da4ULL << 64) | 0x4385df649fccf645ULL;
    c->state = c->state * multiplier + c->increment;
    uint64_t word = (uint64_t)(c->state >> 64) ^ (uint64_t)c->state;
    unsigned turn = (unsigned)(c->state >> 122);
    word = (word >> turn) | (word << (-turn & 63));
    return (double)(word >> 11) * (1.0 / 9007199254740992.0);
}
#endif
