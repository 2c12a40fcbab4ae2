// The pictures that were given, each with its state; a few are asked about at once.

import { asFailure, cancelled, Failure, predict, requireSize } from "./api.js";
import { patiently } from "./patience.js";
import { sentence } from "./words.js";

const IN_FLIGHT = 3; // enough to keep the server's batches filled, few enough to leave room for others

/**
 * A job is one picture: `{file, name, state, model, result, failure, wait}`. `state` is waiting, sending, pausing (the server
 * is busy or away: `wait` says for how long), answered, unreadable, too-large, failed or cancelled. `onChange(job)` is told of
 * each step.
 */
export class Queue {
  #running = 0;

  constructor({ modelName, onChange }) {
    this.jobs = [];
    this.held = true; // until it is known whom to ask
    this.modelName = modelName;
    this.onChange = onChange;
  }

  /** Takes pictures `{file, name}`, and begins. */
  add(pictures) {
    const added = pictures.map(({ file, name }) => ({ file, name, ...fresh() }));
    this.jobs.push(...added);
    this.#go();
    return added;
  }

  /** Begins with what was given before it was known whom to ask. */
  release() {
    this.held = false;
    this.#go();
  }

  /** Stops everything and forgets the pictures. */
  clear() {
    const gone = this.jobs;
    this.jobs = [];
    for (const job of gone) {
      job.controller?.abort();
      job.controller = null;
    }
  }

  cancel(job) {
    if (!isOpen(job)) return;
    job.controller?.abort();
    this.#settle(job, { state: "cancelled", failure: cancelled() });
  }

  cancelAll() {
    this.jobs.filter(isOpen).forEach((job) => this.cancel(job));
  }

  /** Asks again about these pictures, whatever came of them. */
  again(jobs) {
    for (const job of jobs) {
      job.controller?.abort();
      Object.assign(job, fresh());
      this.onChange(job);
    }
    this.#go();
  }

  #go() {
    while (!this.held && this.#running < IN_FLIGHT) {
      const job = this.jobs.find((candidate) => candidate.state === "waiting");
      if (!job) return;
      this.#work(job);
    }
  }

  async #work(job) {
    const controller = new AbortController();
    const { signal } = controller;
    const change = (values) => {
      if (job.controller !== controller) return; // cancelled, or asked anew
      Object.assign(job, values);
      this.onChange(job);
    };
    job.controller = controller;
    this.#running += 1;
    try {
      requireSize(job.file);
      const ask = () => {
        change({ state: "sending", wait: null });
        return predict(this.modelName(), job.file, job.name, signal);
      };
      const { model, result } = await patiently(ask, { signal, onWait: (wait) => change({ state: "pausing", wait }) });
      const outcome = result.error ? { state: "unreadable", failure: unreadable(result) } : { state: "answered" };
      change({ model, result, ...outcome });
    } catch (error) {
      const failure = asFailure(error);
      const state = ["too-large", "unreadable", "cancelled"].includes(failure.kind) ? failure.kind : "failed";
      change({ state, failure });
    } finally {
      this.#running -= 1;
      this.#go();
    }
  }

  #settle(job, values) {
    Object.assign(job, values, { controller: null, wait: null });
    this.onChange(job);
  }
}

/** Whether an answer may still come. */
export const isOpen = (job) => ["waiting", "sending", "pausing"].includes(job.state);

/** Whether asking again may help, or at least was not tried to the end. */
export const canRetry = (job) => ["failed", "cancelled", "unreadable"].includes(job.state);

const fresh = () => ({ state: "waiting", controller: null, model: null, result: null, failure: null, wait: null });

const unreadable = (result) => new Failure("unreadable", "This file cannot be read as a picture", sentence(result.error));
