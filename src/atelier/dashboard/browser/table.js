// The table of runs: columns, sorting, filters, and which runs are chosen.
const part = (id) => document.getElementById(id);
const percent = (value) => (value == null ? "" : `${(100 * value).toFixed(2)} %`);
const whole = (value) => (value == null ? "" : Math.round(value).toLocaleString("en-US"));
const seconds = (value) => (value == null ? "" : value < 10 ? value.toFixed(1) : whole(value));
const date = (value) => {
  if (!value) return "";
  const local = new Date(1000 * value - 60000 * new Date(1000 * value).getTimezoneOffset());
  return local.toISOString().slice(0, 16).replace("T", " ");
};
const plain = (value) => value ?? "";
const COLUMNS = [
  ["name", "run", plain, "text"], ["recipe", "recipe", plain, "text"],
  ["data", "data", plain, "text"], ["seed", "seed", (v) => v ?? ""],
  ["accuracy", "test accuracy", percent], ["validation_accuracy", "validation", percent],
  ["parameters", "parameters", whole], ["seconds", "seconds", seconds],
  ["epochs", "epochs", whole], ["changed", "date", date], ["state", "state", plain, "text"],
];
const SHORT = { validation: "validation_accuracy", date: "changed", params: "parameters" };
const MOST_CHOSEN = 30;
const text = (value) => (value === null ? "null" : String(value));

export class Table {
  constructor({ onChange, onOpen }) {
    Object.assign(this, { onChange, onOpen });
    this.runs = []; this.shown = []; this.chosen = new Set(); this.sort = ["changed", -1];
    this.pending = 0; this.first = true;
    for (const id of ["words", "recipe", "data", "state"])
      part(id).addEventListener("input", () => { this.draw(); this.onChange(); });
    part("extra").addEventListener("input", () => this.draw());
    document.querySelector(".table tbody").addEventListener("click", (event) => {
      const name = event.target.closest("tr")?.dataset.name;
      if (name === undefined) return;
      if (event.target.matches("input")) this.choose(name, event.target.checked);
      else if (event.target.matches("td.name button")) this.onOpen(name);
    });
  }

  get byName() { return new Map(this.runs.map((run) => [run.name, run])); }

  fill({ runs, common, pending }, { quiet = false } = {}) {
    for (const run of runs) if (run.readable) run.settings = { ...common, ...run.settings };
    this.runs = runs; this.pending = pending;
    for (const name of this.chosen) if (!this.byName.has(name)) this.chosen.delete(name);
    const options = (id, values, all) => {
      const before = part(id).value;
      part(id).replaceChildren(new Option(all, ""), ...values.map((v) => new Option(v, v)));
      part(id).value = values.includes(before) ? before : "";
    };
    const different = (key) => [...new Set(runs.map((run) => run[key]).filter(Boolean))].sort();
    for (const key of ["recipe", "data", "state"]) options(key, different(key), "all");
    options("extra", this.varying(), "none");
    this.draw();
    if (this.first && this.shown.length) {
      const usable = this.shown.filter((run) => run.state === "finished").slice(0, 3);
      for (const run of usable) this.chosen.add(run.name);
      this.first = false;
      this.draw();
    }
    if (!quiet) this.onChange();
  }

  // The settings that some runs have otherwise than others.
  varying() {
    const seen = new Map();
    for (const { settings } of this.runs)
      for (const [key, value] of Object.entries(settings)) {
        if (!seen.has(key)) seen.set(key, new Set());
        seen.get(key).add(text(value));
      }
    return [...seen].filter(([, values]) => values.size > 1).map(([key]) => key).sort();
  }

  choose(name, on, { quiet = false } = {}) {
    if (on && this.chosen.size >= MOST_CHOSEN && !this.chosen.has(name))
      this.chosen.delete([...this.chosen][0]);
    if (on) this.chosen.add(name); else this.chosen.delete(name);
    for (const row of document.querySelectorAll(".table tbody tr")) {
      row.classList.toggle("chosen", this.chosen.has(row.dataset.name));
      row.querySelector("input").checked = this.chosen.has(row.dataset.name);
    }
    this.tell();
    if (!quiet) this.onChange();
  }

  chooseNone() { this.chosen.clear(); this.draw(); this.onChange(); }

  passes(run, words) {
    for (const key of ["recipe", "data", "state"])
      if (part(key).value && run[key] !== part(key).value) return false;
    return words.every((word) => {
      const found = /^([\w.]+?)(>=|<=|>|<|=)(.+)$/.exec(word);
      if (!found) return run.searched.includes(word.toLowerCase());
      const [, key, how, wanted] = found, name = SHORT[key] ?? key;
      const value = name in run ? run[name] : run.settings[key];
      if (value === undefined) return false;
      if (how === "=" && text(value).toLowerCase() === wanted.toLowerCase()) return true;
      const least = wanted.endsWith("%") ? parseFloat(wanted) / 100 : Number(wanted);
      if (value === null || value === "" || Number.isNaN(least)) return false;
      return { ">": value > least, "<": value < least, ">=": value >= least, "<=": value <= least,
        "=": Number(value) === least }[how];
    });
  }

  tell() {
    const waiting = this.pending ? `, counting the accuracies of ${this.pending} more` : "";
    part("count").textContent = `${this.shown.length} of ${this.runs.length} runs, ` +
      `${this.chosen.size} chosen${waiting}`;
  }

  draw() {
    const words = part("words").value.trim().split(/\s+/).filter(Boolean);
    for (const run of this.runs)
      run.searched ??= [run.name, run.recipe, run.data, ...Object.entries(run.settings)
        .map(([key, value]) => `${key}=${text(value)}`)].join("\n").toLowerCase();
    const [key, direction] = this.sort, extra = part("extra").value;
    const columns = extra ? [...COLUMNS.slice(0, 4), [extra, extra, (v) => (v === undefined ? "" : text(v))], ...COLUMNS.slice(4)]
      : COLUMNS;
    const value = (run, name) => (name in run ? run[name] : run.settings[name]);
    const empty = (v) => v === null || v === undefined || v === "";
    this.shown = this.runs.filter((run) => this.passes(run, words)).sort((one, other) => {
      const [a, b] = [value(one, key), value(other, key)];
      if (empty(a) || empty(b)) return empty(a) - empty(b); // what is not known comes last
      const order = typeof a === "number" && typeof b === "number" ? a - b
        : text(a).localeCompare(text(b), undefined, { numeric: true });
      return direction * order || one.name.localeCompare(other.name);
    });
    document.querySelector(".table thead").replaceChildren(this.header(columns));
    const rows = document.createDocumentFragment();
    for (const run of this.shown) rows.append(this.row(run, columns, value));
    document.querySelector(".table tbody").replaceChildren(rows);
    this.tell();
  }

  header(columns) {
    const row = document.createElement("tr");
    row.append(document.createElement("th"));
    for (const [name, title, , kind] of columns) {
      const cell = document.createElement("th"), button = document.createElement("button");
      const sorted = this.sort[0] === name;
      cell.scope = "col"; cell.className = kind ?? "";
      cell.setAttribute("aria-sort", !sorted ? "none"
        : this.sort[1] > 0 ? "ascending" : "descending");
      button.type = "button";
      button.textContent = title + (sorted ? (this.sort[1] > 0 ? " ↑" : " ↓") : "");
      button.onclick = () => {
        this.sort = [name, sorted ? -this.sort[1] : kind === "text" ? 1 : -1];
        this.draw();
        document.querySelectorAll(".table thead th")[columns.findIndex((c) => c[0] === name) + 1]
          .firstChild.focus();
      };
      cell.append(button); row.append(cell);
    }
    return row;
  }

  row(run, columns, value) {
    const row = document.createElement("tr"), first = row.insertCell();
    const tick = document.createElement("input");
    row.dataset.name = run.name;
    tick.type = "checkbox"; tick.checked = this.chosen.has(run.name);
    tick.setAttribute("aria-label", `choose ${run.name}`);
    row.classList.toggle("chosen", tick.checked);
    first.append(tick);
    for (const [name, , say, kind] of columns) {
      const cell = row.insertCell(), words = say(value(run, name));
      cell.className = kind ?? "";
      if (name === "name") {
        const button = document.createElement("button");
        button.type = "button"; button.textContent = run.name;
        cell.className = "text name"; cell.title = run.name; cell.append(button);
      } else if (name === "state" && run.state !== "finished") {
        cell.textContent = run.state; cell.title = run.problem;
        cell.classList.add("bad");
      } else cell.textContent = words;
    }
    return row;
  }
}
