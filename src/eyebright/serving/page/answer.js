// One picture's answer, or why there is none: the column beside the picture.

import { bdi, button, byId, element } from "./dom.js";
import { isOpen } from "./queue.js";
import { percent, span, titleText, verdictOf } from "./words.js";

const ROWS = 5;

/** Shows where `job` stands. `title` is the model's; `actions` gives `{cancel, retry, choose}`. */
export function showJob(job, title, actions) {
  const section = byId("answer");
  section.dataset.state = job.state;
  section.setAttribute("aria-busy", String(isOpen(job)));
  byId("answer-of").replaceChildren(bdi(job.name));
  if (job.state === "answered") return showAnswer(job.result, title);
  if (job.state === "waiting" || job.state === "sending") return showAsking(title, actions);
  return showNotice(job, actions);
}

/** An answer: label, verdict, bars, warnings. Nodes stay where they are, so that live answers do not flicker. */
export function showAnswer(result, title) {
  const verdict = verdictOf(result);
  byId("answer").dataset.verdict = verdict.kind;
  fill(byId("answer-title"), ...verdict.title.map((part) => (part.name === undefined ? part : bdi(part.name))));
  fill(byId("verdict"), verdict.sentence);
  drawBars(result.predictions, verdict.kind);
  fill(byId("warnings"), ...(result.warnings ?? []).map((warning) => element("li", {}, warning)));
  fill(byId("answer-actions"));
  fill(byId("answer-by"), "Answered by ", bdi(title));
}

/** What a screen reader hears of an answer. */
export function spoken(job) {
  const verdict = verdictOf(job.result);
  const warnings = (job.result.warnings ?? []).map((warning) => ` ${warning}`).join("");
  return `${titleText(verdict)}. ${verdict.sentence}${warnings}`;
}

function showAsking(title, { cancel }) {
  byId("answer").dataset.verdict = "none";
  fill(byId("answer-title"), "Asking …");
  fill(byId("verdict"), bdi(title));
  drawBars([], "none");
  fill(byId("warnings"));
  fill(byId("answer-by"));
  keep(byId("answer-actions"), ["Cancel", cancel]);
}

function showNotice(job, { cancel, retry, choose }) {
  const { failure, wait } = job;
  byId("answer").dataset.verdict = "none";
  byId("bars").hidden = true;
  fill(byId("warnings"));
  const reference = failure?.reference;
  fill(byId("answer-by"), ...(reference ? ["Reference for whoever runs the server: ", bdi(reference, "code")] : []));
  if (job.state === "pausing") {
    fill(byId("answer-title"), wait.failure.title);
    fill(byId("verdict"), waitSentence(wait));
    keep(byId("answer-actions"), ["Ask now", () => job.wait?.now()], ["Cancel", cancel]);
    return;
  }
  fill(byId("answer-title"), failure.title);
  fill(byId("verdict"), failure.message);
  const helps = !["too-large", "unreadable"].includes(job.state);
  keep(byId("answer-actions"), ...(helps ? [["Ask again", retry]] : []), ["Choose another", choose]);
}

/** What is waited for, and how long. */
export function waitSentence({ failure, seconds }) {
  if (failure.kind === "offline") return failure.message;
  return `${failure.message} Asking again in ${span(seconds)}.`.trim();
}

const fill = (target, ...children) => {
  target.hidden = children.length === 0;
  target.replaceChildren(...children);
};

/** Buttons by their words: one that is there already stays, with its focus; a focus that would be lost goes to the first. */
function keep(target, ...wanted) {
  const had = target.contains(document.activeElement);
  const before = new Map([...target.children].map((child) => [child.textContent, child]));
  const nodes = wanted.map(([words, act]) => {
    const node = before.get(words) ?? button(words);
    node.onclick = act;
    return node;
  });
  if (nodes.length !== target.children.length || nodes.some((node, index) => node !== target.children[index])) {
    fill(target, ...nodes);
    if (had && !target.contains(document.activeElement)) nodes[0].focus();
  }
  target.hidden = false;
}

/** Five rows: name, figure, bar. Without predictions they are empty tracks, so that the answer moves nothing when it comes. */
function drawBars(predictions, kind) {
  const list = byId("bars");
  list.hidden = false;
  list.setAttribute("aria-hidden", String(!predictions.length));
  const wanted = predictions.length || ROWS;
  while (list.children.length > wanted) list.lastElementChild.remove();
  while (list.children.length < wanted) list.append(bar());
  const chosen = { sure: 1, plain: 1, between: 2 }[kind] ?? 0;
  [...list.children].forEach((row, index) => {
    const found = predictions[index];
    const [name, figure, track] = row.children;
    name.textContent = found?.label ?? "\u00a0";
    figure.textContent = found ? percent(found.probability) : "";
    track.firstElementChild.style.inlineSize = `${(found?.probability ?? 0) * 100}%`;
    row.classList.toggle("chosen", found !== undefined && index < chosen);
  });
}

const bar = () =>
  element(
    "li",
    {},
    element("bdi", { class: "name", dir: "auto" }),
    element("span", { class: "figure" }),
    element("span", { class: "track", "aria-hidden": "true" }, element("i")),
  );
