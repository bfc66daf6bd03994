/* Many pictures: a table that grows as they are judged, and the same as CSV. */

const GROUP = 32; // pictures in one request
const MAX_ROWS = 2000; // in the table; the CSV has all
const MAX_THUMBNAILS = 300;
const BODY_SHARE = 0.9; // of the largest body; the rest is for what stands between the files

class ManyPictures extends Part {
  static html = `
    <div class="drop">
      <input type="file" class="files" multiple hidden aria-label="Pictures">
      <input type="file" class="folder" webkitdirectory hidden aria-label="A folder of pictures">
      <p class="hint">Drop pictures here, or paste them.</p>
      <div class="buttons">
        <button type="button" class="first choose">Choose pictures</button>
        <button type="button" class="choose-folder">Choose a folder</button>
      </div>
    </div>
    <div class="work" hidden>
      <progress aria-label="Pictures judged"></progress>
      <p class="state" role="status" aria-live="polite"></p>
      <div class="buttons">
        <button type="button" class="stop">Stop</button>
        <button type="button" class="first csv">Download as CSV</button>
        <button type="button" class="anew">Empty the table</button>
      </div>
    </div>
    <table hidden>
      <caption>What the model says of each picture</caption>
      <thead><tr>
        <th scope="col">File</th><th scope="col">Class</th>
        <th scope="col" class="number">Probability</th><th scope="col">Unknown</th>
      </tr></thead>
      <tbody></tbody>
    </table>`;

  start() {
    const parts = ["work", "progress", "state", "stop", "csv", "anew", "table", "tbody"];
    this.parts = Object.fromEntries(
      parts.map((name) => [name, this.find(`.${name}`) ?? this.find(name)]));
    this.rows = [];
    this.waiting = [];
    this.running = null;
    this.takeFiles(this.find(".files"), (files) => this.add(files));
    this.find(".folder").addEventListener("change", ({ target }) => {
      const pictures = [...target.files].filter((file) => file.type.startsWith("image/"));
      target.value = "";
      if (pictures.length) this.add(pictures);
      else this.say("This folder has no pictures.");
    });
    this.find(".choose").addEventListener("click", () => this.find(".files").click());
    this.find(".choose-folder").addEventListener("click", () => this.find(".folder").click());
    this.parts.stop.addEventListener("click", () => this.running?.abort());
    this.parts.anew.addEventListener("click", () => this.empty());
    this.parts.csv.addEventListener("click", () => this.download());
  }

  async add(files) {
    this.waiting.push(...files);
    this.total = this.rows.length + this.waiting.length;
    if (this.running) return;
    this.running = new AbortController();
    let stopped = null;
    try {
      while (this.waiting.length) {
        this.update();
        await this.judge(this.next());
      }
    } catch (error) {
      this.waiting = [];
      stopped = error.name === "AbortError" ? "Stopped." : error.message;
    }
    this.running = null;
    this.total = this.rows.length;
    this.update(stopped);
  }

  /* The next pictures of which one request may be made. */
  next() {
    const most = Math.min(GROUP, settings.max_images);
    const room = settings.max_body_bytes * BODY_SHARE;
    const group = [];
    let bytes = 0;
    while (this.waiting.length && group.length < most) {
      const [file] = this.waiting;
      const size = tooLarge(file) ? 0 : file.size;
      if (group.length && bytes + size > room) break;
      bytes += size;
      group.push(this.waiting.shift());
    }
    return group;
  }

  async judge(group) {
    const good = group.filter((file) => !tooLarge(file));
    let answer = { predictions: [] };
    if (good.length) {
      answer = await predict(good, {
        model: chosenModel(),
        signal: this.running.signal,
        onWait: (seconds) => this.say(`The service is busy; going on in ${seconds} s …`),
      }).catch((error) => {
        if (good.length === 1 && error instanceof Refused && error.waitSeconds === null) {
          return { predictions: [{ words: error.message }] };
        }
        throw error;
      });
    }
    const predictions = new Map(good.map((file, at) => [file, answer.predictions[at]]));
    for (const file of group) {
      const found = predictions.get(file) ?? { words: tooLarge(file) };
      this.append(file, found.problem ? { words: wordsFor(found.problem) } : found);
    }
  }

  append(file, { classes, unknown, words }) {
    const name = file.webkitRelativePath || file.name || "pasted";
    const row = { file: name, classes, unknown, problem: words ?? "" };
    this.rows.push(row);
    if (this.rows.length > MAX_ROWS) return;
    const cells = classes
      ? [make("td", { textContent: classes[0].class }),
         make("td", { className: "number", textContent: percent(classes[0].probability) }),
         make("td", { className: unknown ? "unknown" : "", textContent: unknown ? "yes" : "no" })]
      : [make("td", { colSpan: 3, className: "failed", textContent: words })];
    const title = make("div");
    if (classes && this.rows.length <= MAX_THUMBNAILS) {
      const image = make("img", { alt: "", src: URL.createObjectURL(file) });
      image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
      title.append(image);
    }
    title.append(make("span", { textContent: name }));
    this.parts.tbody.append(make("tr", {}, make("th", { scope: "row" }, title), ...cells));
  }

  update(stopped = null) {
    const { work, table, progress, state, stop, csv, anew } = this.parts;
    const done = this.rows.length;
    work.hidden = false;
    table.hidden = done === 0;
    progress.max = this.total || 1;
    progress.value = done;
    const busy = this.running !== null;
    progress.hidden = stop.hidden = !busy;
    csv.hidden = anew.hidden = busy || done === 0;
    const failed = this.rows.filter((row) => row.problem).length;
    const unknown = this.rows.filter((row) => row.unknown).length;
    const words = [`${done} of ${this.total} pictures judged`];
    if (!busy) {
      words[0] = `${done} ${done === 1 ? "picture" : "pictures"}`;
      if (unknown) words.push(`${unknown} unknown`);
      if (failed) words.push(`${failed} could not be read`);
      if (done > MAX_ROWS) words.push(`the table shows the first ${MAX_ROWS}, the CSV has all`);
    }
    state.textContent = `${stopped ? `${stopped} ` : ""}${words.join(", ")}.`;
  }

  say(words) {
    this.parts.work.hidden = false;
    this.parts.state.textContent = words;
    if (this.running) return;
    for (const name of ["progress", "stop"]) this.parts[name].hidden = true;
    for (const name of ["csv", "anew"]) this.parts[name].hidden = this.rows.length === 0;
  }

  empty() {
    this.rows = [];
    this.total = 0;
    this.parts.tbody.replaceChildren();
    this.parts.work.hidden = this.parts.table.hidden = true;
    this.find(".choose").focus();
  }

  /* The columns of `atelier predict --csv`, and what was wrong. */
  download() {
    const names = [...new Set(this.rows.flatMap(({ classes }) =>
      (classes ?? []).map((each) => each.class)))].sort();
    const lines = [["file", "predicted", "unknown", "probability",
      ...names.map((name) => `P(${name})`), "problem"]];
    for (const { file, classes, unknown, problem } of this.rows) {
      const shares = Object.fromEntries((classes ?? []).map((each) =>
        [each.class, each.probability.toFixed(6)]));
      const [best] = classes ?? [];
      lines.push([file, best?.class ?? "", classes ? (unknown ? "yes" : "no") : "",
        best?.probability.toFixed(6) ?? "", ...names.map((name) => shares[name] ?? ""), problem]);
    }
    const text = lines.map((line) => line.map(csvCell).join(",") + "\n").join("");
    const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    make("a", { href: url, download: "predictions.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}
customElements.define("atelier-pictures", ManyPictures);

const csvCell = (value) =>
  /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
