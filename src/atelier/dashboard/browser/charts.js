// Charts by plotly.js, in the page's own colors. The library is loaded when the first one is drawn.
import { element } from "./page.js";

// Okabe and Ito 2008, as in all pictures of atelier; ink turns with the page.
const COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "ink"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function line(k) {
  const color = COLORS[k % COLORS.length];
  return { color: color === "ink" ? token("--ink") : color,
    dash: DASHES[Math.floor(k / COLORS.length) % DASHES.length], width: 2 };
}
// plotly reads a little HTML and, where MathJax is, math in what it writes: names are neither.
export const plain = (name, longest = 60) => {
  const short = name.length > longest ? `${name.slice(0, longest - 1)}…` : name;
  return short.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
};

let library = null;
export function plotly() {
  library ??= new Promise((done, failed) => {
    const script = element("script", { src: "/plotly.js" });
    script.onload = () => done(window.Plotly);
    script.onerror = () => { library = null; failed(new Error("plotly.js cannot be loaded")); };
    document.head.append(script);
  });
  return library;
}

function merged(base, more) {
  const result = { ...base };
  for (const [key, value] of Object.entries(more))
    result[key] = value && typeof value === "object" && !Array.isArray(value)
      ? merged(base[key] ?? {}, value) : value;
  return result;
}

export function chart(label, traces, layout, { square = false, onClick = null } = {}) {
  const made = element("div", { className: square ? "chart square" : "chart" });
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", label);
  const axis = { gridcolor: token("--line"), zerolinecolor: token("--line"), automargin: true,
    linecolor: token("--line") };
  const whole = merged({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: token("--ink"), family: "system-ui, sans-serif", size: 13 },
    margin: { l: 56, r: 16, t: 12, b: 46 }, xaxis: axis, yaxis: axis,
    hoverlabel: { align: "left" }, hovermode: "closest", dragmode: false,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
  }, layout);
  // Drawn once it is in the page, where it has a size.
  made.draw = async () => {
    const Plotly = await plotly();
    if (!made.isConnected) return;
    await Plotly.newPlot(made, traces, whole, { responsive: true, displaylogo: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
    if (onClick) made.on("plotly_click", ({ points }) => points.length && onClick(points[0]));
    made.dataset.drawn = "true";
  };
  return made;
}
