// The table as files to keep: CSV for people's spreadsheets, JSON as the server said it.

import { element } from "./dom.js";

const TOP = 5;
const BOM = "\ufeff"; // without it Excel reads names that are not ASCII as another encoding
const STARTS_FORMULA = /^[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]/; // OWASP, "CSV Injection"; the wide forms too

/** One cell, inert in a spreadsheet: what would start a formula is led by an apostrophe; quoted as RFC 4180 has it. */
export function cell(value) {
  const text = String(value ?? "");
  const inert = STARTS_FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n']/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}

/** A line a picture: what it is called, how it went, the top five. */
export function asCsv(jobs, stateOf) {
  const head = ["file", "state", "verdict", "warnings", "error", "model", "version"];
  for (let rank = 1; rank <= TOP; rank += 1) head.push(`label_${rank}`, `probability_${rank}`);
  const lines = jobs.map((job) => {
    const { result, failure, model } = job;
    const error = result?.error ?? (failure ? `${failure.title}. ${failure.message}` : "");
    const line = [job.name, stateOf(job), result?.verdict, result?.warnings?.join(" "), error, model?.name, model?.sha256];
    for (let rank = 0; rank < TOP; rank += 1) {
      const found = result?.predictions?.[rank];
      line.push(found?.label, found?.probability);
    }
    return line;
  });
  return BOM + [head, ...lines].map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

/**
 * The server's own results, as `eyebright predict --json` prints them. Pictures that it never answered are left out. Where it
 * changed versions in between there is one such document a version, in a list.
 */
export function asJson(jobs) {
  const documents = new Map();
  const said = jobs.filter((job) => job.result);
  const some = said.find((job) => job.model)?.model ?? null; // a refusal names no model
  for (const { model: own, result } of said) {
    const model = own ?? some ?? { name: null, sha256: null };
    if (!documents.has(model.sha256)) documents.set(model.sha256, { schema: 1, model, results: [] });
    documents.get(model.sha256).results.push(result);
  }
  const all = [...documents.values()];
  return `${JSON.stringify(all.length === 1 ? all[0] : all, null, 2)}\n`;
}

/** Hands `text` to the person as a file. */
export function save(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
