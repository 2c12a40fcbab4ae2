// Numbers and verdicts in words.

const MIB = 2 ** 20;

/** "35.1 %" beside a bar: one figure after the point, and never a certainty that nobody has. 0 and 1 are only rounded so. */
export function percent(probability) {
  if (probability < 0.0005) return "<0.1 %";
  if (probability >= 0.9995) return ">99.9 %";
  return `${(probability * 100).toFixed(1)} %`;
}

/** "35 %" in a sentence. */
export function roundly(probability) {
  if (probability < 0.005) return "under 1 %";
  if (probability >= 0.995) return "over 99 %";
  return `${Math.round(probability * 100)} %`;
}

/** "31.2 MiB", rounded up for what is too large and down for what is allowed. */
export const mebibytes = (bytes, round = Math.ceil) => `${(round((bytes / MIB) * 10) / 10).toLocaleString("en-GB")} MiB`;

export const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en-GB")} ${n === 1 ? one : many}`;

/** A message that others wrote, begun as a sentence. */
export const sentence = (text) => text.charAt(0).toLocaleUpperCase("en-GB") + text.slice(1);

/** "3 s", "2 min": how long a wait is. */
export const span = (seconds) => (seconds < 100 ? `${Math.max(0, Math.ceil(seconds))} s` : `${Math.ceil(seconds / 60)} min`);

/**
 * An answer in words: `title` (its parts: class names are marked, to be set apart), `kind` (sure, between, unknown, plain) and
 * `sentence`. Where the answer has no verdict no sentence is invented: the probability is said.
 */
export function verdictOf(result) {
  const [first, second] = result.predictions;
  const says = `Probability ${roundly(first.probability)}.`;
  if (result.verdict === "sure") return { kind: "sure", title: [{ name: first.label }], sentence: `I am sure. ${says}` };
  if (result.verdict === "between" && second) {
    return {
      kind: "between",
      title: [{ name: first.label }, " or ", { name: second.label }],
      sentence: `Between these two I cannot decide: ${roundly(first.probability)} and ${roundly(second.probability)}.`,
    };
  }
  if (result.verdict === "unknown") {
    return {
      kind: "unknown",
      title: ["I do not know this"],
      sentence: "It is unlike the pictures that I learned from. The classes below are the nearest; none of them is my answer.",
    };
  }
  const sentence = result.verdict ? `${result.verdict} ${says}` : says;
  return { kind: "plain", title: [{ name: first.label }], sentence };
}

/** The title of an answer as one string. */
export const titleText = (verdict) => verdict.title.map((part) => part.name ?? part).join("");
