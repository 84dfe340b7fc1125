/* Every feature on, with an event heap: a master that costs time, a central queue with priorities,
   bounded slots, clients that give up and try again, workers that crash and are restarted.

   The rules are the lab's (first come, first served workers at speed 1, policy `CentralQueue`,
   `Client(take_back="held")`, no hedging, no sessions), so that every row can be compared with
   its own: the same worker, the same finish, the same outcome. A ticket is one try of a request:
   row * tries + try. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FAULT, UP, COMPLETION, TURN, TIMEOUT, RETRY, MASTER, ARRIVAL }; /* order at one instant */
enum { OK, SHED, LOST, TIMED_OUT, UNFINISHED };
enum { ANSWERED, WASTED, CRASHED, TAKEN_BACK, OPEN };
enum { ACCEPT, HAND_OVER };

#define NONE (-1)
#define PRIORITIES 8
#define QUEUE 16 /* the most slots a worker may have; a power of two */

typedef struct {
    double accept_s, dispatch_s, timeout_s, backoff_s, detect_s, restart_s, restart_factor,
        restart_limit_s, healthy_s;
    int64_t slots, tries, max_attempts, n_faults;
} Settings;

typedef struct {
    double time;
    uint64_t key; /* kind, worker, ticket */
} Event;

typedef struct { /* a doubly linked list of tickets, in order of serial number */
    int64_t first, last;
} Line;

typedef struct {
    int64_t next, previous, serial, handover; /* handover: number of the last one */
    int32_t attempts;
    int16_t at; /* the worker that has it, or NONE */
    uint8_t held, wanted, accepting, handing;
} Ticket;

typedef struct {
    int64_t queue[QUEUE], serving;
    uint32_t first, end; /* of the queue */
    int64_t has;         /* what the master believes, handovers under way included */
    Line given;
    double born, ends; /* the present life, the present service */
    int32_t failures;
    uint8_t alive, up;
} Worker;

typedef struct {
    int64_t ticket, worker;
    double dispatched, started, ended;
    int8_t ending;
} Handover;

typedef struct {
    int64_t ticket, handover;
    int8_t kind;
} Job;

typedef struct {
    const Settings *is;
    int64_t n, workers;
    const double *arrival, *service;
    const int64_t *priority;
    double now;
    Event *heap;
    int64_t size, room;
    Ticket *tickets;
    Worker *worker;
    Line held[PRIORITIES];
    int64_t n_held, next_serial, front_serial, n_up, cursor;
    int16_t *up;
    Job *jobs; /* a ring that grows at both ends */
    int64_t first_job, n_jobs, job_room;
    int master_busy;
    Handover *handovers;
    int64_t n_handovers, handover_room;
    int32_t *tries; /* the present try of each open request, NONE when it is closed */
    double *finished;
    int8_t *outcome;
    int64_t *answer;
} Lab;

/* --- events ------------------------------------------------------------------------------- */

static inline int before(Event a, Event b) {
    return a.time < b.time || (a.time == b.time && a.key < b.key);
}

static void schedule(Lab *lab, double time, uint64_t kind, uint64_t worker, uint64_t ticket) {
    if (lab->size == lab->room)
        lab->heap = realloc(lab->heap, (lab->room *= 2) * sizeof *lab->heap);
    Event event = {time, kind << 60 | worker << 44 | ticket};
    int64_t at = lab->size++;
    while (at > 0) {
        int64_t parent = (at - 1) / 4;
        if (!before(event, lab->heap[parent])) break;
        lab->heap[at] = lab->heap[parent];
        at = parent;
    }
    lab->heap[at] = event;
}

static Event pop(Lab *lab) {
    Event *heap = lab->heap, top = heap[0], event = heap[--lab->size];
    int64_t size = lab->size, at = 0;
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
    return top;
}

/* --- lists -------------------------------------------------------------------------------- */

/* Insert in order of serial; most come last. */
static void insert(Lab *lab, Line *line, int64_t ticket) {
    Ticket *all = lab->tickets;
    int64_t after = line->last;
    while (after != NONE && all[after].serial > all[ticket].serial) after = all[after].previous;
    int64_t following = after == NONE ? line->first : all[after].next;
    all[ticket].previous = after;
    all[ticket].next = following;
    *(after == NONE ? &line->first : &all[after].next) = ticket;
    *(following == NONE ? &line->last : &all[following].previous) = ticket;
}

static void append(Lab *lab, Line *line, int64_t ticket) {
    Ticket *all = lab->tickets;
    all[ticket].previous = line->last;
    all[ticket].next = NONE;
    *(line->last == NONE ? &line->first : &all[line->last].next) = ticket;
    line->last = ticket;
}

static void unlink_ticket(Lab *lab, Line *line, int64_t ticket) {
    Ticket *all = lab->tickets, *it = all + ticket;
    *(it->previous == NONE ? &line->first : &all[it->previous].next) = it->next;
    *(it->next == NONE ? &line->last : &all[it->next].previous) = it->previous;
}

static Line *line_of(Lab *lab, int64_t ticket) {
    return &lab->held[lab->priority[ticket / lab->is->tries]];
}

/* --- the master --------------------------------------------------------------------------- */

static void failed(Lab *lab, int64_t ticket, int outcome);
static int answered(Lab *lab, int64_t ticket);
static void begin_service(Lab *lab, int64_t w);

static int is_open(const Lab *lab, int64_t w) {
    return lab->worker[w].up && lab->worker[w].has < lab->is->slots;
}

static void add_job(Lab *lab, int kind, int64_t ticket, int64_t handover, int at_front) {
    if (lab->n_jobs == lab->job_room) {
        Job *bigger = malloc(2 * lab->job_room * sizeof *bigger);
        for (int64_t i = 0; i < lab->n_jobs; i++)
            bigger[i] = lab->jobs[(lab->first_job + i) & (lab->job_room - 1)];
        free(lab->jobs);
        lab->jobs = bigger;
        lab->first_job = 0;
        lab->job_room *= 2;
    }
    int64_t at = at_front ? --lab->first_job : lab->first_job + lab->n_jobs;
    lab->jobs[at & (lab->job_room - 1)] = (Job){ticket, handover, kind};
    lab->n_jobs++;
}

static void work(Lab *lab) {
    if (lab->master_busy || lab->n_jobs == 0) return;
    Job job = lab->jobs[lab->first_job & (lab->job_room - 1)];
    lab->master_busy = 1;
    schedule(lab, lab->now + (job.kind == ACCEPT ? lab->is->accept_s : lab->is->dispatch_s),
             MASTER, 0, job.ticket);
}

static void hand_over(Lab *lab, int64_t w, int64_t ticket, int at_once) {
    Ticket *it = &lab->tickets[ticket];
    if (lab->n_handovers == lab->handover_room)
        lab->handovers =
            realloc(lab->handovers, (lab->handover_room *= 2) * sizeof *lab->handovers);
    it->handover = lab->n_handovers++;
    lab->handovers[it->handover] = (Handover){ticket, w, NAN, NAN, NAN, OPEN};
    it->handing = 1;
    add_job(lab, HAND_OVER, ticket, it->handover, at_once);
    work(lab);
}

static void ended(Lab *lab, int64_t ticket, int ending) {
    Handover *row = &lab->handovers[lab->tickets[ticket].handover];
    if (row->ending != OPEN) return;
    row->ended = lab->now;
    row->ending = ending;
}

static void give(Lab *lab, int64_t w, int64_t ticket) { /* what the dispatcher decides */
    Ticket *it = &lab->tickets[ticket];
    it->at = w;
    it->attempts++;
    append(lab, &lab->worker[w].given, ticket);
    lab->worker[w].has++;
}

static void take_away(Lab *lab, int64_t w, int64_t ticket) {
    unlink_ticket(lab, &lab->worker[w].given, ticket);
    lab->tickets[ticket].at = NONE;
    lab->worker[w].has--;
}

static void unhold(Lab *lab, int64_t ticket) {
    unlink_ticket(lab, line_of(lab, ticket), ticket);
    lab->tickets[ticket].held = 0;
    lab->n_held--;
}

/* Hand held tickets to a worker until it has enough. */
static void pull(Lab *lab, int64_t w) {
    while (lab->n_held > 0 && is_open(lab, w)) {
        int p = 0;
        while (lab->held[p].first == NONE) p++;
        int64_t ticket = lab->held[p].first;
        unhold(lab, ticket);
        give(lab, w, ticket);
        hand_over(lab, w, ticket, 0);
    }
}

/* The central queue: the next open worker in turn, or hold. */
static void assign(Lab *lab, int64_t ticket, int at_once) {
    for (int64_t step = 0, at = lab->cursor; step < lab->n_up; step++, at++) {
        if (at >= lab->n_up) at %= lab->n_up;
        int64_t w = lab->up[at];
        if (lab->worker[w].has < lab->is->slots) {
            lab->cursor = at + 1 == lab->n_up ? 0 : at + 1;
            give(lab, w, ticket);
            hand_over(lab, w, ticket, at_once);
            return;
        }
    }
    insert(lab, line_of(lab, ticket), ticket);
    lab->tickets[ticket].held = 1;
    lab->n_held++;
}

static void master_done(Lab *lab) {
    Job job = lab->jobs[lab->first_job++ & (lab->job_room - 1)];
    Ticket *it = &lab->tickets[job.ticket];
    lab->n_jobs--;
    lab->master_busy = 0;
    if (job.kind == ACCEPT) {
        if (it->accepting) { /* otherwise its client has closed the connection */
            it->accepting = 0;
            it->serial = lab->next_serial++;
            assign(lab, job.ticket, 1);
        }
    } else if (it->handing && it->handover == job.handover) {
        it->handing = 0;
        lab->handovers[job.handover].dispatched = lab->now;
        Worker *worker = &lab->worker[it->at];
        if (worker->alive) { /* a dead worker's channel swallows it */
            worker->queue[worker->end++ % QUEUE] = job.ticket;
            begin_service(lab, it->at);
        }
    }
    work(lab);
}

static void take_back(Lab *lab, int64_t ticket) {
    Ticket *it = &lab->tickets[ticket];
    if (it->accepting) {
        it->accepting = 0;
    } else if (it->held) {
        unhold(lab, ticket);
    } else if (it->at != NONE && it->handing) {
        int64_t w = it->at;
        it->handing = 0;
        ended(lab, ticket, TAKEN_BACK);
        take_away(lab, w, ticket);
        pull(lab, w);
        begin_service(lab, w);
    }
}

static void worker_down(Lab *lab, int64_t w) {
    Worker *worker = &lab->worker[w];
    if (worker->up) {
        int64_t at = 0;
        while (lab->up[at] != w) at++;
        for (lab->n_up--; at < lab->n_up; at++) lab->up[at] = lab->up[at + 1];
        worker->up = 0;
    }
    int64_t found[QUEUE], count = 0;
    while (worker->given.first != NONE) {
        int64_t ticket = worker->given.first, place = count++;
        take_away(lab, w, ticket);
        for (; place > 0 && lab->tickets[found[place - 1]].serial > lab->tickets[ticket].serial;
             place--)
            found[place] = found[place - 1];
        found[place] = ticket;
    }
    lab->front_serial -= count;
    for (int64_t i = 0; i < count; i++) lab->tickets[found[i]].serial = lab->front_serial + i;
    for (int64_t i = 0; i < count; i++) {
        Ticket *it = &lab->tickets[found[i]];
        ended(lab, found[i], CRASHED);
        it->handing = 0;
        if (!it->wanted) continue;
        if (it->attempts >= lab->is->max_attempts)
            failed(lab, found[i], LOST);
        else
            assign(lab, found[i], 0);
    }
}

static void worker_up(Lab *lab, int64_t w) {
    Worker *worker = &lab->worker[w];
    worker->born = lab->now;
    worker->alive = 1;
    if (!worker->up) {
        int64_t at = lab->n_up++;
        for (; at > 0 && lab->up[at - 1] > w; at--) lab->up[at] = lab->up[at - 1];
        lab->up[at] = w;
        worker->up = 1;
    }
    pull(lab, w);
}

/* --- workers ------------------------------------------------------------------------------ */

static void begin_service(Lab *lab, int64_t w) {
    Worker *worker = &lab->worker[w];
    while (worker->alive && worker->serving == NONE && worker->first != worker->end) {
        int64_t ticket = worker->queue[worker->first++ % QUEUE];
        lab->handovers[lab->tickets[ticket].handover].started = lab->now;
        worker->serving = ticket;
        worker->ends = lab->now + lab->service[ticket / lab->is->tries];
        schedule(lab, worker->ends, COMPLETION, w, ticket);
        pull(lab, w);
    }
}

static void completed(Lab *lab, int64_t w, int64_t ticket) {
    lab->worker[w].serving = NONE;
    ended(lab, ticket, answered(lab, ticket) ? ANSWERED : WASTED);
    take_away(lab, w, ticket);
    pull(lab, w);
    begin_service(lab, w);
}

static void crash(Lab *lab, int64_t w) {
    Worker *worker = &lab->worker[w];
    if (!worker->alive) return;
    if (worker->serving != NONE) ended(lab, worker->serving, CRASHED);
    while (worker->first != worker->end)
        ended(lab, worker->queue[worker->first++ % QUEUE], CRASHED);
    worker->serving = NONE;
    worker->alive = 0;
    if (lab->now - worker->born >= lab->is->healthy_s) worker->failures = 0;
    schedule(lab, lab->now + lab->is->detect_s, FAULT, w, lab->is->n_faults);
}

static void notice(Lab *lab, int64_t w) {
    double delay = lab->is->restart_s;
    for (int k = 0; k < lab->worker[w].failures && delay < lab->is->restart_limit_s; k++)
        delay *= lab->is->restart_factor;
    if (delay > lab->is->restart_limit_s) delay = lab->is->restart_limit_s;
    lab->worker[w].failures++;
    schedule(lab, lab->now + delay, UP, w, 0);
    worker_down(lab, w);
}

/* --- clients ------------------------------------------------------------------------------ */

static void try_request(Lab *lab, int64_t row, int32_t number) {
    int64_t ticket = row * lab->is->tries + number;
    lab->tries[row] = number;
    schedule(lab, lab->now + lab->is->timeout_s, TIMEOUT, 0, ticket);
    lab->tickets[ticket].wanted = 1;
    lab->tickets[ticket].accepting = 1;
    add_job(lab, ACCEPT, ticket, NONE, 0);
    work(lab);
}

static void close_request(Lab *lab, int64_t row, int outcome) {
    lab->tries[row] = NONE;
    lab->finished[row] = lab->now;
    lab->outcome[row] = outcome;
}

static void try_again(Lab *lab, int64_t row, int outcome) {
    int32_t number = lab->tries[row] + 1;
    if (number == lab->is->tries) {
        close_request(lab, row, outcome);
        return;
    }
    lab->tries[row] = number;
    double delay = lab->is->backoff_s;
    for (int32_t k = 1; k < number; k++) delay *= 2.0;
    schedule(lab, lab->now + delay, RETRY, 0, row * lab->is->tries + number);
}

static int answered(Lab *lab, int64_t ticket) {
    Ticket *it = &lab->tickets[ticket];
    if (!it->wanted) return 0;
    it->wanted = 0;
    lab->answer[ticket / lab->is->tries] = it->handover;
    close_request(lab, ticket / lab->is->tries, OK);
    return 1;
}

static void failed(Lab *lab, int64_t ticket, int outcome) {
    if (!lab->tickets[ticket].wanted) return;
    lab->tickets[ticket].wanted = 0;
    try_again(lab, ticket / lab->is->tries, outcome);
}

static void timed_out(Lab *lab, int64_t ticket) {
    int64_t row = ticket / lab->is->tries;
    if (lab->tries[row] != ticket % lab->is->tries) return;
    if (lab->tickets[ticket].wanted) {
        lab->tickets[ticket].wanted = 0;
        take_back(lab, ticket);
    }
    try_again(lab, row, TIMED_OUT);
}

/* --- the run ------------------------------------------------------------------------------ */

/* faults: when and which worker crashes, in order. Fills one row a request: the worker, start and
   finish of its answer (-1 and NaN without one, but the time at which its client gave up), and
   the outcome. Returns the number of handovers. */
int64_t features(const Settings *is, int64_t n, int64_t workers, const double *arrival,
                 const double *service, const int64_t *priority, const double *fault_time,
                 const int64_t *fault_worker, int64_t *worker_of, double *started, double *finished,
                 int8_t *outcome) {
    Lab it = {.is = is, .n = n, .workers = workers, .arrival = arrival, .service = service,
              .priority = priority, .room = 1024, .job_room = 1024, .handover_room = n + 1024,
              .finished = finished, .outcome = outcome}, *lab = &it;
    lab->heap = malloc(lab->room * sizeof *lab->heap);
    lab->jobs = malloc(lab->job_room * sizeof *lab->jobs);
    lab->handovers = malloc(lab->handover_room * sizeof *lab->handovers);
    lab->tickets = calloc(n * is->tries, sizeof *lab->tickets);
    for (int64_t i = 0; i < n * is->tries; i++) lab->tickets[i].at = NONE;
    lab->worker = calloc(workers, sizeof *lab->worker);
    lab->up = calloc(workers, sizeof *lab->up);
    lab->tries = malloc(n * sizeof *lab->tries);
    lab->answer = malloc(n * sizeof *lab->answer);
    memset(lab->tries, -1, n * sizeof *lab->tries);
    memset(lab->answer, -1, n * sizeof *lab->answer);
    for (int p = 0; p < PRIORITIES; p++) lab->held[p] = (Line){NONE, NONE};
    for (int64_t i = 0; i < n; i++) finished[i] = NAN, outcome[i] = UNFINISHED;
    for (int64_t w = 0; w < workers; w++) {
        lab->worker[w].serving = NONE;
        lab->worker[w].given = (Line){NONE, NONE};
        worker_up(lab, w);
    }
    int64_t row = 0, fault = 0;
    while (row < n || fault < is->n_faults || lab->size > 0) {
        Event event = {INFINITY, UINT64_MAX};
        if (lab->size > 0) event = lab->heap[0];
        Event coming = {row < n ? arrival[row] : INFINITY, (uint64_t)ARRIVAL << 60};
        if (fault < is->n_faults && fault_time[fault] <= event.time &&
            fault_time[fault] <= coming.time) {
            lab->now = fault_time[fault];
            crash(lab, fault_worker[fault++]);
            continue;
        }
        if (row < n && before(coming, event)) {
            lab->now = coming.time;
            try_request(lab, row++, 0);
            continue;
        }
        event = pop(lab);
        lab->now = event.time;
        int64_t w = event.key >> 44 & 0xffff, ticket = event.key & ((1ULL << 44) - 1);
        switch (event.key >> 60) {
        case FAULT:
            notice(lab, w);
            break;
        case UP:
            worker_up(lab, w);
            break;
        case COMPLETION: /* void if the worker has died since */
            if (lab->worker[w].serving == ticket && lab->worker[w].ends == lab->now)
                completed(lab, w, ticket);
            break;
        case TIMEOUT:
            timed_out(lab, ticket);
            break;
        case RETRY:
            try_request(lab, ticket / is->tries, ticket % is->tries);
            break;
        case MASTER:
            master_done(lab);
            break;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t number = lab->answer[i];
        worker_of[i] = number < 0 ? NONE : lab->handovers[number].worker;
        started[i] = number < 0 ? NAN : lab->handovers[number].started;
    }
    int64_t handovers = lab->n_handovers;
    free(lab->heap);
    free(lab->jobs);
    free(lab->handovers);
    free(lab->tickets);
    free(lab->worker);
    free(lab->up);
    free(lab->tries);
    free(lab->answer);
    return handovers;
}
