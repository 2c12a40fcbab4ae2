// Asking again by itself where waiting helps.

import { cancelled, Failure } from "./api.js";

const ATTEMPTS = 30;
const LONGEST_S = 8;

/**
 * What `ask` gives. Where the server is busy, away, or there is no network, it is asked again after the wait it named (else
 * after 1, 2, 4, then 8 seconds); meanwhile `onWait({failure, seconds, now})` is told each second, where `now()` ends the wait.
 */
export async function patiently(ask, { signal, onWait }) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Failure) || !error.passes || attempt + 1 >= ATTEMPTS) throw error;
      await waited(error, error.retryAfter ?? Math.min(LONGEST_S, 2 ** attempt), signal, onWait);
    }
  }
}

function waited(failure, seconds, signal, onWait) {
  return new Promise((resolve, reject) => {
    const until = performance.now() + seconds * 1000;
    let ticking;
    const end = (settle) => () => {
      clearTimeout(ticking);
      signal?.removeEventListener("abort", stop);
      window.removeEventListener("online", now);
      settle();
    };
    const now = end(resolve);
    const stop = end(() => reject(cancelled()));
    const tick = () => {
      const left = (until - performance.now()) / 1000;
      if (left <= 0) return now();
      onWait({ failure, seconds: left, now });
      ticking = setTimeout(tick, Math.min(1000, left * 1000));
    };
    if (signal?.aborted) return stop();
    signal?.addEventListener("abort", stop);
    if (failure.kind === "offline") window.addEventListener("online", now);
    tick();
  });
}
