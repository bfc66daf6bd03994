/* What the page's parts share: asking the service, and words for what goes wrong.
   `settings` and `style` stand before this text, in the same function. */

class Refused extends Error {
  constructor(words, waitSeconds = null) {
    super(words);
    this.waitSeconds = waitSeconds; // after which it is worth asking again; null is never
  }
}

const MAX_TRIES = 6;
const MAX_WAIT_SECONDS = 10;
const BUSY = new Set(["busy", "too-late", "not-ready", "rate-limited", "stopping"]);

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MB`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const pause = (seconds, signal) => new Promise((done) => {
  setTimeout(done, 1000 * seconds);
  signal.addEventListener("abort", done, { once: true });
});

/* Words for people, of a problem as RFC 9457 shapes it. */
function wordsFor(problem) {
  const kind = String(problem.type ?? "").split(":").pop();
  const detail = problem.detail ? `: ${problem.detail}` : "";
  if (BUSY.has(kind)) return "The service is busy. Please try again in a moment.";
  switch (kind) {
    case "unreadable-image": return `This is no picture that can be read${detail}.`;
    case "unsupported-media-type": return `This is no picture of a kind that is taken${detail}.`;
    case "image-too-large": return `This picture is too large${detail}.`;
    case "body-too-large": return `This is more than the service takes at once${detail}.`;
    case "unauthorized": return "The service asks for a key. Reload the page and give it as the password.";
    case "unknown-model": return "This model is not served any more. Please reload the page.";
    case "unknown-prediction": return "The log does not have this picture, so nothing could be noted.";
    case "read-timeout": return "The picture came too slowly. Please try again.";
  }
  const id = problem.request_id ? ` (request ${problem.request_id})` : "";
  return `${problem.title ?? "The service has answered something odd"}${detail}.${id}`;
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The service does not answer. Is it still running?");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const busy = answer.status === 503 || answer.status === 429;
  const wait = Number(answer.headers.get("Retry-After") ?? 1);
  throw new Refused(wordsFor(body), busy ? Math.min(Math.max(wait, 0.5), MAX_WAIT_SECONDS) : null);
}

/* The answers for picture files, in their order; a busy service is asked again. */
async function predict(files, { model, signal, onWait }) {
  const form = new FormData();
  for (const file of files) form.append("images", file, "picture");
  form.append("top_k", "1000");
  if (model) form.append("model", model);
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask("/v1/predict", { method: "POST", body: form, signal });
    } catch (error) {
      if (!(error instanceof Refused) || error.waitSeconds === null || tries >= MAX_TRIES) throw error;
      onWait(error.waitSeconds);
      await pause(error.waitSeconds, signal);
      if (signal.aborted) throw new DOMException("stopped", "AbortError");
    }
  }
}

function sendFeedback(requestId, label) {
  return ask("/v1/feedback", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ request_id: requestId, image_index: 0, label }),
  });
}

const models = ask("/v1/models").then((answer) => answer.models);
models.catch(() => {}); // each part of the page says so itself

const tooLarge = (file) =>
  file.size > settings.max_image_bytes
    ? `This picture is too large: ${megabytes(file.size)}, and up to ` +
      `${megabytes(settings.max_image_bytes)} are taken.`
    : file.size === 0 ? "This file is empty." : null;

/* An element with text in it: whatever comes from files or the service is never read as HTML. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/* A part of the page, in a tree of its own where gradio's styles do not reach. */
class Part extends HTMLElement {
  connectedCallback() {
    if (this.shadowRoot) return; // moved, not new
    this.attachShadow({ mode: "open" });
    this.shadowRoot.innerHTML = `<style>${style}</style>${this.constructor.html}`;
    this.start();
  }

  find(selector) {
    return this.shadowRoot.querySelector(selector);
  }

  /* Take files that are chosen, dropped anywhere, or pasted while this part is to be seen. */
  takeFiles(input, take) {
    const zone = this.find(".drop");
    const isShown = () => zone.getClientRects().length > 0;
    input.accept = settings.accept;
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = ""; // so that the same file can be chosen again
      if (files.length) take(files);
    });
    for (const kind of ["dragenter", "dragover"]) {
      document.addEventListener(kind, (event) => {
        event.preventDefault(); // else the browser would leave the page for the file
        if (isShown()) zone.classList.add("over");
      });
    }
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) zone.classList.remove("over");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      if (isShown() && event.dataTransfer.files.length) take([...event.dataTransfer.files]);
    });
    document.addEventListener("paste", (event) => {
      const files = [...event.clipboardData.files];
      if (isShown() && files.length) {
        event.preventDefault();
        take(files);
      }
    });
  }
}

/* Which model is to answer: a choice where there are several. */
class ModelChoice extends Part {
  static html = `<div class="model" hidden><label for="model">Model</label>
    <select id="model"></select></div><p class="failed" role="alert" hidden></p>`;

  async start() {
    const select = this.find("select");
    select.addEventListener("change", () => document.dispatchEvent(new Event("atelier-model")));
    try {
      const served = await models;
      for (const { name, default: first } of served) {
        select.append(make("option", { value: name, selected: first, textContent: name }));
      }
      this.find(".model").hidden = served.length < 2;
    } catch (error) {
      this.find(".failed").textContent = error.message;
      this.find(".failed").hidden = false;
    }
  }

  get value() {
    return this.find("select").value;
  }
}
customElements.define("atelier-model", ModelChoice);

const chosenModel = () => document.querySelector("atelier-model")?.value ?? "";
