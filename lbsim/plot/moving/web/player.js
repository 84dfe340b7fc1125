// The controls: play, pause, step, scrub, speed; and what is said to those who do not see.
"use strict";

const FOLLOW = 20; // requests a second that an eye can follow
const PLAY_S = [20, 90]; // how long the whole may take at the speed one starts with
const SEEN_S = 0.4; // how long what has ended is still seen
const SAID_MS = 4000; // no more often than this is the state said aloud while it plays

class Player {
  constructor(root, data) {
    this.data = data;
    this.root = root;
    this.panels = data.panels.map((panel) => ({ ...panel, rows: unpack(panel) }));
    this.moments = moments(this.panels);
    this.paths = this.panels.map((panel) => waitingPath(panel.rows));
    this.t = 0;
    this.playing = false;
    this.said = 0;
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.find = (name) => root.querySelector(`[data-part="${name}"]`);
    this.pictures = this.panels.map((panel, i) => {
      const picture = new Picture(root.querySelectorAll("canvas.panel")[i], panel, data);
      picture.canvas.style.height = `${picture.height}px`;
      return picture;
    });
    this.speeds();
    this.listen();
    this.show(0);
    this.say();
    this.begin();
  }

  // Offer speeds in round numbers; one starts so that the requests can be followed.
  speeds() {
    const most = Math.max(...this.panels.map((panel) => panel.rows.length));
    const usual = (this.data.ticks * this.data.tick) / Math.min(Math.max(most / FOLLOW, PLAY_S[0]), PLAY_S[1]);
    const ladder = [];
    const power = Math.floor(Math.log10(usual));
    for (let p = power - 2; p <= power + 2; p++) for (const lead of [1, 2, 5]) ladder.push(lead * 10 ** p);
    const nearest = ladder.reduce((a, b) => (Math.abs(Math.log(b / usual)) < Math.abs(Math.log(a / usual)) ? b : a));
    const middle = ladder.indexOf(nearest), select = this.find("speed");
    for (const rate of ladder.slice(middle - 3, middle + 4)) {
      const name = rate >= 0.999 ? (rate < 1.5 ? "real time" : `${short(rate)} × faster`) : `${short(1 / rate)} × slower`;
      select.add(new Option(name, String(rate), rate === nearest, rate === nearest));
    }
    this.rate = () => Number(select.value) / this.data.tick; // ticks a second
  }

  listen() {
    this.find("play").onclick = () => this.toggle();
    this.find("back").onclick = () => this.step(-1);
    this.find("on").onclick = () => this.step(1);
    this.find("time").oninput = (event) => this.go(Number(event.target.value));
    this.find("time").onchange = () => this.say();
    const chart = this.find("chart");
    const scrub = (event) => {
      const area = chart.getBoundingClientRect();
      this.go(((event.clientX - area.left) / area.width) * this.data.ticks);
    };
    chart.onpointerdown = (event) => { chart.setPointerCapture(event.pointerId); scrub(event); };
    chart.onpointermove = (event) => { if (event.buttons) scrub(event); };
    chart.onpointerup = () => this.say();
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("resize", () => this.show(0));
  }

  key(event) {
    // Keys that the focused control understands itself stay its own.
    if (event.target.matches("select, summary") || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " " && event.target.matches("button")) return;
    const leap = this.data.ticks / (event.shiftKey ? 20 : 200);
    const act = {
      " ": () => this.toggle(), ArrowRight: () => this.go(this.t + leap), ArrowLeft: () => this.go(this.t - leap),
      Home: () => this.go(0), End: () => this.go(this.data.ticks), ".": () => this.step(1), ",": () => this.step(-1),
      ArrowUp: () => this.faster(1), ArrowDown: () => this.faster(-1),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    if (!this.playing) this.say();
  }

  faster(by) {
    const select = this.find("speed");
    select.selectedIndex = Math.min(Math.max(select.selectedIndex + by, 0), select.options.length - 1);
  }

  // Play by itself once it is on the screen, unless the reader's system asks for calm; halt
  // while it is out of sight.
  begin() {
    let due = !this.calm.matches;
    new IntersectionObserver((entries) => {
      const visible = entries[entries.length - 1].isIntersecting;
      if (visible && due) { due = false; this.toggle(true); }
      else if (!visible && this.playing) { due = true; this.toggle(false); }
    }, { threshold: 0.3 }).observe(this.root);
  }

  toggle(playing = !this.playing) {
    if (playing && this.t >= this.data.ticks) this.t = 0;
    this.playing = playing;
    this.find("play").textContent = playing ? "❚❚ pause" : "▶ play";
    this.last = undefined;
    if (playing) requestAnimationFrame((now) => this.tick(now));
    else this.say();
  }

  tick(now) {
    if (!this.playing) return;
    const elapsed = this.last === undefined ? 0 : now - this.last;
    // Calm: a still picture a second instead of motion.
    if (!this.calm.matches || this.last === undefined || elapsed >= 1000) {
      this.last = now;
      // A tab that slept must not leap.
      this.t = Math.min(this.t + (this.rate() * Math.min(elapsed, this.calm.matches ? 1000 : 100)) / 1000, this.data.ticks);
      this.show(this.calm.matches ? 0 : elapsed);
      if (now - this.said > SAID_MS) { this.said = now; this.say(); }
      if (this.t >= this.data.ticks) { this.toggle(false); return; }
    }
    requestAnimationFrame((later) => this.tick(later));
  }

  go(t) {
    this.t = Math.min(Math.max(t, 0), this.data.ticks);
    this.show(0);
  }

  // Go to the next (or last) moment at which something changes, and stay there.
  step(by) {
    if (this.playing) this.toggle(false);
    const after = this.moments.findIndex((time) => time > this.t);
    const next = after < 0 ? this.moments.length : after;
    const here = next > 0 && this.moments[next - 1] === this.t ? next - 1 : next - 0.5;
    const goal = this.moments[Math.min(Math.max(by > 0 ? Math.floor(here) + 1 : Math.ceil(here) - 1, 0), this.moments.length - 1)];
    if (goal !== undefined) this.go(goal);
    this.say();
  }

  show(elapsed) {
    const after = elapsed ? this.rate() * SEEN_S : 0;
    this.states = this.pictures.map((picture) => picture.draw(this.t, elapsed, after));
    this.states.forEach((state, i) => {
      this.find(`count-${i}`).textContent = this.figures(state).join(" · ");
    });
    this.find("clock").textContent = this.clock(this.t);
    const time = this.find("time");
    time.value = String(this.t);
    time.setAttribute("aria-valuetext", this.clock(this.t));
    drawChart(this.find("chart"), this.panels, this.paths, this.t, this.data.ticks);
  }

  figures(state) {
    const said = [`${state.waiting} waiting`, `${state.answered} answered`];
    if (state.failed) said.push(`${state.failed} given up or lost`);
    if (state.answered) said.push(`slowest so far ${duration(state.slowest * this.data.tick)}`);
    return said;
  }

  clock(t) {
    const digits = Math.max(0, 2 - Math.floor(Math.log10(this.data.ticks * this.data.tick / 10)));
    return `${(this.data.begin + t * this.data.tick).toFixed(Math.min(digits, 7))} s`;
  }

  say() {
    const said = this.states.map((state, i) => {
      const down = state.workers.flatMap((worker, w) => (worker.status === "up" ? [] : [`worker ${w} ${worker.status}`]));
      const idle = state.service.filter((busy, w) => !busy.length && state.workers[w].status === "up").length;
      return `${this.panels[i].label}: ${[...this.figures(state), `${idle} idle`, ...down].join(", ")}.`;
    });
    this.find("status").textContent = `${this.clock(this.t)}. ${said.join(" ")}`;
  }
}

// The number waiting over the whole window, with the place where we are.
function drawChart(canvas, panels, paths, t, ticks) {
  const width = canvas.clientWidth || 600, height = 64, ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = height * ratio; }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.textBaseline = "middle";
  const most = Math.max(1, ...paths.map((path) => path.counts.reduce((a, b) => Math.max(a, b), 0)));
  const y = (count) => height - 3 - (count / most) * (height - 18);
  paths.forEach((path, i) => {
    // Of the counts that fall into one column the largest is drawn: no peak is lost.
    const columns = new Float64Array(Math.ceil(width) + 1).fill(-1);
    let count = 0, column = 0;
    path.times.forEach((time, k) => {
      const x = Math.min(Math.max(Math.floor((time / ticks) * width), 0), columns.length - 1);
      for (; column < x; column++) columns[column] = Math.max(columns[column], count);
      count = path.counts[k];
      columns[x] = Math.max(columns[x], count);
    });
    for (; column < columns.length; column++) columns[column] = Math.max(columns[column], count);
    pen.strokeStyle = PANEL[i];
    pen.lineWidth = 1.5;
    pen.setLineDash(i ? [5, 2] : []);
    pen.beginPath();
    columns.forEach((value, x) => pen.lineTo(x, y(value)));
    pen.stroke();
    pen.setLineDash([]);
    for (const [time, what, worker] of panels[i].events) {
      if (what === CRASH && time >= 0) text(pen, `✕${worker}`, (time / ticks) * width, 7 + 12 * i, { bold: true, align: "center", colour: PANEL[i] });
    }
  });
  pen.strokeStyle = INK;
  pen.lineWidth = 1;
  line(pen, (t / ticks) * width, 0, (t / ticks) * width, height);
  text(pen, `waiting, at most ${most}`, 4, 7, { size: 11, colour: FAINT });
}

function duration(seconds) {
  if (seconds >= 1) return `${short(seconds)} s`;
  return seconds >= 1e-3 ? `${short(seconds * 1e3)} ms` : `${short(seconds * 1e6)} µs`;
}

// The legend: what colour and area mean.
function drawLegend(root, data) {
  const edges = data.steps.map((step) => duration(step * data.tick));
  const heatPart = root.querySelector('[data-part="heat"]');
  ["less", ...edges].forEach((edge, i) => {
    const item = document.createElement("span");
    item.className = "swatch";
    item.style.background = HEAT[i];
    heatPart.append(item, i < edges.length ? `${edge} ` : `${edge} or more`);
  });
  const sizePart = root.querySelector('[data-part="sizes"]');
  for (const size of [0, 4, data.sizes.length - 1]) {
    const item = document.createElement("span");
    item.className = "disc";
    item.style.width = item.style.height = `${2 * radius(size)}px`;
    sizePart.append(item, `${size ? duration(Number(data.sizes[size].toPrecision(2))) : "less"} `);
  }
  const rows = data.panels.map((panel) => panel.rows);
  root.querySelector('[data-part="again"]').hidden = !data.panels.some((panel) => panel.rows.copy || panel.rows.ending.includes(CRASHED));
  root.querySelector('[data-part="gone"]').hidden = !rows.some((row) => row.gone);
}

const DATA = JSON.parse(document.getElementById("events").textContent);
drawLegend(document.body, DATA);
document.fonts.ready.then(() => { window.player = new Player(document.querySelector("main"), DATA); });
