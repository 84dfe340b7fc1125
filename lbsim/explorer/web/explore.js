// Sliders, and a picture that is changed in place: nothing is built anew, so nothing flickers.

const COLOURS = ["#0072b2", "#d55e00"]; // Okabe and Ito
const DASHES = ["", "6 3"];
const SLOW_MS = 400; // after which it is said that the kernel is at work
const QUIET_MS = 800; // after which the figures are said to those who do not see

// JupyterLab takes the arrow keys for its own, but for focused elements that are marked so.
const OURS = { "data-lm-suppress-shortcuts": "true" };

const SLIDERS = [
  ["load", "load per worker", (v) => `${Math.round(100 * v)} %`],
  ["workers", "workers", (v) => String(v)],
  ["alpha", "tail index α (small: heavy)", (v) => v.toFixed(2)],
  ["sticky", "requests in sessions (sticky)", (v) => `${Math.round(100 * v)} %`],
];

// The two charts share one drawing; units are pixels at full size.
const W = 640, H = 420;
const CCDF = { left: 56, right: W - 12, top: 26, bottom: 250 };
const BARS = { left: 56, right: W - 12, top: 306, bottom: 396 };

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(parent, name, attributes = {}, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function duration(seconds) {
  const [value, unit] = seconds >= 1 ? [seconds, "s"] : seconds >= 1e-3 ? [seconds * 1e3, "ms"] : [seconds * 1e6, "µs"];
  return `${value >= 1000 ? Math.round(value) : Number(value.toPrecision(3))} ${unit}`;
}

class Charts {
  constructor(host) {
    const svg = shape(host, "svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Share of requests that took longer than x, and how busy each worker was; the figures are in the table below." });
    shape(svg, "text", { x: CCDF.left, y: 14, class: "title" }, "share of requests that took longer than x");
    shape(svg, "text", { x: BARS.left, y: BARS.top - 12, class: "title" }, "share of its time that each worker is at work");
    this.grid = shape(svg, "g");
    this.kept = COLOURS.map((_, i) => shape(svg, "path", { fill: "none", stroke: "#999", "stroke-width": 1.2, "stroke-dasharray": DASHES[i] }));
    this.lines = COLOURS.map((colour, i) => shape(svg, "path", { fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": DASHES[i], class: `curve-${i}` }));
    this.bars = COLOURS.map((colour) => shape(svg, "path", { fill: colour }));
    this.names = shape(svg, "g");
    for (const share of [0, 0.5, 1]) {
      const y = this.barY(share);
      shape(svg, "line", { x1: BARS.left, x2: BARS.right, y1: y, y2: y, stroke: share ? "#ddd" : "#888" });
      shape(svg, "text", { x: BARS.left - 6, y: y + 4, "text-anchor": "end" }, `${100 * share} %`);
    }
    this.decades = [0, 0];
    this.depth = 0;
    this.workers = 0;
  }

  barY(share) { return BARS.bottom - share * (BARS.bottom - BARS.top); }

  x(latency) {
    const [low, high] = this.decades;
    return CCDF.left + ((Math.log10(latency) - low) / (high - low)) * (CCDF.right - CCDF.left);
  }

  y(share) { return CCDF.top + (-Math.log10(share) / this.depth) * (CCDF.bottom - CCDF.top); }

  // Axes change by whole decades only: a curve that moves must not seem to stand still.
  fit(curves) {
    const low = Math.min(...curves.map((c) => Math.log10(Math.max(c.latency[0], 1e-7))));
    const high = Math.max(...curves.map((c) => Math.log10(Math.max(c.latency[c.latency.length - 1], 1e-7))));
    const decades = [Math.floor(Math.max(low, -3)), Math.max(Math.ceil(high), 0)];
    const depth = Math.ceil(Math.log10(Math.max(...curves.map((c) => c.requests))));
    if (decades.join() === this.decades.join() && depth === this.depth) return;
    this.decades = decades;
    this.depth = depth;
    this.grid.replaceChildren();
    for (let d = decades[0]; d <= decades[1]; d++) {
      const x = this.x(10 ** d);
      shape(this.grid, "line", { x1: x, x2: x, y1: CCDF.top, y2: CCDF.bottom, stroke: "#e5e5e5" });
      shape(this.grid, "text", { x, y: CCDF.bottom + 15, "text-anchor": "middle" }, duration(10 ** d));
    }
    for (let d = 0; d <= depth; d++) {
      const y = this.y(10 ** -d);
      shape(this.grid, "line", { x1: CCDF.left, x2: CCDF.right, y1: y, y2: y, stroke: "#e5e5e5" });
      shape(this.grid, "text", { x: CCDF.left - 6, y: y + 4, "text-anchor": "end" }, `${Number((100 * 10 ** -d).toPrecision(3))} %`);
    }
    shape(this.grid, "text", { x: CCDF.right, y: this.y(0.01) - 4, "text-anchor": "end" }, "p99");
    shape(this.grid, "text", { x: CCDF.right, y: this.y(0.001) - 4, "text-anchor": "end" }, "p99.9");
  }

  path(curve) {
    const floor = 10 ** this.decades[0];
    return curve.latency.map((latency, i) => `${i ? "L" : "M"}${this.x(Math.max(latency, floor)).toFixed(1)},${this.y(curve.share[i]).toFixed(1)}`).join("");
  }

  draw(curves, kept) {
    this.fit([...curves, ...kept]);
    this.lines.forEach((line, i) => line.setAttribute("d", curves[i] ? this.path(curves[i]) : ""));
    this.kept.forEach((line, i) => line.setAttribute("d", kept[i] ? this.path(kept[i]) : ""));
    const n = curves[0].used.length, slot = (BARS.right - BARS.left) / n;
    const gap = Math.min(4, slot / 6), width = (slot - gap) / curves.length;
    this.bars.forEach((bar, i) => {
      bar.setAttribute("d", !curves[i] ? "" : curves[i].used.map((share, w) => {
        const x = BARS.left + w * slot + gap / 2 + i * width;
        return `M${x.toFixed(1)},${BARS.bottom}V${this.barY(share).toFixed(1)}h${width.toFixed(1)}V${BARS.bottom}Z`;
      }).join(""));
    });
    if (n !== this.workers) {
      this.workers = n;
      const every = n > 16 ? 4 : 1;
      this.names.replaceChildren();
      for (let w = 0; w < n; w += every) shape(this.names, "text", { x: BARS.left + (w + 0.5) * slot, y: BARS.bottom + 14, "text-anchor": "middle" }, n <= 8 ? `worker ${w}` : String(w));
    }
  }
}

function render({ model, el }) {
  const root = element("div", { class: "lbsim-explore" });
  const controls = element("div", { class: "controls" });
  const charts = element("div", { class: "charts" });
  const table = element("table"), note = element("p", { class: "note" });
  const said = element("p", { class: "said", role: "status" });
  const keep = element("button", { type: "button", ...OURS }, "keep as grey lines");
  root.append(element("div", { class: "parts" }, controls, charts), said);
  el.append(root);
  const picture = new Charts(charts);
  charts.append(table, note);

  let since = null; // when the settings that are being run were chosen
  let waiting = false; // the kernel has not answered yet
  let newer = null; // the settings have changed since: when
  let kept = [];
  let quiet, slow;

  // One question at a time. What a slider passes through while the kernel works is not asked.
  function ask(time) {
    if (waiting) { newer = time; return; }
    waiting = true;
    newer = null;
    since = time;
    clearTimeout(slow);
    slow = setTimeout(() => tell("the kernel is at work (a policy is compiled when it is first used)…"), SLOW_MS);
    model.set("asked", model.get("asked") + 1);
    model.save_changes();
  }

  function tell(words, isError = false) {
    note.textContent = words;
    note.classList.toggle("error", isError);
    if (isError) note.setAttribute("role", "alert"); else note.removeAttribute("role");
  }

  for (const [name, label, format] of SLIDERS) {
    const [low, high, step] = model.get("limits")[name];
    const range = element("input", { type: "range", min: low, max: high, step, "data-name": name, ...OURS });
    const output = element("output");
    const show = () => {
      output.textContent = format(Number(range.value));
      range.setAttribute("aria-valuetext", output.textContent);
    };
    const follow = () => { range.value = model.get(name); show(); };
    range.addEventListener("input", (event) => {
      show();
      model.set(name, Number(range.value));
      ask(event.timeStamp);
    });
    model.on(`change:${name}`, follow);
    follow();
    controls.append(element("label", {}, element("span", { class: "name" }, label, output), range));
  }
  for (const [i, name] of ["policy", "other"].entries()) {
    const select = element("select", { "data-name": name, ...OURS });
    for (const option of model.get("options")) if (i || option !== "(none)") select.append(new Option(option, option));
    const follow = () => { select.value = model.get(name); };
    select.addEventListener("change", (event) => {
      model.set(name, select.value);
      ask(event.timeStamp);
    });
    model.on(`change:${name}`, follow);
    follow();
    controls.append(element("label", {}, element("span", { class: i ? "key second" : "key" }), i ? "compared with" : "policy", select));
  }
  keep.addEventListener("click", () => {
    kept = kept.length ? [] : model.get("answer").curves || [];
    keep.textContent = kept.length ? "drop the grey lines" : "keep as grey lines";
    show();
  });
  controls.append(keep);

  function show() {
    const answer = model.get("answer");
    if (answer.error) { tell(answer.error, true); return; }
    if (!answer.curves) return;
    picture.draw(answer.curves, kept);
    const head = element("tr", {}, ...["", "mean", "p50", "p90", "p99", "p99.9"].map((name) => element("th", { scope: "col" }, name)));
    const rows = answer.curves.map((curve, i) => element("tr", {},
      element("th", { scope: "row" }, element("span", { class: i ? "key second" : "key" }), curve.label),
      ...curve.figures.map((value) => element("td", {}, duration(value)))));
    table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
    clearTimeout(quiet);
    quiet = setTimeout(() => {
      said.textContent = answer.curves.map((c) => `${c.label}: median ${duration(c.figures[1])}, 99th percentile ${duration(c.figures[3])}.`).join(" ");
    }, QUIET_MS);
  }

  function answered() {
    const answer = model.get("answer"), began = since;
    if (answer.number === model.get("asked")) { waiting = false; clearTimeout(slow); }
    show();
    if (!answer.error) {
      const few = answer.curves.filter((c) => c.requests < Math.max(...answer.curves.map((d) => d.requests)));
      const counts = [...new Set(answer.curves.map((c) => c.requests))].map((n) => n.toLocaleString("en")).join(" and ");
      const words = `${counts} requests${few.length ? " (few where a policy is not compiled)" : ""}, ${answer.compiled ? "compiled and simulated" : "simulated"} in ${duration(answer.seconds)}`;
      tell(words);
      if (began !== null) requestAnimationFrame(() => setTimeout(() => {
        // After the frame in which the new curve was painted.
        const ms = performance.now() - began;
        root.dataset.ms = ms.toFixed(1);
        if (!waiting) tell(`${words}; ${Math.round(ms)} ms from slider to picture`);
      }));
    }
    since = null;
    if (!waiting && newer !== null) ask(newer);
  }

  model.on("change:answer", answered);
  show();
  answered();
  return () => { clearTimeout(quiet); clearTimeout(slow); };
}

export default { render };
