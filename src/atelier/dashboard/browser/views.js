// What can be seen of the chosen runs. A view makes elements; its charts are drawn once they stand.
import { chart, line, plain, plotly, token } from "./charts.js";
import { ask, element } from "./page.js";

const percent = (value, digits = 2) => (value == null ? "–" : `${(100 * value).toFixed(digits)} %`);
const soft = (textContent) => element("p", { className: "soft", textContent });
const title = (textContent) => element("h2", { textContent });
const nothing = () => [soft("Tick a run in the table.")];
const kept = { measure: null, cost: "parameters", score: "accuracy", threshold: 0.5, a: null, b: null };

function choice(label, options, value, onInput) {
  const select = element("select");
  for (const [key, words] of options) select.append(new Option(words, key, false, key === value));
  select.addEventListener("input", () => onInput(select.value));
  return element("label", {}, `${label} `, select);
}
const controls = (...parts) => element("div", { className: "controls" }, ...parts);
function table(header, rows) {
  const cell = (name, value, k) =>
    element(name, { textContent: value ?? "–", className: k ? "" : "text" });
  const made = element("table", {},
    element("thead", {}, element("tr", {}, ...header.map((h, k) => cell("th", h, k)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((v, k) => cell("td", v, k))))));
  return element("div", { className: "wide" }, made);
}
// One of the chosen runs, and the part of its data.
function runChoice({ table: runs, state, show }) {
  const names = [...runs.chosen].map((name) => [name, name]);
  return choice("run", names, state.open, (name) => { state.open = name; show(); });
}

async function curves({ table: runs, show }) {
  if (!runs.chosen.size) return nothing();
  const { curves: found } = await ask("curves", [...runs.chosen].map((name) => ["run", name]));
  const measures = [...new Set(Object.values(found).flatMap(Object.keys))]
    .filter((key) => key.includes("/") || key === "lr").sort();
  if (!measures.length) return [soft("None of the chosen runs has finished an epoch.")];
  const usual = ["validation/accuracy", "train/accuracy", ...measures];
  if (!measures.includes(kept.measure)) kept.measure = usual.find((key) => measures.includes(key));
  const share = /accuracy/.test(kept.measure);
  const traces = Object.entries(found).map(([name, rows], k) => ({
    x: rows.epoch ?? [], y: rows[kept.measure] ?? [], name: plain(name, 40), line: line(k),
    mode: (rows.epoch ?? []).length > 40 ? "lines" : "lines+markers",
    hovertemplate: `${plain(name)}<br>epoch %{x}: %{y:${share ? ".2%" : ".4g"}}<extra></extra>`,
  })).filter((trace) => trace.y.some((value) => value !== null));
  const missing = Object.keys(found).length - traces.length;
  return [
    controls(choice("measure", measures.map((key) => [key, key]), kept.measure,
      (key) => { kept.measure = key; show(); })),
    ...(missing ? [soft(`${missing} of the chosen runs did not measure it.`)] : []),
    chart(`${kept.measure} by epoch of ${traces.length} runs`, traces, {
      xaxis: { title: { text: "epoch" }, dtick: traces.every((t) => t.x.length < 15) ? 1 : null },
      yaxis: { title: { text: kept.measure }, tickformat: share ? ".1%" : null },
      showlegend: true,
    }),
  ];
}

async function confusion(context) {
  const { table: runs, state, show } = context;
  if (!runs.chosen.size) return nothing();
  const run = runs.byName.get(state.open), part = state.part ?? run.judged;
  const choose = controls(runChoice(context), choice("images", [["test", "test"],
    ["validation", "validation"]], part, (name) => { state.part = name; show(); }));
  if (run.problem) return [choose, element("p", { className: "bad",
    textContent: `${run.name}: ${run.problem}` })];
  let found;
  try {
    found = await ask("confusion", { run: state.open, part });
  } catch (error) {
    return [choose, element("p", { className: "bad", textContent: error.message })];
  }
  const { classes, confusion: counts } = found;
  const shares = counts.map((row) => row.map((n) => n / Math.max(1, row.reduce((a, b) => a + b))));
  const few = classes.length <= 20;
  const names = classes.map((name, k) => `${k + 1} ${plain(name, few ? 14 : 8)}`);
  const images = element("div", {}, soft("Choose a cell, or one of these, to see its images."));
  const cell = (t, p, start = 0) => showCell(images, { run: state.open, part, true: t, predicted: p,
    start }, classes, () => cell(t, p, start + 24));
  const places = new Map(classes.map((name, k) => [name, k]));
  const most = element("ul", { className: "confusions" }, ...found.top_confusions.map((row) => {
    const words = `${row.true} → ${row.predicted}: ${row.count}`;
    const button = element("button", { type: "button", textContent: words });
    button.onclick = () => cell(places.get(row.true), places.get(row.predicted));
    return element("li", {}, button);
  }));
  const matrix = chart(`confusion matrix of ${state.open}; the table below has its figures`, [{
    type: "heatmap", x: names, y: names, z: shares.map((row) => row.map(Math.sqrt)),
    customdata: counts.map((row, t) => row.map((n, p) =>
      [n, percent(shares[t][p], 1), plain(classes[t]), plain(classes[p])])),
    colorscale: [[0, token("--paper")], [1, "#0072B2"]], showscale: false,
    zmin: 0, zmax: 1, xgap: 1, ygap: 1,
    ...(few ? { text: counts.map((row) => row.map((n) => n || "")), texttemplate: "%{text}" } : {}),
    hovertemplate: "%{customdata[2]}<br>called %{customdata[3]}: %{customdata[0]} images, " +
      "%{customdata[1]}<extra></extra>",
  }], {
    xaxis: { title: { text: "called" }, tickangle: -45, showgrid: false, type: "category" },
    yaxis: { title: { text: "true class" }, autorange: "reversed", showgrid: false,
      type: "category" },
    font: { size: few ? 12 : 9 }, margin: { l: 40, r: 8, t: 10, b: 40 },
  }, { square: true, onClick: ({ pointIndex: [t, p] }) => cell(t, p) });
  return [
    choose,
    element("p", { className: "big", textContent: `${percent(found.accuracy)} of ` +
      `${found.n.toLocaleString("en-US")} ${part} images are right (95 % interval ` +
      `${percent(found.accuracy_interval_95[0])} to ${percent(found.accuracy_interval_95[1])})` }),
    element("div", { className: "two" }, matrix, element("div", {}, title("Most frequent errors"),
      most, images)),
    title("Each class"),
    table(["class", "precision", "recall", "F1", "images"], found.per_class.map((row) => [row.name,
      percent(row.precision), percent(row.recall), percent(row.f1), String(row.support)])),
  ];
}

async function showCell(place, query, classes, more) {
  const own = (place.asked = (place.asked ?? 0) + 1);
  if (!query.start) place.replaceChildren(soft("reading images…"));
  let found;
  try {
    found = await ask("cell", query);
  } catch (error) {
    place.replaceChildren(element("p", { className: "bad", textContent: error.message }));
    return;
  }
  if (own !== place.asked) return;
  const right = query.true === query.predicted;
  const figures = found.images.map((image) => element("figure", {},
    element("img", { src: image.source, alt: `image ${image.id}` }),
    element("figcaption", { textContent: `${image.file ?? `image ${image.id}`}: ` +
      `${percent(image.probability, 1)} sure${right ? "" : `, true class ` +
      percent(image.true_probability, 1)}` })));
  if (!query.start) {
    const words = `${classes[query.true]} called ${classes[query.predicted]}: ${found.total} images`;
    place.replaceChildren(title(words), element("div", { className: "images" }));
  }
  place.querySelector(".images").append(...figures);
  place.querySelector(":scope > button")?.remove();
  const left = found.total - query.start - found.images.length;
  if (left > 0) {
    const button = element("button", { type: "button", textContent: `show more (${left} left)` });
    button.onclick = more;
    place.append(button);
  }
}

async function threshold(context) {
  const { table: runs, state } = context;
  if (!runs.chosen.size) return nothing();
  const { thresholds, parts, temperature } = await ask("thresholds", { run: state.open });
  const names = Object.keys(parts).reverse(); // validation first: it is what one chooses by
  if (!names.length)
    return [controls(runChoice(context)), soft("This run has no predictions: run `atelier evaluate`.")];
  const slider = element("input", { type: "range", min: 0, max: 1, step: 0.01,
    value: kept.threshold, id: "threshold" });
  const words = element("div", { className: "big", role: "status", id: "answered" });
  const drawing = chart("coverage and accuracy of the answers by threshold", names.flatMap((name, k) =>
    [["coverage", "share answered"], ["accuracy", "share right of these"]].map(([key, said], j) => ({
      x: thresholds, y: parts[name][key], name: `${name}: ${said}`, mode: "lines",
      line: { ...line(j), dash: k ? "dot" : "solid" },
      hovertemplate: `from %{x}: %{y:.2%}<extra>${name}: ${said}</extra>`,
    }))), { xaxis: { title: { text: "least probability of an answer" }, range: [0, 1] },
    yaxis: { tickformat: ".0%", rangemode: "tozero" }, shapes: [{ type: "line", yref: "paper",
      x0: kept.threshold, x1: kept.threshold, y0: 0, y1: 1, line: { color: line(6).color, width: 1,
        dash: "dash" } }] });
  const move = () => {
    kept.threshold = Number(slider.value);
    const at = Math.round(100 * kept.threshold);
    words.replaceChildren(...names.map((name) => element("p", { textContent:
      `From ${kept.threshold.toFixed(2)} on, ${percent(parts[name].coverage[at], 1)} of ` +
      `${parts[name].images.toLocaleString("en-US")} ${name} images are answered, ` +
      `${percent(parts[name].accuracy[at], 2)} of these answers right.` })));
    if (drawing.dataset.drawn) plotly().then((Plotly) => Plotly.relayout(drawing,
      { "shapes[0].x0": kept.threshold, "shapes[0].x1": kept.threshold }));
  };
  slider.addEventListener("input", move);
  move();
  const advice = names.includes("validation")
    ? "Choose by the validation images; the test images then say what to expect of the choice."
    : "There are no validation images here: a threshold chosen on test images promises too much.";
  const how = temperature == null ? "Probabilities as the network gives them."
    : `Probabilities calibrated by a temperature of ${temperature.toFixed(3)}.`;
  return [controls(runChoice(context), element("label", { className: "wide-label" },
    "threshold ", slider)), words, soft(`${advice} ${how}`), drawing];
}

async function seeds({ table: runs }) {
  const { groups } = await ask("seeds");
  const visible = new Set(runs.shown.map((run) => run.name));
  const shown = groups.filter((group) => group.runs.some((name) => visible.has(name)))
    .sort((a, b) => b.mean - a.mean);
  if (!shown.length) return [soft("No finished run passes the filter.")];
  // Of the settings only those are said that groups of one recipe have otherwise.
  const differing = (group) => Object.entries(group.settings).filter(([key, value]) => shown.some(
    (other) => other.recipe === group.recipe && other.settings[key] !== value))
    .map(([key, value]) => `${key}=${value}`).join(" ");
  return [
    soft("Runs that differ by nothing but their seed. Spread: the standard deviation over seeds; " +
      "interval: Student's 95 % of their mean."),
    table(["recipe", "what differs", "data", "images", "seeds", "mean", "spread", "interval",
      "least to most"],
    shown.map((group) => [group.recipe, differing(group), group.data, group.part, String(group.n),
      percent(group.mean), group.deviation == null ? null : `± ${percent(group.deviation)}`,
      group.interval && `${percent(group.interval[0])} to ${percent(group.interval[1])}`,
      group.n > 1 ? `${percent(group.least)} to ${percent(group.most)}` : null])),
  ];
}

async function compare({ table: runs, show }) {
  const names = [...runs.chosen];
  if (names.length < 2) return [soft("Tick two runs in the table.")];
  if (!names.includes(kept.a)) kept.a = names.find((name) => name !== kept.b);
  if (!names.includes(kept.b) || kept.a === kept.b) kept.b = names.find((name) => name !== kept.a);
  const pick = (key) => choice(key === "a" ? "first" : "second", names.map((name) => [name, name]),
    kept[key], (name) => {
      const other = key === "a" ? "b" : "a";
      if (kept[other] === name) kept[other] = kept[key];
      kept[key] = name; show();
    });
  const choose = controls(pick("a"), pick("b"));
  let found;
  try {
    found = await ask("compare", { a: kept.a, b: kept.b });
  } catch (error) {
    return [choose, element("p", { className: "bad", textContent: error.message })];
  }
  const [test] = found.pairs[0].tests, { a, b } = found.pairs[0];
  return [
    choose,
    ...found.sentences.map((words) => element("p", { className: "big", textContent: words })),
    table(["run", "seed", "accuracy", "95 % interval over images", "right where the other is not"],
      found.rows.map((row) => [row.name, String(row.seeds[0]), percent(row.accuracy),
        row.image_interval.map((value) => percent(value)).join(" to "),
        String(row.name === a ? test.only_a : test.only_b)])),
    soft(`${found.notes.join(" ")} Whoever looks for a difference among many pairs will find one: ` +
      "`atelier compare` corrects for their number."),
  ];
}

// The runs that no other beats in both: cheaper and at least as right.
export function pareto(points) {
  const sorted = [...points].sort((a, b) => a.x - b.x || b.y - a.y);
  let best = -Infinity;
  return sorted.filter(({ y }) => y > best && ((best = y), true));
}

async function cost({ table: runs, state, show }) {
  const usable = (key) => runs.shown.filter((run) => run[key] != null && run[kept.cost] > 0);
  if (!usable(kept.score).length)
    kept.score = kept.score === "accuracy" ? "validation_accuracy" : "accuracy";
  const points = usable(kept.score).map((run) => ({ run, x: run[kept.cost], y: run[kept.score] }));
  const choose = controls(
    choice("cost", [["parameters", "parameters"], ["seconds", "seconds of training"]], kept.cost,
      (key) => { kept.cost = key; show(); }),
    choice("accuracy on", [["accuracy", "test images"], ["validation_accuracy",
      "validation images"]], kept.score, (key) => { kept.score = key; show(); }));
  if (!points.length) return [choose, soft("No run of the table has both.")];
  const names = [...new Set(points.map(({ run }) => run.recipe))].sort();
  const traces = names.map((name, k) => {
    const own = points.filter(({ run }) => run.recipe === name);
    return { x: own.map((p) => p.x), y: own.map((p) => p.y), name: plain(name, 40),
      customdata: own.map((p) => p.run.name), text: own.map((p) => plain(p.run.name)),
      mode: "markers", marker: { color: line(k).color, size: 9, symbol: Math.floor(k / 7) % 8,
        opacity: 0.75 },
      hovertemplate: "%{text}<br>%{y:.2%}, %{x:,}<extra></extra>" };
  });
  const front = pareto(points), end = Math.max(...points.map((p) => p.x));
  const edge = { x: [...front.map((p) => p.x), end], y: [...front.map((p) => p.y), front.at(-1).y],
    name: "best for its cost",
    mode: "lines", line: { color: line(6).color, width: 1.5, dash: "dot", shape: "hv" },
    hoverinfo: "skip" };
  return [choose, chart(`accuracy against ${kept.cost} of ${points.length} runs`, [edge, ...traces], {
    xaxis: { type: "log", title: { text: kept.cost === "seconds" ? "seconds of training"
      : "parameters" }, dtick: 1 },
    yaxis: { tickformat: ".1%", title: { text: kept.score === "accuracy" ? "test accuracy"
      : "validation accuracy" } }, showlegend: true,
  }, { onClick: ({ customdata }) => { if (customdata) runs.onOpen(customdata); } }),
  title("Best for their cost"),
  table(["run", kept.cost, "accuracy"], front.map(({ run, x, y }) => [run.name,
    x.toLocaleString("en-US", { maximumFractionDigits: 1 }), percent(y)])),
  ];
}

export const VIEWS = {
  curves: { title: "Curves", make: curves },
  confusion: { title: "Confusion", make: confusion },
  threshold: { title: "Threshold", make: threshold },
  compare: { title: "Compare two", make: compare },
  seeds: { title: "Seeds", make: seeds },
  cost: { title: "Cost", make: cost },
};
