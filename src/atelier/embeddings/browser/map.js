"use strict";
const values = JSON.parse(document.getElementById("values").textContent);
const part = (id) => document.getElementById(id);
const canvas = part("map"), pen = canvas.getContext("2d"), sprite = part("sprite");
const { ids, labels, predicted, classes, styles } = values;
const total = ids.length;
const wrong = ids.map((_, i) => labels[i] !== predicted[i]);
const shown = classes.map(() => true);
let layout = values.layouts[0], chosen = -1, zoom = 1, center = [0.5, 0.5];

// Markers have the names that matplotlib gives them, for the pictures have the same.
const polygon = (...corners) => corners;
const SHAPES = {
  s: polygon([-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]),
  "^": polygon([0, -1], [1, 0.8], [-1, 0.8]),
  v: polygon([0, 1], [1, -0.8], [-1, -0.8]),
  D: polygon([0, -1.1], [1.1, 0], [0, 1.1], [-1.1, 0]),
  P: polygon([-0.4, -1], [0.4, -1], [0.4, -0.4], [1, -0.4], [1, 0.4], [0.4, 0.4], [0.4, 1],
    [-0.4, 1], [-0.4, 0.4], [-1, 0.4], [-1, -0.4], [-0.4, -0.4]),
  X: polygon([-0.9, -0.5], [-0.5, -0.9], [0, -0.4], [0.5, -0.9], [0.9, -0.5], [0.4, 0], [0.9, 0.5],
    [0.5, 0.9], [0, 0.4], [-0.5, 0.9], [-0.9, 0.5], [-0.4, 0]),
};
function mark(x, y, size, shape) {
  pen.beginPath();
  if (!SHAPES[shape]) pen.arc(x, y, size, 0, 7);
  else for (const [a, b] of SHAPES[shape]) pen.lineTo(x + a * size, y + b * size);
  pen.closePath();
}

const visible = (i) => shown[labels[i]] && (wrong[i] || !part("errors").checked);
const scale = () => 0.94 * Math.min(canvas.clientWidth, canvas.clientHeight) * zoom;
const at = (i) => {
  const [x, y] = layout.points[i];
  return [canvas.clientWidth / 2 + (x - center[0]) * scale(),
    canvas.clientHeight / 2 - (y - center[1]) * scale()];
};

let waiting = false;
function draw() {
  if (!waiting) { waiting = true; requestAnimationFrame(drawNow); }
}
function drawNow() {
  waiting = false;
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio; canvas.height = height * ratio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const size = (total > 3000 || width < 500 ? 2 : 3) * Math.min(2.5, Math.sqrt(zoom));
  for (let i = 0; i < total; i++) {
    if (!visible(i)) continue;
    const [x, y] = at(i), [color, shape] = styles[labels[i]];
    pen.globalAlpha = 0.65; pen.fillStyle = color;
    mark(x, y, size, shape); pen.fill();
    if (wrong[i]) {
      pen.globalAlpha = 0.8; pen.strokeStyle = "#222"; pen.lineWidth = 1;
      mark(x, y, size + 2.2); pen.stroke();
    }
  }
  pen.globalAlpha = 1;
  if (chosen >= 0) {
    const [x, y] = at(chosen);
    pen.strokeStyle = "#000"; pen.lineWidth = 2;
    mark(x, y, size + 5); pen.stroke();
  }
}

function thumbnail(i, pixels) {
  const image = document.createElement("canvas"), { side, columns } = values;
  image.width = image.height = pixels;
  const brush = image.getContext("2d");
  brush.imageSmoothingEnabled = pixels < side;
  brush.drawImage(sprite, (i % columns) * side, Math.floor(i / columns) * side, side, side,
    0, 0, pixels, pixels);
  return image;
}
function line(text, name = "") {
  const element = document.createElement("p");
  element.textContent = text; element.className = name;
  return element;
}
function choose(i) {
  chosen = i;
  const panel = part("chosen"), sure = (100 * values.confidence[i]).toFixed(1);
  const image = thumbnail(i, values.side > 64 ? values.side : values.side * 4);
  image.setAttribute("role", "img"); image.setAttribute("aria-label", `image ${ids[i]}`);
  const near = document.createElement("div");
  near.className = "near";
  for (const other of values.neighbors[i]) {
    const button = document.createElement("button");
    button.type = "button"; button.append(thumbnail(other, values.side));
    button.setAttribute("aria-label", `image ${ids[other]}, ${classes[labels[other]]}`);
    button.title = classes[labels[other]];
    button.classList.toggle("other", labels[other] !== labels[i]);
    button.onclick = () => choose(other);
    near.append(button);
  }
  panel.replaceChildren(
    image,
    line(`image ${ids[i]}${values.files ? `: ${values.files[i]}` : ""}`),
    line(`label: ${classes[labels[i]]}`),
    line(`called: ${classes[predicted[i]]}, ${sure} % sure`, wrong[i] ? "wrong" : ""),
    line("nearest in the embedding:", "soft"), near);
  draw();
}

function select(next) {
  layout = next;
  for (const button of part("layouts").children)
    button.setAttribute("aria-pressed", String(button.textContent === layout.name));
  part("quality").textContent = `${layout.name}: trustworthiness ${layout.trustworthiness} (at ` +
    `best 1); neighbors on this map know the class of ${(100 * layout.neighbors).toFixed(1)} % ` +
    "of the images.";
  whole();
}
function whole() { zoom = 1; center = [0.5, 0.5]; draw(); }
function nearestTo(x, y, reach) {
  let best = -1, least = reach * reach;
  for (let i = 0; i < total; i++) {
    if (!visible(i)) continue;
    const [a, b] = at(i), distance = (a - x) ** 2 + (b - y) ** 2;
    if (distance < least) { least = distance; best = i; }
  }
  return best;
}
function step(by) {
  for (let k = 1; k <= total; k++) {
    const i = (((chosen < 0 && by < 0 ? 0 : chosen) + by * k) % total + total) % total;
    if (visible(i)) return choose(i);
  }
}
function zoomBy(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const left = (x - canvas.clientWidth / 2) / scale(), up = (canvas.clientHeight / 2 - y) / scale();
  const next = Math.min(60, Math.max(1, zoom * factor)), kept = 1 - zoom / next;
  center = [center[0] + left * kept, center[1] + up * kept];
  zoom = next;
  if (zoom === 1) center = [0.5, 0.5];
  draw();
}

let held = null;
canvas.addEventListener("pointerdown", (event) => {
  held = [event.offsetX, event.offsetY];
  canvas.setPointerCapture(event.pointerId);
  const i = nearestTo(event.offsetX, event.offsetY, 22);
  if (i >= 0) choose(i);
});
canvas.addEventListener("pointermove", (event) => {
  if (held && zoom > 1) {
    center = [center[0] - (event.offsetX - held[0]) / scale(),
      center[1] + (event.offsetY - held[1]) / scale()];
    held = [event.offsetX, event.offsetY];
    return draw();
  }
  const i = nearestTo(event.offsetX, event.offsetY, 12);
  if (i >= 0 && i !== chosen) choose(i);
});
for (const name of ["pointerup", "pointercancel"])
  canvas.addEventListener(name, () => { held = null; });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomBy(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const keys = { ArrowRight: () => step(1), ArrowLeft: () => step(-1), "+": () => zoomBy(1.4),
    "-": () => zoomBy(1 / 1.4), "0": whole };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});

for (const one of values.layouts) {
  const button = document.createElement("button");
  button.type = "button"; button.textContent = one.name; button.onclick = () => select(one);
  part("layouts").append(button);
}
const entries = classes.map((name, k) => {
  const button = document.createElement("button"), [color, shape] = styles[k];
  button.type = "button"; button.setAttribute("aria-pressed", "true");
  const corners = SHAPES[shape]?.map(([x, y]) => `${9 + 6 * x},${9 + 6 * y}`).join(" ");
  button.innerHTML = `<svg width="18" height="18" aria-hidden="true">${corners
    ? `<polygon points="${corners}" fill="${color}"/>`
    : `<circle cx="9" cy="9" r="6" fill="${color}"/>`}</svg>`;
  const text = document.createElement("span");
  text.textContent = name; button.append(text);
  button.onclick = () => show(k, !shown[k]);
  return button;
});
function show(k, on) {
  shown[k] = on;
  entries[k].setAttribute("aria-pressed", String(on));
  draw();
}
part("legend").append(...entries);
part("all").onclick = () => classes.forEach((_, k) => show(k, true));
part("none").onclick = () => classes.forEach((_, k) => show(k, false));
part("errors").onchange = draw;
part("whole").onclick = whole;
part("search").addEventListener("input", (event) => {
  const word = event.target.value.trim().toLowerCase();
  if (!word) return;
  let i = ids.findIndex((id) => String(id) === word);
  if (i < 0 && values.files) i = values.files.findIndex((f) => f.toLowerCase().includes(word));
  if (i >= 0) choose(i);
  event.target.setAttribute("aria-invalid", String(i < 0));
});
new ResizeObserver(draw).observe(canvas);
select(layout);
