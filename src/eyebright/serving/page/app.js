// The page as a whole: one picture with its answer, many in a table, or the live camera; and who is told of what.

import { showAnswer, showJob, spoken, waitSentence } from "./answer.js";
import { Camera, refusalOf } from "./camera.js";
import { announce, bringIntoView, button, byId, focusOn } from "./dom.js";
import { Heat } from "./heat.js";
import { sample, takeIn } from "./intake.js";
import { isOpen, Queue } from "./queue.js";
import { Shelf } from "./shelf.js";
import { Table } from "./table.js";
import { prepareTokenDialog } from "./token.js";
import { plural, titleText, verdictOf } from "./words.js";

const TINY = 160; // pixels: smaller pictures are shown with their pixels, not blurred
const SPEAK_LIVE_MS = 4000;

let shown = null; // the job beside whose picture the answer stands
let address = null; // of that picture, to be revoked
let live = { label: null, at: -Infinity };
let spokenState = null; // what was last said of the shown picture: a wait is said once

const shelf = new Shelf({ onReady: ready, onChoice: modelChanged });
const queue = new Queue({ modelName: () => shelf.current.name, onChange: jobChanged });
const table = new Table({ queue, onOpen: openJob, onClear: startOver, modelName: () => shelf.current?.name ?? "pictures" });
const heat = new Heat();
const camera = new Camera({
  video: byId("video"),
  model: () => shelf.current,
  onAnswer: sawLive,
  onWait: waitsLive,
  onEnd: cameraEnded,
});

const actions = {
  cancel: () => queue.cancel(shown),
  retry: () => queue.again([shown]),
  choose: () => byId("files").click(),
};

prepareTokenDialog();
takeIn(take);
byId("camera").addEventListener("click", startCamera);
byId("shutter").addEventListener("click", photograph);
byId("camera-stop").addEventListener("click", goBack);
byId("back").addEventListener("click", backToTable);
byId("picture").addEventListener("load", fitPicture);
byId("picture").addEventListener("error", () => {
  byId("plate").dataset.preview = "none";
});
byId("video").addEventListener("resize", () => fit(byId("video").videoWidth, byId("video").videoHeight));
for (const control of document.querySelectorAll("[data-sample]")) {
  control.addEventListener("click", () => trySample(control.dataset.sample));
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden && camera.running) pauseCamera();
});
shelf.load();

function ready() {
  byId("camera").disabled = false;
  queue.release();
}

/** Pictures from outside: one stands beside its answer, several make a table; in a table more are added to it. */
function take(pictures, leftOut) {
  byId("left-out").textContent = leftOut ? `${plural(leftOut, "file")} of the folder left out: no pictures.` : "";
  announce(byId("left-out").textContent);
  if (!pictures.length) return;
  camera.stop();
  if (!hasTable()) forget(); // a table is only ever added to: what was answered is not lost by a slip of the hand
  const jobs = queue.add(pictures);
  table.add(jobs);
  if (hasTable()) {
    put("table");
    bringIntoView(byId("stage"));
    return;
  }
  showPicture(jobs[0]);
  announce(`Asking ${modelTitle()}.`);
}

async function trySample(link) {
  try {
    take([await sample(new URL(link, document.baseURI).href)], 0);
  } catch {
    const [title, message] = ["The sample cannot be fetched", "The server does not answer. It may be starting again."];
    put("notice", title, message, button("Try again", () => trySample(link)), ...wayBack());
    focusOn(byId("notice-title"));
    announce(`${title}. ${message}`);
  }
}

const modelTitle = () => (shelf.current ? shelf.titleOf(shelf.current.name) : "the server which models it has");
const view = () => byId("stage").dataset.view;
const hasTable = () => queue.jobs.length > 1;

/** Shows one of: empty, picture, table, camera, notice. */
function put(next, title, message, ...controls) {
  byId("stage").dataset.view = next;
  byId("drop-title").textContent = hasTable() ? "Add pictures" : queue.jobs.length ? "Another picture" : "Drop a picture here";
  byId("back").hidden = !(next === "picture" && hasTable());
  if (next !== "picture") {
    heat.show(null);
    shown = null;
  }
  if (next !== "notice") return;
  byId("notice-title").textContent = title;
  byId("notice-message").textContent = message;
  byId("notice-actions").replaceChildren(...controls);
}

function forget() {
  queue.clear();
  table.clear();
  shown = null;
}

function startOver() {
  forget();
  byId("left-out").textContent = "";
  put("empty");
  byId("drop").focus();
}

function showPicture(job) {
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(job.file);
  shown = job;
  put("picture");
  byId("plate").dataset.preview = "picture";
  byId("picture").alt = `The picture asked about: ${job.name}`;
  byId("picture").src = address;
  byId("blank-name").textContent = job.name;
  drawShown();
  bringIntoView(byId("stage"));
}

function openJob(job) {
  showPicture(job);
  focusOn(byId("answer-title"));
}

function backToTable() {
  const job = shown;
  put("table");
  table.opener(job)?.focus();
}

function drawShown() {
  showJob(shown, shown.model ? shelf.titleOf(shown.model.name) : modelTitle(), actions);
  heat.show(shown.state === "answered" ? shown : null);
}

function jobChanged(job) {
  table.update(job);
  if (job.model && job.state === "answered") shelf.noticed(job.model);
  if (job !== shown) return;
  const state = job.state === "pausing" ? job.wait.failure.kind : job.state;
  drawShown();
  if (job.state === "answered") announce(spoken(job));
  else if (job.state === "pausing" && spokenState !== state) announce(`${job.wait.failure.title}. ${waitSentence(job.wait)}`);
  else if (!isOpen(job)) announce(`${job.failure.title}. ${job.failure.message}`);
  if (job.state !== "sending") spokenState = state;
}

/** Another model answers for everything that is here. */
function modelChanged(model) {
  const title = shelf.titleOf(model.name);
  if (queue.jobs.length) {
    queue.again(queue.jobs);
    announce(hasTable() ? `Asking ${title} about ${plural(queue.jobs.length, "picture")}.` : `Asking ${title}.`);
  } else announce(`${title} answers now.`);
}

function fitPicture() {
  const { naturalWidth, naturalHeight } = byId("picture");
  fit(naturalWidth, naturalHeight);
}

/** Gives the frame the picture's own proportions, so that the map lies on it to the pixel. */
function fit(width, height) {
  if (!width || !height) return;
  byId("frame").style.setProperty("--ratio", width / height);
  byId("frame").classList.toggle("tiny", Math.max(width, height) <= TINY);
}

async function startCamera() {
  put("camera");
  byId("plate").dataset.preview = "camera";
  byId("answer").dataset.verdict = "none";
  byId("answer").dataset.state = "live";
  live = { label: null, at: -Infinity };
  liveSays("Starting the camera …");
  focusOn(byId("answer-title"));
  bringIntoView(byId("stage"));
  try {
    await camera.start();
    if (camera.running) announce("The camera is on.");
    if (camera.running && document.hidden) pauseCamera();
  } catch (error) {
    const { title, message } = refusalOf(error);
    cameraNotice(title, message, "Start it again");
  }
}

function cameraNotice(title, message, again) {
  const start = button(again, startCamera);
  put("notice", title, message, start, ...wayBack());
  start.focus();
  announce(`${title}. ${message}`);
}

function pauseCamera() {
  camera.stop();
  cameraNotice("The camera is off", "It stops when this page cannot be seen.", "Go on");
}

/** What was there before the camera, or a notice: the table, the one picture, or nothing. */
function goBack() {
  camera.stop();
  if (hasTable()) put("table");
  else if (queue.jobs.length) showPicture(queue.jobs[0]);
  else put("empty");
  focusOn(byId(hasTable() ? "table-title" : queue.jobs.length ? "answer-title" : "drop"));
}

const wayBack = () => (queue.jobs.length ? [button("Back", goBack)] : []);

function cameraEnded(failure) {
  if (!failure) return cameraNotice("The camera stopped", "It was taken away, or switched off.", "Start it again");
  cameraNotice(failure.title, failure.message, "Start it again");
}

async function photograph() {
  if (!camera.running) return;
  const picture = await camera.photograph();
  camera.stop();
  take([picture], 0);
}

function liveSays(title, sentence = "") {
  byId("answer-of").textContent = "Live camera";
  byId("answer-title").textContent = title;
  byId("verdict").textContent = sentence;
  byId("verdict").hidden = !sentence;
  for (const id of ["bars", "warnings", "answer-actions", "answer-by"]) byId(id).hidden = true;
  byId("pace").textContent = "";
}

function sawLive(result, model, { rate, latency }) {
  byId("answer").setAttribute("aria-busy", "false");
  showAnswer(result, shelf.titleOf(model.name));
  byId("pace").textContent = `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} pictures/s · ${Math.round(latency)} ms`;
  const label = titleText(verdictOf(result));
  const now = performance.now();
  if (label === live.label || now - live.at < SPEAK_LIVE_MS) return;
  live = { label, at: now };
  announce(label);
}

function waitsLive({ failure, seconds }) {
  const sentence = waitSentence({ failure, seconds });
  if (byId("answer-title").textContent !== failure.title) announce(`${failure.title}. ${sentence}`);
  liveSays(failure.title, sentence);
}
