// What the server is asked, and every way in which it may not answer.

import { askForToken, token } from "./token.js";
import { mebibytes, sentence } from "./words.js";

// Relative to this file, so that the page also works below a prefix that a proxy takes away.
const ROOT = new URL("../", import.meta.url);
const PATIENCE_MS = 120_000; // longer than any deadline of the server's own
const TOP = 5;

/**
 * No answer. `kind`: cancelled, token, too-large, unreadable, refused, broken; or what passes by itself: busy, offline, down.
 * `title` and `message` say what happened and what to do.
 */
export class Failure extends Error {
  constructor(kind, title, message = "", { retryAfter = null, reference = null } = {}) {
    super(message);
    Object.assign(this, { kind, title, retryAfter, reference });
  }

  get passes() {
    return ["busy", "offline", "down"].includes(this.kind);
  }
}

/** The models in the server's order: `{name, sha256, title, summary, classes, height, width, form}`. */
export async function models(signal) {
  const found = await call("api/models", { signal });
  if (!Array.isArray(found.models) || !found.models.length) throw broken();
  return found.models;
}

/** One model with its `labels` and its `card`. */
export const model = (name, signal) => call(`api/models/${encodeURIComponent(name)}`, { signal });

/**
 * What the model called `name` says of `file`: `{model, result}`. A picture that cannot be read has a `result.error`; the
 * server then refuses the request, where it was about that picture alone, and `model` is null.
 */
export async function predict(name, file, label, signal) {
  const found = await call("api/predict", { query: { model: name, top_k: TOP }, file, label, signal });
  const result = found.results?.[0];
  if (!result || !(result.error || (found.model?.name && result.predictions?.length))) throw broken();
  return { model: found.model ?? null, result: { ...result, key: label } };
}

/** The heat map of what spoke for `target`, the name of a class. */
export async function explain(name, file, target, signal) {
  const heat = await call("api/explain", { query: { model: name, label: target }, file, label: file.name, signal });
  if (!(heat.rows > 0 && heat.columns > 0 && heat.values?.length === heat.rows * heat.columns)) throw broken();
  return heat;
}

/** The largest picture in bytes that this server takes. */
export const largestFile = Number(document.querySelector("meta[name=eyebright-largest-file]")?.content) || Infinity;

/** Refuses a picture that the server would refuse, before it is sent. */
export function requireSize(file) {
  if (file.size <= largestFile) return;
  const found = `It has ${mebibytes(file.size)}; this server takes less than ${mebibytes(largestFile, Math.round)}.`;
  throw new Failure("too-large", "This picture is too large", `${found} Make it smaller, and choose it again.`);
}

async function call(path, { query = {}, file, label, signal }) {
  const url = new URL(path, ROOT);
  url.search = new URLSearchParams(query);
  for (;;) {
    const used = token();
    const response = await send(url, used, file, label, signal);
    if (response.status !== 401) return understood(response);
    if (used !== token()) continue; // another request was quicker to ask the person
    if (!(await askForToken({ refused: used !== null }))) {
      const remedy = "Without it nothing is answered. Whoever started the server has it.";
      throw new Failure("token", "This server asks for a token", remedy);
    }
    if (signal?.aborted) throw cancelled();
  }
}

async function send(url, bearer, file, label, signal) {
  const deadline = AbortSignal.timeout(PATIENCE_MS);
  const request = { cache: "no-store", headers: { accept: "application/json" }, signal: deadline };
  if (signal) request.signal = AbortSignal.any([signal, deadline]);
  if (bearer !== null) request.headers.authorization = `Bearer ${bearer}`;
  if (file) {
    request.method = "POST";
    request.body = new FormData();
    request.body.append("file", file, label);
  }
  try {
    return await fetch(url, request);
  } catch (error) {
    throw await unsent(error, file, signal);
  }
}

async function unsent(error, file, signal) {
  if (signal?.aborted) return cancelled();
  if (file && !(await canBeRead(file))) {
    const remedy = "It was moved, changed, or is a folder. Choose it again.";
    return new Failure("unreadable", "This file can no longer be read", remedy);
  }
  if (!navigator.onLine) return new Failure("offline", "You are offline", "The picture is sent as soon as there is a network.");
  return new Failure("down", "The server does not answer", "It may be starting again.");
}

/** Whether the disk still gives the file: a failed request looks the same whether the network or the file is at fault. */
async function canBeRead(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

async function understood(response) {
  const body = await json(response);
  if (response.ok) {
    if (body?.schema !== 1) throw broken();
    return body;
  }
  if (response.status === 422 && body?.results?.[0]?.error) return body;
  throw refusal(response, body ?? {});
}

async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw cancelled();
    return null;
  }
}

/** The failure for a problem (RFC 9457) with this status. */
function refusal(response, problem) {
  const said = typeof problem.detail === "string" ? sentence(problem.detail) : "";
  const more = { retryAfter: secondsOf(response.headers.get("retry-after")), reference: problem.request_id ?? null };
  switch (response.status) {
    case 413:
      return new Failure("too-large", "This picture is too large", said || "Make it smaller, and choose it again.", more);
    case 429:
    case 503:
      return new Failure("busy", "The server is busy", said, more);
    case 502:
      return new Failure("down", "The server does not answer", "It may be starting again.", more);
    case 408:
      return new Failure("refused", "Sending took too long", said || "Try again, or choose a smaller picture.", more);
    case 504:
      return new Failure("refused", "The server took too long", said || "Try again in a while.", more);
    case 404:
      return new Failure("refused", "The server does not have this", said || "Load this page again.", more);
    default:
      return new Failure("refused", "The server did not answer this", said || `It said ${response.status}. Try again.`, more);
  }
}

const broken = () =>
  new Failure("broken", "The answer cannot be understood", "Another program may answer at this address. Load this page again.");

/** Whatever was thrown as a Failure: what is none is a fault of this page. */
export function asFailure(error) {
  if (error instanceof Failure) return error;
  return new Failure("broken", "The page cannot go on", `Load it again. It says: ${error}`);
}

export const cancelled = () => new Failure("cancelled", "Not asked", "You stopped before the answer came.");

/** Retry-After in seconds, whichever of its two forms it has (RFC 9110, 10.2.3); null where there is none. */
export function secondsOf(header) {
  if (!header) return null;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(600, Math.max(0, seconds)) : null;
}
