// What there is to see at a time: no drawing here.
"use strict";

// Endings and happenings, as numbered in lbsim/engines/record.py and lbsim/plot/moving/stays.py.
const ANSWERED = 0, WASTED = 1, CRASHED = 2, REFUSED = 5, GAVE_UP = 6, LOST = 8;
const CRASH = 0, NOTICED = 1, UP = 2, LEAVING = 3, HANG = 4, RESUME = 5, SPEED = 6, STOPPED = 7;

// Undo the differences and the packing; times become ticks since the window's begin.
function unpack(panel) {
  const given = panel.rows, n = given.since.length;
  const rows = [];
  const arrival = new Map();
  let since = 0, request = 0;
  for (let i = 0; i < n; i++) {
    since += given.since[i];
    request += given.request[i];
    const held = given.held[i], queued = given.queued[i], whole = given.whole[i];
    const sent = since + (held < 0 ? Infinity : held);
    const row = {
      since, request,
      copy: given.copy ? given.copy[i] : 0,
      worker: given.worker[i], size: given.size[i], ending: given.ending[i],
      sent, started: queued < 0 ? Infinity : sent + queued,
      ended: whole < 0 ? Infinity : since + whole,
      gone: given.gone && given.gone[i] >= 0 ? since + given.gone[i] : Infinity,
    };
    if (!arrival.has(request)) arrival.set(request, since);
    row.arrival = arrival.get(request);
    row.key = request * 64 + row.copy;
    rows.push(row);
  }
  // A copy that comes back from a dead worker, or is sent again, is marked.
  const met = new Set();
  for (const row of rows) {
    row.again = row.copy > 0 || met.has(row.key);
    met.add(row.key);
  }
  return rows;
}

// How many wait, over time: [ticks, counts], constant between.
function waitingPath(rows) {
  const steps = [];
  for (const row of rows) {
    steps.push([row.since, 1]);
    const until = Math.min(row.started, row.ended);
    if (until < Infinity) steps.push([until, -1]);
  }
  steps.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const times = [], counts = [];
  let count = 0;
  for (const [time, step] of steps) {
    count += step;
    if (times.length && times[times.length - 1] === time) counts[counts.length - 1] = count;
    else { times.push(time); counts.push(count); }
  }
  return { times, counts };
}

// Times at which something changes, for going step by step.
function moments(panels) {
  const all = new Set();
  for (const panel of panels) {
    for (const row of panel.rows) {
      for (const time of [row.since, row.sent, row.started, row.ended]) {
        if (time >= 0 && time < Infinity) all.add(time);
      }
    }
    for (const event of panel.events) if (event[0] >= 0) all.add(event[0]);
  }
  return [...all].sort((a, b) => a - b);
}

// The state of each worker at a time: status, since when, speed.
function workersAt(panel, t) {
  const workers = panel.speeds.map((speed) => ({ status: "up", since: 0, speed, usual: speed }));
  for (const [time, what, worker, value] of panel.events) {
    if (time > t) break;
    const w = workers[worker];
    if (what === SPEED) { w.speed = value; continue; }
    w.since = time;
    if (what === CRASH || what === STOPPED) w.status = what === CRASH ? "down" : "restarts";
    else if (what === NOTICED) w.status = w.status === "up" ? "up" : "restarts";
    else if (what === UP || what === RESUME) w.status = "up";
    else if (what === LEAVING) w.status = "leaving";
    else if (what === HANG) w.status = "hangs";
  }
  return workers;
}

// Everything there is to see at time t; `after` is for how long what has ended is still seen.
function stateAt(panel, t, after) {
  const n = panel.workers;
  const state = {
    held: [], queues: Array.from({ length: n }, () => []),
    service: Array.from({ length: n }, () => []), ended: [],
    answered: 0, failed: 0, slowest: 0, waiting: 0, workers: workersAt(panel, t),
  };
  for (const row of panel.rows) {
    if (row.since > t) break;
    if (row.ended <= t) {
      if (row.ending === ANSWERED) {
        state.answered += 1;
        state.slowest = Math.max(state.slowest, row.ended - row.arrival);
      } else if (row.ending === REFUSED || row.ending === GAVE_UP || row.ending === LOST) {
        state.failed += 1;
      } else if (row.ending === WASTED) {
        state.failed += row.gone < Infinity ? 1 : 0;
      }
      if (t - row.ended < after) state.ended.push(row);
    } else if (row.started <= t) state.service[row.worker].push(row);
    else if (row.sent <= t) state.queues[row.worker].push(row);
    else state.held.push(row);
  }
  // Who goes next stands first: what will happen is known.
  const next = (a, b) => a.started - b.started || a.sent - b.sent || a.since - b.since;
  for (const queue of state.queues) {
    queue.sort(next);
    state.waiting += queue.length;
  }
  state.held.sort((a, b) => a.sent - b.sent || a.since - b.since);
  for (const busy of state.service) busy.sort((a, b) => a.started - b.started);
  state.waiting += state.held.length;
  return state;
}
