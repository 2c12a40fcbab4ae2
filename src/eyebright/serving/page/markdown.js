// A model's card as headings, paragraphs, lists and tables: the markdown that cards use. All else stays text, HTML too.

import { element } from "./dom.js";

const INLINE =
  /\\([!-/:-@[-`{-~])|`([^`]+)`|\*\*(.+?)\*\*|\*([^*\s](?:[^*]*[^*\s])?)\*|!?\[([^\]]*)\]\(([^)\s]*)\)|&(lt|gt|amp|quot|#39);/g;
const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', "#39": "'" };
const BEGINS = /^(#{1,6} |```|[-*] |\d+[.)] |\|)/;

/** The nodes for `text`. The card's first heading becomes an h2. */
export function rendered(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const nodes = [];
  while (lines.length) {
    const node = block(lines);
    if (node) nodes.push(node);
  }
  return nodes;
}

function block(lines) {
  const line = lines.shift();
  if (!line.trim()) return null;
  const heading = line.match(/^(#{1,6}) +(.*)$/);
  if (heading) return element(`h${Math.min(6, heading[1].length + 1)}`, {}, ...inline(heading[2]));
  if (line.startsWith("```")) return fenced(lines);
  if (/^[-*] /.test(line)) return list("ul", /^[-*] +/, line, lines);
  if (/^\d+[.)] /.test(line)) return list("ol", /^\d+[.)] +/, line, lines);
  if (line.startsWith("|") && /^\|[\s:|-]+\|?\s*$/.test(lines[0] ?? "")) return table(line, lines);
  return element("p", {}, ...inline([line, ...taken(lines, (next) => next.trim() && !BEGINS.test(next))].join(" ")));
}

/** The lines from the front for as long as `belongs` holds of them. */
function taken(lines, belongs) {
  const found = [];
  while (lines.length && belongs(lines[0])) found.push(lines.shift());
  return found;
}

function fenced(lines) {
  const code = taken(lines, (next) => !next.startsWith("```"));
  lines.shift();
  return element("pre", { tabindex: "0" }, element("code", {}, code.join("\n")));
}

function list(tag, mark, line, lines) {
  const items = [line.replace(mark, "")];
  for (const next of taken(lines, (candidate) => mark.test(candidate) || /^\s+\S/.test(candidate))) {
    if (mark.test(next)) items.push(next.replace(mark, ""));
    else items[items.length - 1] += ` ${next.trim()}`;
  }
  return element(tag, {}, ...items.map((item) => element("li", {}, ...inline(item))));
}

function table(line, lines) {
  lines.shift();
  const row = (text, tag, more = {}) => element("tr", {}, ...cells(text).map((cell) => element(tag, more, ...inline(cell))));
  const body = taken(lines, (next) => next.startsWith("|")).map((next) => row(next, "td"));
  const made = element("table", {}, element("thead", {}, row(line, "th", { scope: "col" })), element("tbody", {}, ...body));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, made);
}

const cells = (line) => {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim());
};

function inline(text) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(text.slice(from, found.index), marked(found));
    from = found.index + found[0].length;
  }
  return [...nodes, text.slice(from)].filter((node) => node !== "");
}

function marked([, escaped, code, strong, emphasis, said, address, entity]) {
  if (escaped !== undefined) return escaped;
  if (code !== undefined) return element("code", {}, code);
  if (strong !== undefined) return element("strong", {}, ...inline(strong));
  if (emphasis !== undefined) return element("em", {}, ...inline(emphasis));
  if (entity !== undefined) return ENTITIES[entity];
  return said ? `${said} (${address})` : address; // a card leads nowhere: the address can be read and copied
}
