// Draws the state of one panel on its canvas.
"use strict";

// Light to dark (a part of matplotlib's inferno), so that it is read without telling hues apart.
const HEAT = ["#fbe7a1", "#f9a242", "#dd513a", "#932667", "#2d0b59"];
const INK = "#1a1a1a", FAINT = "#6b6b6b", LINE = "#c9c9c9", IDLE = "#eef6f1";
const PANEL = ["#0072b2", "#d55e00"]; // Okabe and Ito: the two policies
const FLIGHT = 35; // ms after which a dot has made 63 % of its way

const radius = (size) => 3 + size * 0.55;
const heat = (waited, steps) => HEAT[steps.filter((step) => waited >= step).length];

class Picture {
  constructor(canvas, panel, data) {
    this.canvas = canvas;
    this.panel = panel;
    this.data = data;
    this.places = new Map(); // where each dot was drawn last
    const n = panel.workers;
    this.rowHeight = n <= 8 ? 38 : n <= 16 ? 28 : 20;
    this.top = 22;
    this.height = this.top + Math.max(n * this.rowHeight, 5 * 38) + 4;
  }

  // Return the pen, after fitting the canvas to its box and the screen's resolution.
  pen() {
    const width = this.canvas.clientWidth || 600, ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(this.height * ratio);
      this.places.clear();
    }
    this.width = width;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, this.height);
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    return pen;
  }

  // Draw time t (ticks). `elapsed` ms since the last picture; 0 puts every dot in its place.
  draw(t, elapsed, after) {
    const pen = this.pen(), state = stateAt(this.panel, t, after);
    const seen = new Set();
    const frame = { pen, t, state, seen, ease: elapsed ? 1 - Math.exp(-elapsed / FLIGHT) : 1 };
    this.master(frame);
    for (let w = 0; w < this.panel.workers; w++) this.worker(frame, w);
    for (const row of state.ended) if (after > 0) this.leaves(frame, row, (t - row.ended) / after);
    for (const key of this.places.keys()) if (!seen.has(key)) this.places.delete(key);
    return state;
  }

  master({ pen, state, ...frame }) {
    const left = 26, width = 84, height = this.height - this.top - 4, cell = 14;
    text(pen, state.held.length ? `master holds ${state.held.length}` : "master", left, 10, { bold: true });
    box(pen, left, this.top, width, height, "#fafafa");
    text(pen, "▸", 6, this.top + height / 2, { size: 16, colour: FAINT });
    const perRow = Math.floor((width - 6) / cell), rows = Math.floor((height - 20) / cell);
    const shown = state.held.slice(0, perRow * rows);
    shown.forEach((row, i) => {
      const x = left + 10 + (i % perRow) * cell, y = this.top + 10 + Math.floor(i / perRow) * cell;
      this.dot({ pen, ...frame }, row, x, y);
    });
    const more = state.held.length - shown.length;
    if (more > 0) text(pen, `+ ${more} more`, left + 8, this.top + height - 8, {});
  }

  middle(w) {
    return this.top + (w + 0.5) * this.rowHeight;
  }

  worker(frame, w) {
    const { pen, state, t } = frame, h = this.rowHeight;
    const y = this.middle(w), worker = state.workers[w];
    const queue = state.queues[w], busy = state.service[w];
    const lanes = Math.min(Math.max(this.panel.places[w], 1), 3), lane = Math.min(h - 4, 30);
    const boxWidth = lanes * lane, right = this.width - 152, x = right - boxWidth, left = 130;
    const isUp = worker.status === "up";
    this.exit = right + 4;
    pen.strokeStyle = LINE;
    line(pen, left, y + h / 2 - 2, x - 3, y + h / 2 - 2);
    box(pen, x, y - h / 2 + 1, boxWidth, h - 4, isUp ? (busy.length ? "#fff" : IDLE) : "#e4e4e4");
    if (!isUp) hatch(pen, x, y - h / 2 + 1, boxWidth, h - 4);

    busy.slice(0, lanes).forEach((row, i) => {
      const cx = right - lane / 2 - i * lane;
      const done = row.ended < Infinity ? (t - row.started) / (row.ended - row.started) : 0;
      this.dot(frame, row, cx, y - 1, lane / 2 - 3);
      pen.strokeStyle = row.gone <= t ? FAINT : INK;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(cx, y - 1, Math.min(lane / 2 - 2, 12), -Math.PI / 2, (2 * done - 0.5) * Math.PI);
      pen.stroke();
      pen.lineWidth = 1;
    });
    const cell = 15, fits = Math.max(1, Math.floor((x - left - 40) / cell));
    queue.slice(0, fits).forEach((row, i) => this.dot(frame, row, x - 11 - i * cell, y - 1));
    const more = queue.length - fits;
    if (more > 0) text(pen, `+ ${more}`, x - 18 - fits * cell, y, { align: "right" });

    const said = [];
    if (busy.length > lanes) said.push(`serves ${busy.length}`);
    if (queue.length) said.push(`${queue.length} waiting`);
    const speed = worker.speed === worker.usual && worker.speed === 1 ? "" : ` ×${short(worker.speed)}`;
    if (isUp && !busy.length && !queue.length) said.push("idle");
    if (!isUp) said.unshift({ down: "✕ down", restarts: "✕ restarts", hangs: "‖ stands still", leaving: "leaving" }[worker.status]);
    const name = `worker ${w}${speed}`;
    if (h >= 28) {
      text(pen, name, right + 22, y - 7, { bold: true });
      text(pen, said.join(", "), right + 22, y + 7, { colour: isUp ? FAINT : INK, bold: !isUp });
    } else text(pen, [w + speed, ...said].join(" · "), right + 22, y, { bold: !isUp });
  }

  // A request: its area grows with its size, its colour darkens with the time it has waited.
  dot({ pen, t, seen, ease }, row, x, y, most = 9) {
    const place = this.places.get(row.key);
    const from = place || (ease < 1 ? { x: 8, y: this.top + (this.height - this.top) / 2 } : { x, y });
    const now = { x: from.x + (x - from.x) * ease, y: from.y + (y - from.y) * ease };
    this.places.set(row.key, now);
    seen.add(row.key);
    const waited = Math.min(t, row.started) - row.arrival;
    disc(pen, now.x, now.y, Math.min(radius(row.size), most), {
      fill: row.gone <= t ? "#fff" : heat(waited, this.data.steps),
      edge: row.gone <= t ? FAINT : INK, again: row.again, dashed: row.gone <= t,
    });
  }

  // What has just ended: an answer leaves to the right, a failure fades where it was.
  leaves({ pen, t, seen }, row, share) {
    if (seen.has(row.key)) return;
    // Where it was, not where its dot had come to: what is quick may be over in mid-flight.
    const atMaster = { x: 68, y: this.top + 12 };
    const place = row.worker < 0 ? atMaster : { x: this.exit, y: this.middle(row.worker) };
    pen.globalAlpha = 1 - share;
    if (row.ending === ANSWERED) {
      disc(pen, place.x + 9 * share, place.y, radius(row.size), {
        fill: heat(row.started - row.arrival, this.data.steps), edge: INK,
      });
    } else if (row.ending !== WASTED) {
      pen.strokeStyle = INK;
      pen.lineWidth = 2.5;
      line(pen, place.x - 5, place.y - 5, place.x + 5, place.y + 5);
      line(pen, place.x - 5, place.y + 5, place.x + 5, place.y - 5);
      pen.lineWidth = 1;
    }
    pen.globalAlpha = 1;
  }
}

function disc(pen, x, y, r, { fill, edge, again, dashed }) {
  pen.fillStyle = fill;
  pen.strokeStyle = edge;
  pen.setLineDash(dashed ? [2, 2] : []);
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.fill();
  pen.stroke();
  pen.setLineDash([]);
  if (!again) return;
  pen.fillStyle = "#fff";
  pen.beginPath();
  pen.arc(x, y, 2, 0, 2 * Math.PI);
  pen.fill();
  pen.stroke();
}

function box(pen, x, y, width, height, fill) {
  pen.fillStyle = fill;
  pen.strokeStyle = "#8a8a8a";
  pen.fillRect(x, y, width, height);
  pen.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
}

function hatch(pen, x, y, width, height) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.strokeStyle = "#8a8a8a";
  for (let d = -height; d < width; d += 6) line(pen, x + d, y + height, x + d + height, y);
  pen.restore();
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function text(pen, words, x, y, { bold = false, size = 12, colour = INK, align = "left" }) {
  pen.font = `${bold ? "600 " : ""}${size}px system-ui, sans-serif`;
  pen.fillStyle = colour;
  pen.textAlign = align;
  pen.fillText(words, x, y);
}

// A number with three digits at most.
function short(value) {
  return String(Number(value.toPrecision(3)));
}
