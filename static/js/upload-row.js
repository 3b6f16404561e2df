// How one upload looks in the list: its name, bar, words and buttons.

const WINDOW_MS = 10_000;

/**
 * Buttons of a row by the upload's state: [words for going on or pausing, words for ending].
 * While the server checks there is nothing to be done, so both stay as they are, disabled.
 */
const BUTTONS = {
  ready: ["", "Remove"],
  queued: ["Pause", "Cancel"],
  sending: ["Pause", "Cancel"],
  checking: null,
  paused: ["Resume", "Cancel"],
  refused: ["", "Remove"],
  failed: ["Try again", "Remove"],
};

export class Row {
  constructor(template, file, { onPause, onEnd }) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.name = file.name;
    this.size = file.size;
    this.bar = this.#part("upload-progress");
    this.#part("upload-name").textContent = file.name;
    this.#part("upload-size").textContent = megabytes(file.size);
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    this.#part("upload-pause").addEventListener("click", onPause);
    this.#part("upload-cancel").addEventListener("click", onEnd);
  }

  /** Words and buttons for a state; `note` says more about it. */
  show(state, note) {
    const isLost = state === "refused" || state === "failed";
    this.element.classList.toggle("is-refused", isLost);
    this.element.classList.toggle("is-paused", state === "paused");
    this.bar.hidden = isLost;
    this.note(note);
    const words = BUTTONS[state];
    const [pause, end] = [this.#part("upload-pause"), this.#part("upload-cancel")];
    pause.disabled = end.disabled = !words;
    if (!words) return;
    this.#label(pause, words[0]);
    this.#label(end, words[1]);
    if (pause.hidden && pause === document.activeElement) end.focus();
  }

  note(text) {
    this.#part("upload-note").textContent = text;
  }

  progress(bytes) {
    this.bar.value = percent(bytes, this.size);
  }

  /** Done: the way to the analysis is all that is left. */
  link(url) {
    this.element.classList.add("is-done");
    this.bar.value = 100;
    const link = document.createElement("a");
    link.href = url;
    link.textContent = "Uploaded. Follow the analysis";
    this.#part("upload-note").replaceChildren(link);
    this.#part("upload-pause").remove();
    this.#part("upload-cancel").remove();
  }

  #part(name) {
    return this.element.querySelector(`.${name}`);
  }

  #label(button, words) {
    button.textContent = words;
    button.setAttribute("aria-label", `${words} ${this.name}`);
    button.hidden = !words;
  }
}

/** How fast bytes went during the last ten seconds. */
export class Pace {
  samples = [];

  add(bytes, now = performance.now()) {
    this.samples.push({ bytes, now });
    while (now - this.samples[0].now > WINDOW_MS) this.samples.shift();
  }

  /** Bytes in a second; 0 as long as there is nothing to tell it from. */
  rate() {
    const [first, last] = [this.samples.at(0), this.samples.at(-1)];
    const seconds = first ? (last.now - first.now) / 1000 : 0;
    return seconds > 0.3 ? Math.max(0, last.bytes - first.bytes) / seconds : 0;
  }
}

/** “43%, 2.1 MB/s, about 20 s left” */
export function progressWords(bytes, size, rate) {
  const words = [`${percent(bytes, size)}%`];
  if (rate > 0) words.push(`${megabytes(rate)}/s`, `${duration((size - bytes) / rate)} left`);
  return words.join(", ");
}

export function percent(bytes, size) {
  return Math.floor((bytes / size) * 100);
}

export function megabytes(bytes) {
  const size = bytes / 1024 / 1024;
  if (bytes > 0 && size < 0.1) return "under 0.1 MB";
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} MB`;
}

function duration(seconds) {
  if (seconds < 10) return "a few seconds";
  if (seconds < 90) return `about ${Math.round(seconds / 10) * 10} s`;
  if (seconds < 90 * 60) return `about ${Math.round(seconds / 60)} min`;
  return `about ${Math.round(seconds / 3600)} h`;
}
