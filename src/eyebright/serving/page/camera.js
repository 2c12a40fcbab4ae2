// The live camera: one frame is asked about at a time, and the camera is let go when nobody can see the page.

import { asFailure, predict } from "./api.js";
import { patiently } from "./patience.js";

const KEPT = 12; // answers over which rate and latency are taken
const REFUSALS = {
  NotAllowedError: ["The camera was refused", "Allow it for this page in the browser’s settings, then start it again."],
  NotFoundError: ["No camera was found", "Connect one and start it again, or choose a picture."],
  NotReadableError: ["The camera is in use", "Another program holds it. Close that one, then start it again."],
};

const OTHER_REFUSAL = [
  "The camera cannot be used",
  "Browsers allow it only at https:// or on this computer itself. Choose a picture in its place.",
];

/** Why there is no camera, as `{title, message}`. */
export function refusalOf(error) {
  const [title, message] = REFUSALS[error?.name] ?? OTHER_REFUSAL;
  return { title, message };
}

/**
 * A camera in `video`. While it runs `onAnswer(result, model, {rate, latency})` is told of each answer (answers a second; the
 * median in milliseconds), `onWait` of waits for the server, and `onEnd(failure or null)` once when it ends by itself.
 */
export class Camera {
  #stream = null;
  #controller = null;
  #times = [];

  constructor({ video, model, onAnswer, onWait, onEnd }) {
    Object.assign(this, { video, model, onAnswer, onWait, onEnd });
  }

  get running() {
    return this.#controller !== null;
  }

  /** Asks for the camera and begins; throws what getUserMedia throws. */
  async start() {
    this.stop();
    const controller = new AbortController();
    this.#controller = controller;
    try {
      if (!navigator.mediaDevices) throw new Error("insecure");
      const wanted = { video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 } }, audio: false };
      const stream = await navigator.mediaDevices.getUserMedia(wanted);
      if (this.#controller !== controller) return void letGo(stream); // stopped while the person was asked
      this.#stream = stream;
      this.video.srcObject = stream;
      stream.getVideoTracks()[0].addEventListener("ended", () => this.#end(controller, null));
      await this.video.play();
    } catch (error) {
      if (this.#controller !== controller) return;
      this.stop();
      throw error;
    }
    this.#times = [];
    this.#watch(controller);
  }

  /** Lets the camera go, and the frame that is on its way. */
  stop() {
    this.#controller?.abort();
    this.#controller = null;
    if (this.#stream) letGo(this.#stream);
    this.#stream = null;
    this.video.srcObject = null;
  }

  /** What the camera sees now, whole, as a picture `{file, name}`. */
  async photograph() {
    const file = await frame(this.video, Infinity, 0.95);
    return { file, name: file.name };
  }

  async #watch(controller) {
    const { signal } = controller;
    try {
      while (this.#controller === controller) {
        await painted(this.video, signal);
        if (this.#controller !== controller) return;
        const model = this.model();
        const file = await frame(this.video, usefulSide(model), 0.9);
        const begun = performance.now();
        const answer = await patiently(() => predict(model.name, file, file.name, signal), { signal, onWait: this.onWait });
        if (this.#controller !== controller) return;
        if (answer.result.error || model !== this.model()) continue;
        this.onAnswer(answer.result, answer.model, this.#measured(begun));
      }
    } catch (error) {
      this.#end(controller, asFailure(error));
    }
  }

  #end(controller, failure) {
    if (this.#controller !== controller) return;
    this.stop();
    this.onEnd(failure);
  }

  #measured(begun) {
    const now = performance.now();
    this.#times = [...this.#times, { now, took: now - begun }].slice(-KEPT);
    const took = this.#times.map((time) => time.took).sort((a, b) => a - b);
    const first = this.#times[0];
    return { rate: this.#times.length / ((now - first.now + first.took) / 1000), latency: took[Math.floor(took.length / 2)] };
  }
}

/** Twice what the model looks at is enough, and small enough to be quick. */
const usefulSide = (model) => Math.min(640, Math.max(256, 2 * Math.max(model.width, model.height)));

const letGo = (stream) => stream.getTracks().forEach((track) => track.stop());

/** The next new frame of `video`; at once when it is stopped. */
function painted(video, signal) {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
    else requestAnimationFrame(done);
  });
}

function frame(video, longest, quality) {
  const share = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(video.videoWidth * share));
  canvas.height = Math.max(1, Math.round(video.videoHeight * share));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    const made = (blob) => {
      if (blob) resolve(new File([blob], "photograph.jpg", { type: "image/jpeg" }));
      else reject(new Error("the camera gave no frame"));
    };
    canvas.toBlob(made, "image/jpeg", quality);
  });
}
