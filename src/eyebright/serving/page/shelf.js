// The model menu, the line beneath it, and the model's card.

import * as api from "./api.js";
import { bdi, button, byId, element } from "./dom.js";
import { rendered } from "./markdown.js";
import { plural, span } from "./words.js";
import { patiently } from "./patience.js";

/**
 * Which models there are and which is chosen. `onReady()` is told when that is known, `onChoice(model)` when another is chosen:
 * by the person, or because the server has the old one no more.
 */
export class Shelf {
  #models = [];
  #opened = null;
  #versions = new Set();

  constructor({ onReady, onChoice }) {
    this.current = null;
    Object.assign(this, { onReady, onChoice });
    byId("models").addEventListener("change", () => this.#choose(byId("models").value));
    byId("card").addEventListener("toggle", () => this.#openCard());
  }

  /** Asks the server which models it has, for as long as it takes. */
  async load() {
    const first = this.current === null; // else the menu stays as it is while the server is asked again
    if (first) this.#say("Asking which models there are …");
    try {
      this.#models = await patiently(() => api.models(), { onWait: (wait) => first && this.#waits(wait) });
      this.#models.forEach((model) => this.#versions.add(model.sha256));
      this.#fill();
      this.onReady();
    } catch (error) {
      const failure = api.asFailure(error);
      if (first) this.#say(`${failure.title}. ${failure.message}`, button("Try again", () => this.load()));
    }
  }

  /** Asks anew, once a version, where an answer came from a version that was not there before. */
  noticed({ sha256 }) {
    if (this.#versions.has(sha256)) return;
    this.#versions.add(sha256);
    this.load();
  }

  /** What a model is called; with the name it is served under where another is called the same. */
  titleOf(name) {
    const title = this.#models.find((model) => model.name === name)?.title || name;
    const shared = this.#models.filter((model) => model.title === title).length > 1;
    return shared && title !== name ? `${title} (${name})` : title;
  }

  #waits({ failure, seconds, now }) {
    const why = failure.kind === "busy" ? "The server is starting." : `${failure.title}.`;
    this.#say(`${why} Asking again in ${span(seconds)}.`, button("Ask now", now));
  }

  #say(...parts) {
    byId("model").dataset.state = "waiting";
    byId("model-summary").replaceChildren(...parts.flatMap((part) => [part, " "]));
    byId("model-facts").replaceChildren();
  }

  #fill() {
    const wanted = this.current?.name ?? new URLSearchParams(location.search).get("model");
    const chosen = this.#models.find((model) => model.name === wanted) ?? this.#models[0];
    const options = this.#models.map(({ name }) => element("option", { value: name }, this.titleOf(name)));
    byId("models").replaceChildren(...options);
    byId("models").value = chosen.name;
    byId("model").dataset.state = "ready";
    const other = this.current !== null && this.current.name !== chosen.name;
    this.#show(chosen);
    if (other) this.onChoice(chosen);
  }

  #choose(name) {
    this.#show(this.#models.find((model) => model.name === name));
    const address = new URL(location.href);
    address.searchParams.set("model", name);
    history.replaceState(null, "", address);
    this.onChoice(this.current);
  }

  #show(model) {
    this.current = model;
    byId("model-summary").replaceChildren(bdi(model.summary || "Its makers wrote no line about it."));
    const facts = [plural(model.classes, "class", "classes"), `${model.width} × ${model.height} px`, formName(model.form)];
    byId("model-facts").replaceChildren(...facts.map((fact) => element("li", {}, fact)));
    this.#opened?.abort();
    byId("card-body").replaceChildren();
    if (byId("card").open) this.#openCard();
  }

  async #openCard() {
    const body = byId("card-body");
    if (!byId("card").open || !this.current || body.hasChildNodes()) return;
    this.#opened?.abort();
    this.#opened = new AbortController();
    const { signal } = this.#opened;
    body.replaceChildren(element("p", { class: "quiet" }, "Fetching the card …"));
    try {
      const model = await patiently(() => api.model(this.current.name, signal), { signal, onWait: () => {} });
      body.replaceChildren(...cardOf(model));
    } catch (error) {
      const failure = api.asFailure(error);
      if (failure.kind === "cancelled") return;
      const again = button("Try again", () => {
        body.replaceChildren();
        this.#openCard();
      });
      body.replaceChildren(element("p", {}, `${failure.title}. ${failure.message} `, again));
    }
  }
}

const FORMS = { onnx: "ONNX", torch: "PyTorch", litert: "LiteRT", handcrafted: "hand-made features" };

const formName = (form) => FORMS[form] ?? form;

function cardOf(model) {
  const names = model.labels.map((label) => element("li", {}, bdi(label)));
  const facts = [
    ["Served as", model.name],
    ["Picture size", `${model.width} × ${model.height} pixels`],
    ["Form", formName(model.form)],
    ["Version", model.sha256.slice(0, 12)],
  ];
  const list = element("ul", {}, ...names);
  const said = facts.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, bdi(value))]);
  return [
    element(
      "div",
      {},
      element("dl", { class: "facts" }, ...said),
      element("h2", { id: "classes-title" }, plural(model.labels.length, "class", "classes")),
      element("div", { class: "classes", tabindex: "0", role: "region", "aria-labelledby": "classes-title" }, list),
    ),
    element("div", {}, ...(model.card ? rendered(model.card) : [element("p", {}, "This model has no card.")])),
  ];
}
