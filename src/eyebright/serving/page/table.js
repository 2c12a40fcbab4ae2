// Many pictures: a row each, with what can be done about it, and what can be done about all.

import { announce, bdi, button, byId, element } from "./dom.js";
import { canRetry, isOpen } from "./queue.js";
import { asCsv, asJson, save } from "./saving.js";
import { percent, plural, span, titleText, verdictOf } from "./words.js";

const THUMB = 112; // pixels: 56 on paper, at twice the density
const SAY_EVERY_MS = 6000;

const STATES = {
  waiting: "waiting",
  sending: "asking",
  answered: "answered",
  unreadable: "unreadable",
  "too-large": "too large",
  failed: "failed",
  cancelled: "cancelled",
};

const PAUSES = { busy: "server busy", down: "server away", offline: "offline" };

/** The word for where a picture stands. */
export function stateOf({ state, wait }) {
  return state === "pausing" ? `${PAUSES[wait.failure.kind]}, ${span(wait.seconds)}` : STATES[state];
}

export class Table {
  #rows = new Map();
  #spoke = 0;
  #finished = true;
  #waiting = [];
  #drawing = false;

  constructor({ queue, onOpen, onClear, modelName }) {
    Object.assign(this, { queue, onOpen, modelName });
    const kept = (kind) => `eyebright-${this.modelName()}.${kind}`;
    byId("cancel-all").addEventListener("click", () => queue.cancelAll());
    byId("retry-all").addEventListener("click", () => queue.again(queue.jobs.filter(canRetry)));
    byId("save-csv").addEventListener("click", () => save(asCsv(queue.jobs, stateOf), kept("csv"), "text/csv;charset=utf-8"));
    byId("save-json").addEventListener("click", () => save(asJson(queue.jobs), kept("json"), "application/json"));
    byId("clear").addEventListener("click", onClear);
  }

  /** A row for each of these pictures; their thumbnails come one after the other. */
  add(jobs) {
    for (const job of jobs) {
      const row = rowFor(job, this.queue, () => this.onOpen(job));
      this.#rows.set(job, row);
      byId("rows").append(row.node);
      this.#waiting.push(job);
      this.update(job);
    }
    this.#drawThumbnails();
  }

  clear() {
    this.#rows.clear();
    this.#waiting = [];
    this.#finished = true;
    byId("rows").replaceChildren();
  }

  /** The button that opens this picture, to give the focus back to. */
  opener(job) {
    return this.#rows.get(job)?.name;
  }

  update(job) {
    const row = this.#rows.get(job);
    if (!row) return;
    draw(row, job);
    this.#sum();
  }

  #sum() {
    const { jobs } = this.queue;
    const open = jobs.filter(isOpen).length;
    const answered = jobs.filter((job) => job.state === "answered").length;
    const rest = jobs.length - open - answered;
    const done = `${answered.toLocaleString("en-GB")} of ${plural(jobs.length, "picture")} answered`;
    const said = rest ? `${done}, ${rest.toLocaleString("en-GB")} not` : done;
    byId("table-title").textContent = plural(jobs.length, "picture");
    byId("table-said").textContent = open ? `${said}, ${open} to go.` : `${said}.`;
    byId("progress").max = Math.max(1, jobs.length);
    byId("progress").value = jobs.length - open;
    byId("progress").hidden = open === 0;
    const focused = document.activeElement;
    byId("cancel-all").hidden = open === 0;
    byId("retry-all").hidden = !jobs.some(canRetry);
    byId("save-json").hidden = !jobs.some((job) => job.result);
    if (focused?.hidden) byId("save-csv").focus(); // what is hidden loses the focus
    this.#speak(open, `${said}.`);
  }

  /** Says how far it is every few seconds, and when it is done. */
  #speak(open, said) {
    if ((open === 0 && this.#finished) || byId("stage").dataset.view !== "table") return;
    const now = performance.now();
    if (open > 0 && !this.#finished && now - this.#spoke < SAY_EVERY_MS) return;
    if (open > 0 && this.#finished) announce(`Asking about ${plural(this.queue.jobs.length, "picture")}.`);
    else announce(open ? said : `Done. ${said}`);
    this.#spoke = now;
    this.#finished = open === 0;
  }

  async #drawThumbnails() {
    if (this.#drawing) return;
    this.#drawing = true;
    for (let job = this.#waiting.shift(); job; job = this.#waiting.shift()) {
      const row = this.#rows.get(job);
      if (row) await thumbnail(row.canvas, job.file);
    }
    this.#drawing = false;
  }
}

function rowFor(job, queue, open) {
  const canvas = element("canvas", { class: "thumb", width: 0, height: 0, "aria-hidden": "true" });
  const name = button("", open, { class: "as-link" });
  name.append(bdi(job.name));
  const state = element("td", { class: "state", role: "cell" });
  const label = element("td", { class: "label", role: "cell" });
  const figure = element("td", { class: "number", role: "cell" });
  const act = button("Cancel", () => (isOpen(job) ? queue.cancel(job) : queue.again([job])));
  const node = element(
    "tr",
    { role: "row" },
    element("td", { class: "shot", role: "cell" }, canvas),
    element("th", { class: "file", scope: "row", role: "rowheader" }, name),
    state,
    label,
    figure,
    element("td", { class: "act", role: "cell" }, act),
  );
  return { node, canvas, name, state, label, figure, act };
}

function draw(row, job) {
  row.node.dataset.state = job.state;
  row.state.textContent = stateOf(job);
  const verdict = job.state === "answered" ? verdictOf(job.result) : null;
  const problem = job.failure && job.state !== "cancelled" ? job.failure.message || job.failure.title : "";
  row.label.replaceChildren(verdict ? bdi(titleText(verdict)) : element("span", { class: "quiet" }, problem));
  row.figure.textContent = verdict && verdict.kind !== "unknown" ? percent(job.result.predictions[0].probability) : "";
  const words = isOpen(job) ? "Cancel" : canRetry(job) ? "Retry" : "";
  const had = document.activeElement === row.act;
  row.act.hidden = words === "";
  row.act.textContent = words;
  row.act.setAttribute("aria-label", `${words} ${job.name}`);
  if (had && row.act.hidden) row.name.focus();
}

/** A small copy, so that a thousand photographs are not kept decoded; an empty frame where the browser cannot read the file. */
async function thumbnail(canvas, file) {
  try {
    const whole = await createImageBitmap(file);
    const side = Math.min(whole.width, whole.height);
    Object.assign(canvas, { width: THUMB, height: THUMB });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(whole, (whole.width - side) / 2, (whole.height - side) / 2, side, side, 0, 0, THUMB, THUMB);
    whole.close();
  } catch {
    canvas.classList.add("blank");
  }
}
