// The few things that every part of the page does with the document. Text goes in as text, never as markup.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element; `attributes` are set as attributes, on... as listeners, true as an empty one; children are nodes or text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null && child !== false));
  return made;
}

/** Text from elsewhere (a class, a file's name) with a direction of its own, so that it cannot turn its neighbours around. */
export const bdi = (text, tag = "bdi") => element(tag, { dir: "auto" }, text);

export const button = (text, onclick, attributes = {}) => element("button", { type: "button", onclick, ...attributes }, text);

let speaking;

/** Says `text` to a screen reader once the person has finished what they do; the same text twice is said twice. */
export function announce(text) {
  const status = byId("status");
  clearTimeout(speaking);
  status.textContent = "";
  speaking = setTimeout(() => {
    status.textContent = text;
  }, 60);
}

/** Moves the focus to `target`, also where that is no control but a heading. */
export function focusOn(target) {
  if (target.tabIndex < 0) target.setAttribute("tabindex", "-1");
  target.focus({ preventScroll: true });
}

/** Scrolls only where the top of `target` cannot be seen. */
export function bringIntoView(target) {
  const { top } = target.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight * 0.55) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    target.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  }
}
