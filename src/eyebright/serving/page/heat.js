// The heat map of what decided an answer, over the picture.

import { asFailure, explain } from "./api.js";
import { announce, bdi, button, byId, element } from "./dom.js";
import { patiently } from "./patience.js";
import { span } from "./words.js";

// ColorBrewer's RdBu, the two steps before its darkest on either side: red and blue are told apart by nearly every eye. The
// pale steps are left to the opacity, so that a weak say tints the picture and does not fog it.
const WARM = [[214, 96, 77], [178, 24, 43]];
const COOL = [[67, 147, 195], [33, 102, 172]];
const LONGEST = 320; // pixels of the drawn map; the browser does the rest
const MIDDLE = 0.12; // of the strongest cell: below it nothing is said about where

const EDGE = 0.01; // of the picture: less than that is rounding, not a part that was cut away
const PLACES = [
  ["at the upper left", "at the top", "at the upper right"],
  ["at the left", "in the middle", "at the right"],
  ["at the lower left", "at the bottom", "at the lower right"],
];

/** Red, green, blue and opacity (0 to 255) for a value in [-1, 1]: clear at 0, warm above, cool below. */
export function colourOf(value) {
  const [near, far] = value > 0 ? WARM : COOL;
  const strength = Math.min(1, Math.abs(value));
  const channels = near.map((channel, index) => Math.round(channel + (far[index] - channel) * strength));
  return [...channels, Math.round(255 * Math.min(1, 1.25 * strength))];
}

/** The values [rows x columns] between the cells' centres, at `width` x `height` points. */
export function smoothed({ values, rows, columns }, width, height) {
  const out = new Float32Array(width * height);
  const clamp = (at, n) => Math.min(n - 1, Math.max(0, at));
  for (let y = 0; y < height; y += 1) {
    const v = ((y + 0.5) / height) * rows - 0.5;
    const top = Math.floor(v);
    const [a, b] = [clamp(top, rows) * columns, clamp(top + 1, rows) * columns];
    for (let x = 0; x < width; x += 1) {
      const u = ((x + 0.5) / width) * columns - 0.5;
      const left = Math.floor(u);
      const [c, d] = [clamp(left, columns), clamp(left + 1, columns)];
      const upper = values[a + c] + (values[a + d] - values[a + c]) * (u - left);
      const lower = values[b + c] + (values[b + d] - values[b + c]) * (u - left);
      out[y * width + x] = upper + (lower - upper) * (v - top);
    }
  }
  return out;
}

/** Where the strongest cell above 0 lies on the picture, in words; null where nothing speaks for the class. */
export function strongest({ values, rows, columns, left, top, right, bottom }) {
  const best = values.reduce((found, value, index) => (value > values[found] ? index : found), 0);
  if (values[best] < MIDDLE) return null;
  const x = left + (((best % columns) + 0.5) / columns) * (right - left);
  const y = top + ((Math.floor(best / columns) + 0.5) / rows) * (bottom - top);
  const third = (share) => Math.min(2, Math.max(0, Math.floor(share * 3)));
  return `strongest ${PLACES[third(y)][third(x)]}`;
}

/** What stands beneath the picture of an answer: the question, then the map's caption, legend and controls. */
export class Heat {
  #controller = null;

  constructor() {
    byId("explain").addEventListener("click", () => this.#ask(byId("heat-class").value));
    byId("heat-class").addEventListener("change", () => this.#ask(byId("heat-class").value));
    byId("heat-off").addEventListener("click", () => {
      this.#put("offered");
      byId("explain").focus();
    });
    byId("opacity").addEventListener("input", () => this.#opacity());
    drawLegend(byId("ramp"));
    this.#opacity();
  }

  /** For this answered job from now on; null: there is nothing to explain. */
  show(job) {
    this.#controller?.abort();
    this.job = job;
    this.#put(job ? "offered" : "none");
    if (!job) return;
    const options = job.result.predictions.map(({ label }) => element("option", { value: label, dir: "auto" }, label));
    byId("heat-class").replaceChildren(...options);
  }

  /** The controls stay once a map was shown, also while another one is asked for: whoever uses them keeps the focus. */
  #put(state, ...said) {
    const panel = byId("heat-panel");
    const open = state === "shown" || (panel.classList.contains("open") && (state === "asking" || state === "failed"));
    panel.dataset.state = state;
    panel.classList.toggle("open", open);
    byId("heat-said").replaceChildren(...said);
    byId("heat").hidden = state !== "shown";
  }

  #opacity() {
    const percent = byId("opacity").value;
    byId("heat").style.opacity = percent / 100;
    byId("opacity-said").textContent = `${percent} %`;
  }

  async #ask(label) {
    const job = this.job;
    this.#controller?.abort();
    const controller = new AbortController();
    const { signal } = controller;
    this.#controller = controller;
    const hadFocus = byId("heat-panel").contains(document.activeElement);
    const stop = button("Cancel", () => {
      controller.abort();
      this.#put("offered");
      byId("explain").focus();
    });
    this.#put("asking", element("span", {}, "Looking for what decided it …"), stop);
    if (hadFocus && document.activeElement !== byId("heat-class")) stop.focus();
    announce("Looking for what decided it.");
    const onWait = ({ failure, seconds }) => {
      byId("heat-said").firstElementChild.textContent = `${failure.title}. Asking again in ${span(seconds)}.`;
    };
    try {
      const found = await patiently(() => explain(job.model.name, job.file, label, signal), { signal, onWait });
      if (this.#controller !== controller) return;
      this.#draw(found, stop);
    } catch (error) {
      const failure = asFailure(error);
      if (this.#controller !== controller || failure.kind === "cancelled") return;
      const again = button("Try again", () => this.#ask(label));
      const hadStop = document.activeElement === stop;
      this.#put("failed", element("span", {}, `${failure.title}. ${failure.message}`), again);
      if (hadStop) again.focus();
      announce(`${failure.title}. ${failure.message}`);
    }
  }

  #draw(found, stop) {
    const hadStop = document.activeElement === stop;
    paint(byId("heat"), found);
    const where = strongest(found);
    const cells = `${methodName(found.method)}, ${found.columns} × ${found.rows} cells${where ? `; ${where}` : ""}.`;
    const label = () => bdi(found.label, "em");
    const lead = where
      ? ["Warm: pushed towards ", label(), ". Cool: pushed away from it."]
      : ["No part of the picture clearly pushed towards ", label(), "."];
    const about = cutAway(found) ? `${cells} The model saw the framed part only; the rest is cut away before it looks.` : cells;
    byId("heat-caption").replaceChildren(...lead, " ", element("span", { class: "quiet" }, about));
    this.#put("shown");
    if (hadStop) byId("opacity").focus();
    announce(byId("heat-caption").textContent);
  }
}

const cutAway = ({ left, top, right, bottom }) => left > EDGE || top > EDGE || right < 1 - EDGE || bottom < 1 - EDGE;

const methodName = (method) => ({ "grad-cam": "Grad-CAM", occlusion: "Occlusion" })[method] ?? method;

/** Draws the map and lays it where it belongs on the picture; the frame cuts off what the model saw beyond its edge. */
function paint(canvas, found) {
  const share = LONGEST / Math.max(found.rows, found.columns);
  canvas.width = Math.max(1, Math.round(found.columns * share));
  canvas.height = Math.max(1, Math.round(found.rows * share));
  colour(canvas, smoothed(found, canvas.width, canvas.height));
  const percent = (part) => `${part * 100}%`;
  canvas.classList.toggle("framed", cutAway(found));
  Object.assign(canvas.style, {
    left: percent(found.left),
    top: percent(found.top),
    width: percent(found.right - found.left),
    height: percent(found.bottom - found.top),
  });
}

function drawLegend(canvas) {
  const width = (canvas.width = 201);
  canvas.height = 1;
  colour(canvas, Float32Array.from({ length: width }, (_, x) => (x / (width - 1)) * 2 - 1));
}

function colour(canvas, values) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, index) => image.data.set(colourOf(value), index * 4));
  context.putImageData(image, 0, 0);
}
