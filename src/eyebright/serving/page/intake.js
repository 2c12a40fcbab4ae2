// How pictures come in: dropped (folders too), pasted, chosen, photographed, or one of the samples.

import { byId } from "./dom.js";

/** Tells `onPictures([{file, name}], leftOut)` of whatever is given in any of these ways; `leftOut` counts files in folders. */
export function takeIn(onPictures) {
  for (const [opener, field] of [["drop", "files"], ["photograph", "capture"]]) {
    byId(opener).addEventListener("click", () => byId(field).click());
    byId(field).addEventListener("change", () => {
      const files = [...byId(field).files];
      byId(field).value = ""; // so that the same file can be chosen again
      if (files.length) onPictures(files.map(named), 0);
    });
  }
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    onPictures(files.map(named), 0);
  });
  followDragging(onPictures);
}

const named = (file) => ({ file, name: file.name || "picture" });

/** Everywhere on the page a picture may be let go; the drop area says so while one hovers. */
function followDragging(onPictures) {
  let depth = 0;
  const hovering = (now) => {
    if (!now) depth = 0;
    document.body.classList.toggle("dragging", now);
  };
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    hovering(true);
  });
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  document.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth -= 1;
    if (depth <= 0) hovering(false);
  });
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    hovering(false);
    const { pictures, leftOut } = await dropped(event.dataTransfer);
    if (pictures.length || leftOut) onPictures(pictures, leftOut);
  });
}

async function dropped(transfer) {
  // The entries must be asked for before the first await: after it the browser has emptied the list.
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = { pictures: [], leftOut: 0 };
  for (const entry of entries) await gather(entry, found, "");
  return found;
}

/** Adds what `entry` holds; of a folder only what may be a picture: no hidden files, and nothing whose type says otherwise. */
async function gather(entry, found, prefix) {
  if (!entry) return;
  if (entry instanceof File) {
    found.pictures.push(named(entry));
  } else if (entry.isDirectory) {
    for (const child of await listed(entry)) await gather(child, found, `${prefix}${entry.name}/`);
  } else {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    const mayBePicture = file && !file.name.startsWith(".") && (!file.type || /^(image|application\/dicom)/.test(file.type));
    if (file && (!prefix || mayBePicture)) found.pictures.push({ file, name: prefix + file.name });
    else found.leftOut += 1;
  }
}

async function listed(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return entries.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    entries.push(...some);
  }
}

/** One of the page's own samples as a picture `{file, name}`. */
export async function sample(link, signal) {
  const response = await fetch(link, { signal });
  if (!response.ok) throw new Error(`${response.status}`);
  const name = link.slice(link.lastIndexOf("/") + 1);
  const bytes = await response.blob();
  return { file: new File([bytes], name, { type: bytes.type }), name };
}
