/* One picture: chosen, dropped, pasted or photographed; its classes; and whether they are right. */

const SHOWN_CLASSES = 5;

class OnePicture extends Part {
  static html = `
    <div class="sides">
      <div class="drop">
        <input type="file" class="file" hidden aria-label="A picture">
        <input type="file" class="capture" accept="image/*" capture="environment" hidden
               aria-label="A photo">
        <img alt="" hidden>
        <p class="hint">Drop a picture here, or paste one.</p>
        <div class="buttons">
          <button type="button" class="first choose">Choose a picture</button>
          <button type="button" class="photo">Take a photo</button>
        </div>
      </div>
      <div>
        <div class="answer" role="status" aria-live="polite"></div>
        <div class="feedback" hidden></div>
      </div>
    </div>
    <dialog aria-label="Take a photo">
      <video playsinline muted></video>
      <div class="buttons">
        <button type="button" class="first shoot">Take the photo</button>
        <button type="button" class="cancel">Cancel</button>
      </div>
    </dialog>`;

  start() {
    this.image = this.find("img");
    this.answer = this.find(".answer");
    this.feedback = this.find(".feedback");
    this.camera = this.find("dialog");
    const input = this.find(".file");
    this.takeFiles(input, ([file]) => this.judge(file));
    this.find(".capture").addEventListener("change", ({ target }) => {
      const [file] = target.files;
      target.value = "";
      if (file) this.judge(file);
    });
    this.find(".choose").addEventListener("click", () => input.click());
    this.find(".photo").addEventListener("click", () => this.openCamera());
    this.find(".shoot").addEventListener("click", () => this.shoot());
    this.find(".cancel").addEventListener("click", () => this.camera.close());
    this.camera.addEventListener("close", () => this.closeCamera());
    document.addEventListener("atelier-model", () => {
      if (this.file) this.judge(this.file);
    });
  }

  async judge(file) {
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.file = file;
    this.show(file);
    this.feedback.hidden = true;
    this.say("Looking …");
    try {
      const refused = tooLarge(file);
      if (refused) throw new Refused(refused);
      const answer = await predict([file], {
        model: chosenModel(),
        signal: running.signal,
        onWait: (seconds) => this.say(`The service is busy; trying again in ${seconds} s …`),
      });
      const [prediction] = answer.predictions;
      if (prediction.problem) throw new Refused(wordsFor(prediction.problem));
      this.tell(answer, prediction);
      if (settings.feedback) await this.askBack(answer, prediction);
    } catch (error) {
      if (error.name === "AbortError") return; // another picture has taken its place
      this.answer.replaceChildren(make("p", { className: "failed", textContent: error.message }));
    }
  }

  show(file) {
    URL.revokeObjectURL(this.image.src);
    this.image.src = URL.createObjectURL(file);
    this.image.alt = `Your picture, ${file.name || "pasted"}`;
    this.image.hidden = false;
    this.image.onerror = () => (this.image.hidden = true);
    this.find(".hint").textContent = "Drop or paste another one at any time.";
  }

  say(words) {
    this.answer.replaceChildren(make("p", { className: "quiet", textContent: words }));
  }

  tell(answer, { classes, unknown, inverted }) {
    const [best] = classes;
    const verdict = unknown
      ? make("p", { className: "verdict unknown" }, make("strong", { textContent: "Unknown" }))
      : make("p", { className: "verdict" },
          make("strong", { textContent: best.class }), ` ${percent(best.probability)}`);
    const notes = [];
    if (unknown) {
      notes.push(`The likeliest class is ${best.class} with ${percent(best.probability)}, which ` +
        "is too little for an answer.");
    }
    if (inverted) {
      notes.push("Light and dark were swapped before the model looked, for it knows light things " +
        "on a dark ground.");
    }
    const rest = classes.slice(SHOWN_CLASSES);
    const more = make("details", {}, make("summary", { textContent: `${rest.length} more classes` }),
      bars(rest, unknown));
    this.answer.replaceChildren(
      verdict,
      ...notes.map((words) => make("p", { className: "note", textContent: words })),
      bars(classes.slice(0, SHOWN_CLASSES), unknown),
      ...(rest.length ? [more] : []),
      make("p", { className: "quiet", textContent:
        `Model ${answer.model.name}, version ${answer.model.version}` }),
    );
  }

  /* The log learns whether the answer was right, and from that the service its accuracy. */
  async askBack(answer, { classes, unknown }) {
    const names = (await models).find(({ name }) => name === answer.model.name)?.classes ??
      classes.map((each) => each.class);
    const [best] = classes;
    const select = make("select", { id: "truth" },
      make("option", { value: "", textContent: "choose its class", selected: true }),
      ...names.map((name) => make("option", { value: name, textContent: name })));
    const yes = make("button", { type: "button", textContent: "That is right" });
    const send = make("button", { type: "button", textContent: "Send", disabled: true });
    const told = make("p", { className: "told" });
    told.setAttribute("role", "status");
    select.addEventListener("change", () => (send.disabled = !select.value));
    const note = async (label) => {
      for (const each of [yes, send, select]) each.disabled = true;
      try {
        await sendFeedback(answer.request_id, label);
        told.textContent = `Noted: ${label}. Thank you.`;
      } catch (error) {
        told.textContent = error.message;
        for (const each of [yes, send, select]) each.disabled = false;
      }
    };
    yes.addEventListener("click", () => note(best.class));
    send.addEventListener("click", () => note(select.value));
    const wrong = unknown ? "It is" : "This is wrong, it is";
    this.feedback.replaceChildren(
      ...(unknown ? [] : [make("div", {}, yes)]),
      make("div", {}, make("label", { htmlFor: select.id, textContent: wrong }), select, send),
      told,
    );
    this.feedback.hidden = false;
  }

  async openCamera() {
    // Browsers give the camera to pages that came safely, from this machine or by HTTPS. Elsewhere
    // a phone still opens its own camera for this input, and a computer a choice of files.
    if (!navigator.mediaDevices?.getUserMedia) {
      this.find(".capture").click();
      return;
    }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia(
        { video: { facingMode: "environment", width: { ideal: 1280 } } });
    } catch {
      this.answer.replaceChildren(make("p", { className: "failed",
        textContent: "There is no camera here, or the browser may not use it." }));
      return;
    }
    const video = this.camera.querySelector("video");
    video.srcObject = this.stream;
    this.camera.showModal();
    await video.play();
  }

  closeCamera() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
  }

  shoot() {
    const video = this.camera.querySelector("video");
    if (!video.videoWidth) return; // it has no picture yet
    const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    this.camera.close();
    canvas.toBlob((blob) => this.judge(new File([blob], "photo.jpg")), "image/jpeg", 0.95);
  }
}
customElements.define("atelier-picture", OnePicture);

/* Classes with their probabilities, as a list of bars. */
function bars(classes, unknown) {
  return make("ol", { className: unknown ? "bars unknown" : "bars" }, ...classes.map((each) => {
    const bar = make("span", { className: "bar" }, make("span"));
    bar.firstChild.style.width = percent(each.probability).replace(" ", "");
    bar.setAttribute("aria-hidden", "true");
    return make("li", {}, make("span", { className: "name", textContent: each.class }), bar,
      make("span", { className: "share", textContent: percent(each.probability) }));
  }));
}
