// The page: what is chosen, what is asked of the server, and which view is shown.
import { Table } from "./table.js";
import { VIEWS } from "./views.js";

const part = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export async function ask(what, query = []) {
  const answer = await fetch(`/api/${what}?${new URLSearchParams(query)}`);
  const values = await answer.json();
  if (!answer.ok) throw new Error(values.problem);
  return values;
}

let number = 0; // of the view that was asked for last: what comes later for an older one is dropped
const state = { open: null, part: null };
const table = new Table({ onChange: show, onOpen: open });

async function refresh() {
  part("refresh").disabled = true;
  try {
    const values = await ask("runs");
    part("folder").textContent = values.folder;
    table.fill(values);
    if (values.pending) setTimeout(refreshQuietly, 500);
  } catch (error) {
    part("count").textContent = error.message;
    part("count").classList.add("bad");
  }
  part("refresh").disabled = false;
}
async function refreshQuietly() {
  const values = await ask("runs").catch(() => null);
  if (!values) return;
  table.fill(values, { quiet: values.pending > 0 });
  if (values.pending) setTimeout(refreshQuietly, 700);
}

function open(name) {
  state.open = name;
  table.choose(name, true, { quiet: true });
  if (!["confusion", "threshold"].includes(view)) view = "confusion";
  show();
  part("views").scrollIntoView({ block: "nearest" });
}

let view = "curves";
const buttons = Object.entries(VIEWS).map(([key, { title }]) => {
  const button = element("button", { type: "button", textContent: title, id: `tab-${key}` });
  button.setAttribute("role", "tab");
  button.setAttribute("aria-controls", "view");
  button.onclick = () => { view = key; show(); };
  button.onkeydown = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = buttons[(buttons.indexOf(button) + by + buttons.length) % buttons.length];
    next.focus(); next.click();
  };
  return button;
});
document.querySelector(".tabs").append(...buttons);

async function show() {
  const own = ++number, panel = part("view");
  for (const button of buttons) {
    const selected = button.id === `tab-${view}`;
    button.setAttribute("aria-selected", String(selected));
    button.tabIndex = selected ? 0 : -1;
  }
  panel.setAttribute("aria-labelledby", `tab-${view}`);
  panel.setAttribute("aria-busy", "true");
  const waiting = setTimeout(() => {
    if (own === number) panel.replaceChildren(element("p", { className: "soft", textContent: "…" }));
  }, 400);
  if (!table.chosen.has(state.open)) state.open = [...table.chosen][0] ?? null;
  const context = { table, state, show, current: () => own === number };
  let made;
  try {
    made = await VIEWS[view].make(context);
  } catch (error) {
    made = [element("p", { className: "bad", textContent: error.message })];
  }
  clearTimeout(waiting);
  if (own !== number) return;
  panel.replaceChildren(...made);
  for (const chart of panel.querySelectorAll(".chart")) chart.draw?.();
  panel.setAttribute("aria-busy", "false");
}

part("refresh").onclick = refresh;
part("clear").onclick = () => table.chooseNone();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
await refresh();
