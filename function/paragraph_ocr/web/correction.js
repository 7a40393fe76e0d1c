// The document that a person corrects: its states, the steps between them, and where words and blocks go with a step.
// Nothing here touches the page; lines and states are never changed, but replaced.

// A word of lower confidence is doubtful, as in the API.
export const DOUBTFUL = 0.85;
// Characters of a line, and steps that can be undone.
export const MAX_CHARACTERS = 1000;
const MAX_STEPS = 300;
// Up to this product of old and new words, words between two changes keep their places.
const MAX_PAIRS = 4096;
// Where letters stand, as a share of a line's height from above.
const BASELINE = 0.79;

/** A document, its corrections, and the way back. */
export class Correction {
  /**
   * @param {object} answer - the page or the document as the API answers it
   * @param {object} [kept] - what `kept` returned before
   */
  constructor(answer, kept) {
    this.answer = answer;
    this.states = kept?.states ?? [{ pages: pagesOf(answer).map(({ lines, blocks }) => ({ lines, blocks })) }];
    this.at = kept?.at ?? 0;
    this.savedAt = kept?.savedAt ?? 0;
  }

  get pages() {
    return this.states[this.at].pages;
  }

  /** Whether anything differs from what was read. */
  get isChanged() {
    return pagesOf(this.answer).some((page, index) => !isSame(page.lines, this.pages[index].lines));
  }

  /** Whether there are corrections that no saved file has. */
  get isUnsaved() {
    return this.savedAt === null ? this.isChanged : this.savedAt !== this.at;
  }

  get canUndo() {
    return this.at > 0;
  }

  get canRedo() {
    return this.at < this.states.length - 1;
  }

  /** Take a step: a page becomes another; `where` is the line that it is about, after it and before, and `what` says it in words. */
  step(page, changed, where, what) {
    const pages = this.pages.map((each, index) => (index === page ? changed : each));
    if (this.savedAt > this.at) this.savedAt = null;
    this.states = [...this.states.slice(0, this.at + 1), { pages, page, where, what }];
    const dropped = Math.max(0, this.states.length - MAX_STEPS - 1);
    this.states = this.states.slice(dropped);
    this.at = this.states.length - 1;
    if (dropped && this.savedAt !== null) this.savedAt = this.savedAt < dropped ? null : this.savedAt - dropped;
  }

  /** Go one step back, or, with 1, forth again; the step that was gone over. */
  go(direction) {
    const step = this.states[direction < 0 ? this.at : this.at + 1];
    this.at += direction;
    return step;
  }

  saved() {
    this.savedAt = this.at;
  }

  /** The doubtful words of all pages, the least certain first. */
  get doubts() {
    const found = this.pages.flatMap(({ lines }, page) =>
      lines.flatMap(({ words }, line) =>
        words.flatMap(({ confidence }, word) => (confidence < DOUBTFUL ? [{ page, line, word, confidence }] : [])),
      ),
    );
    return found.sort(byConfidence);
  }

  /** How many lines of all pages differ from what was read, lines that are gone included. */
  get changes() {
    return pagesOf(this.answer).reduce((sum, { lines: read }, page) => {
      const now = new Set(this.pages[page].lines);
      const lost = read.filter((line) => !now.has(line)).length;
      const fresh = this.pages[page].lines.filter((line) => !read.includes(line)).length;
      return sum + Math.max(lost, fresh);
    }, 0);
  }

  /** The document as the API answers it, with the corrections. */
  get document() {
    const pages = pagesOf(this.answer).map((page, index) => {
      const { lines, blocks } = this.pages[index];
      if (isSame(lines, page.lines)) return page;
      const { image, page: number, width, height, rotation, text, confidence, reading, ...rest } = page;
      return {
        image, page: number, width, height, rotation,
        ...rest,
        text: textOf(lines),
        confidence: confidenceOf(lines),
        reading: reading ?? textOf(page.lines),
        lines,
        ...(blocks ? { blocks } : {}),
      };
    });
    if (!this.answer.pages) return pages[0];
    return {
      ...this.answer,
      text: pages.map((page) => page.text).join("\f"),
      confidence: confidenceOf(pages.flatMap((page) => page.lines)),
      pages,
    };
  }

  /** What a later `Correction` of the same answer goes on from. */
  get kept() {
    return { states: this.states, at: this.at, savedAt: this.savedAt };
  }
}

/** The order in which doubtful words are visited. */
export function byConfidence(a, b) {
  return a.confidence - b.confidence || a.page - b.page || a.line - b.line || a.word - b.word;
}

export const pagesOf = (answer) => answer.pages ?? [answer];

const isSame = (lines, others) => lines.length === others.length && lines.every((line, index) => line === others[index]);
const textOf = (lines) => lines.map((line) => line.text).join("\n");

function confidenceOf(lines) {
  const characters = lines.reduce((sum, { text }) => sum + text.length, 0);
  const weighted = lines.reduce((sum, { text, confidence }) => sum + text.length * confidence, 0);
  return characters ? round(weighted / characters, 4) : 0;
}

function round(number, digits) {
  const scale = 10 ** digits;
  return Math.round(number * scale) / scale;
}

// ---- Lines

/** What a person types as the text of a line: without line ends and other characters that no line has. */
export function cleaned(text) {
  return text.toWellFormed().replace(/[\p{Cc}\u2028\u2029\ufffe\uffff\s]+/gu, " ").trim();
}

/** The mark of a corrected line, and the text that was read of it; none of an added one. */
function correctionOf(line) {
  const reading = line.corrected ? line.reading : line.text;
  return { corrected: true, ...(reading === undefined ? {} : { reading }) };
}

export function withText(line, text) {
  if (!text) return unreadable(line);
  const words = fitWords(text, line.words, line.polygon);
  return { ...plain(line), text, confidence: meanOf(words), words, ...correctionOf(line) };
}

/** The line without marks of a correction. */
function plain({ text, confidence, polygon, baseline, box, words }) {
  return { text, confidence, polygon, baseline, box, words };
}

/** The line with every word of it right. */
export function confirmed(line) {
  const words = line.words.map((word) => ({ ...word, confidence: 1 }));
  return { ...plain(line), confidence: 1, words, ...correctionOf(line), ...(line.unreadable ? { unreadable: true } : {}) };
}

// What lines were before they were marked as unreadable.
const before = new WeakMap();

export function unreadable(line) {
  const marked = { ...plain(line), text: "", confidence: 1, words: [], ...correctionOf(line), unreadable: true };
  before.set(marked, line);
  return marked;
}

/** The line as it was before it was marked as unreadable, or undefined where that is not known. */
export const readable = (line) => before.get(line);

/** The line in another place: a shape of `shapeOf`, or moved by some pixels. */
export function placed(line, shape) {
  const { polygon, baseline } = shape;
  const words = shape.moved
    ? line.words.map((word) => ({ ...word, polygon: shifted(word.polygon, shape.moved) }))
    : spread(line.words, polygon, 0, 1);
  const marks = { ...correctionOf(line), ...(line.unreadable ? { unreadable: true } : {}) };
  return { ...plain(line), polygon, baseline, box: boxOf(polygon), words, ...marks };
}

/** A line without text. */
export function blank({ polygon, baseline }) {
  return { text: "", confidence: 1, polygon, baseline, box: boxOf(polygon), words: [], corrected: true };
}

function meanOf(words) {
  const characters = words.reduce((sum, { text }) => sum + text.length, 0);
  return characters ? round(words.reduce((sum, { text, confidence }) => sum + text.length * confidence, 0) / characters, 4) : 1;
}

// ---- Words; the API places them alike (paragraph_ocr/correction.py)

/**
 * The words of a text on a line: those that were there before keep their place and confidence, others are certain and
 * share the place of the words that they replace.
 */
export function fitWords(text, words, polygon) {
  const old = words.map((word) => word.text);
  const fresh = text.split(/\s+/).filter(Boolean);
  const spans = words.map((word) => spanOf(word.polygon, polygon));
  const fitted = [];
  for (const [i, endI, j, endJ, same] of runsOf(old, fresh)) {
    if (same) {
      fitted.push(...words.slice(i, endI));
      continue;
    }
    let start = i < endI ? spans[i][0] : i ? spans[i - 1][1] : 0;
    let end = i < endI ? spans[endI - 1][1] : endI < old.length ? spans[endI][0] : 1;
    const certain = fresh.slice(j, endJ).map((each) => ({ text: each, confidence: 1 }));
    if (certain.length && i === endI && old.length) {
      // There may be no room between two words: the one before shares its place, or the first one does.
      if (i) {
        certain.unshift(fitted.pop());
        start = spans[i - 1][0];
      } else end = Math.max(end, (spans[0][0] + spans[0][1]) / 2);
    }
    fitted.push(...spread(certain, polygon, start, Math.max(start, end)));
  }
  return fitted;
}

/** The runs of equal and of different words, as ranges of both. */
function runsOf(old, fresh) {
  const shorter = Math.min(old.length, fresh.length);
  let head = 0;
  while (head < shorter && old[head] === fresh[head]) head++;
  let tail = 0;
  while (tail < shorter - head && old.at(-1 - tail) === fresh.at(-1 - tail)) tail++;
  const [endOld, endFresh] = [old.length - tail, fresh.length - tail];
  const runs = [];
  let [i, j] = [head, head];
  const pairs = (endOld - head) * (endFresh - head) <= MAX_PAIRS ? common(old.slice(head, endOld), fresh.slice(head, endFresh)) : [];
  for (const [atOld, atFresh] of [...pairs, [endOld - head, endFresh - head]]) {
    if (i < head + atOld || j < head + atFresh) runs.push([i, head + atOld, j, head + atFresh, false]);
    if (head + atOld < endOld && head + atFresh < endFresh) {
      runs.push([head + atOld, head + atOld + 1, head + atFresh, head + atFresh + 1, true]);
    }
    [i, j] = [head + atOld + 1, head + atFresh + 1];
  }
  return [[0, head, 0, head, true], ...runs, [endOld, old.length, endFresh, fresh.length, true]];
}

/** The places of a longest common subsequence in both lists. */
function common(a, b) {
  const length = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i][j] = a[i] === b[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const pairs = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (length[i + 1][j] >= length[i][j + 1]) i++;
    else j++;
  }
  return pairs;
}

/** Words side by side between two places on a line, with a space between. */
function spread(words, polygon, start, end) {
  const unit = (end - start) / Math.max(1, words.reduce((sum, { text }) => sum + text.length + 1, -1));
  let at = start;
  return words.map(({ text, confidence }) => {
    const word = { text, confidence, polygon: cut(polygon, at, at + unit * text.length) };
    at += unit * (text.length + 1);
    return word;
  });
}

/** The upper and the lower edge of an outline, both in the direction of the text. */
function edgesOf(polygon) {
  const half = polygon.length >> 1;
  return [polygon.slice(0, half), polygon.slice(half).reverse()];
}

/** Where a word begins and ends on its line, as shares of the line's length. */
function spanOf(part, polygon) {
  const [upper, lower] = edgesOf(polygon);
  const [[x0, y0], [x1, y1]] = [0, -1].map((at) => mid(upper.at(at), lower.at(at), 0.5));
  const [dx, dy] = [x1 - x0, y1 - y0];
  const shares = part.map(([x, y]) => ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1));
  return [Math.min(...shares), Math.max(...shares)].map((share) => Math.min(Math.max(share, 0), 1));
}

/** The part of a line's outline between two places. */
function cut(polygon, start, end) {
  const [upper, lower] = edgesOf(polygon);
  return [pointAt(upper, start), pointAt(upper, end), pointAt(lower, end), pointAt(lower, start)];
}

/** The point of an edge at a share of its length. */
function pointAt(edge, share) {
  const lengths = edge.slice(1).map((point, index) => Math.hypot(point[0] - edge[index][0], point[1] - edge[index][1]));
  let left = Math.min(Math.max(share, 0), 1) * lengths.reduce((sum, each) => sum + each, 0);
  for (const [index, length] of lengths.entries()) {
    if (left <= length && length) return tidy(mid(edge[index], edge[index + 1], left / length));
    left -= length;
  }
  return edge.at(-1);
}

const mid = ([ax, ay], [bx, by], share) => [ax + (bx - ax) * share, ay + (by - ay) * share];
const tidy = (point) => point.map((each) => round(each, 1));
const shifted = (points, [dx, dy]) => points.map(([x, y]) => tidy([x + dx, y + dy]));

// ---- Shapes

export function boxOf(points) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** How many quarter turns clockwise a line runs: 0 to the right, 1 down, 2 to the left, 3 up. */
export function turnOf({ baseline }) {
  const [[x0, y0], [x1, y1]] = [baseline[0], baseline.at(-1)];
  return (Math.round(Math.atan2(y1 - y0, x1 - x0) / (Math.PI / 2)) + 4) % 4;
}

/** The corners of a box for a line of this turn: where its upper edge begins and ends, then the lower edge back. */
export function cornersOf([left, top, right, bottom], turn) {
  const corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
  return corners.map((_, index) => corners[(index + turn) % 4]);
}

/** The corners of a line: the ends of its edges. */
export function quadOf({ polygon }) {
  const [upper, lower] = edgesOf(polygon);
  return [upper[0], upper.at(-1), lower.at(-1), lower[0]];
}

/** Polygon and baseline of four corners; of a line that these only move, its own, moved. */
export function shapeOf(quad, line) {
  const corners = quad.map(tidy);
  if (line) {
    const before = quadOf(line);
    const moved = [corners[0][0] - before[0][0], corners[0][1] - before[0][1]];
    if (corners.every(([x, y], index) => Math.hypot(x - before[index][0] - moved[0], y - before[index][1] - moved[1]) < 0.5)) {
      return { polygon: shifted(line.polygon, moved), baseline: shifted(line.baseline, moved), moved };
    }
  }
  const [topLeft, topRight, bottomRight, bottomLeft] = corners;
  const baseline = [tidy(mid(topLeft, bottomLeft, BASELINE)), tidy(mid(topRight, bottomRight, BASELINE))];
  return { polygon: corners, baseline };
}

// ---- Steps: a page with a line changed, gone, new or elsewhere

export function replaced(page, index, line) {
  const lines = page.lines.map((each, at) => (at === index ? line : each));
  return { ...page, lines, ...withBlocks(page.blocks, lines) };
}

export function removed(page, index) {
  const lines = page.lines.filter((_, at) => at !== index);
  const without = (places) => places.filter((at) => at !== index).map((at) => (at > index ? at - 1 : at));
  const blocks = page.blocks
    ?.map((block) => ({
      ...block,
      lines: without(block.lines),
      ...(block.items ? { items: block.items.map(without).filter((item) => item.length) } : {}),
      ...(block.rows ? { rows: block.rows.map((row) => row.map(without)) } : {}),
      ...(block.hard_breaks ? { hard_breaks: without(block.hard_breaks) } : {}),
    }))
    .filter((block) => block.lines.length);
  return { ...page, lines, ...withBlocks(blocks, lines) };
}

/** A page with a new line before the one at `index`, in the block of the line before it. */
export function inserted(page, index, line) {
  const lines = page.lines.toSpliced(index, 0, line);
  const near = index > 0 ? index - 1 : 1;
  const grown = (places) => {
    const moved = places.map((at) => (at >= index ? at + 1 : at));
    const place = moved.indexOf(near);
    return place < 0 ? moved : moved.toSpliced(near < index ? place + 1 : place, 0, index);
  };
  let blocks = page.blocks?.map((block) => ({
    ...block,
    lines: grown(block.lines),
    ...(block.items ? { items: block.items.map(grown) } : {}),
    ...(block.rows ? { rows: block.rows.map((row) => row.map(grown)) } : {}),
    ...(block.hard_breaks ? { hard_breaks: grown(block.hard_breaks) } : {}),
  }));
  if (blocks && lines.length === 1) blocks = [{ type: "paragraph", lines: [0] }];
  return { ...page, lines, ...withBlocks(blocks, lines) };
}

/** A page with a line in another's place of the reading order, and the other way round. */
export function swapped(page, index, other) {
  const lines = page.lines.with(index, page.lines[other]).with(other, page.lines[index]);
  return { ...page, lines, ...withBlocks(page.blocks, lines) };
}

/** The blocks with the boxes that their lines have now. */
function withBlocks(blocks, lines) {
  if (!blocks) return {};
  return { blocks: blocks.map((block) => ({ ...block, box: boxOf(block.lines.flatMap((at) => lines[at].polygon)) })) };
}

/** Where in the reading order a new line belongs: after the nearest line above it, as the text runs, else after `index`. */
export function placeFor(lines, polygon, turn, index) {
  // Across and along the text: left, top, right and bottom as if it ran to the right.
  const upright = (points) => boxOf(points.map(([x, y]) => [[x, y], [y, -x], [-x, -y], [-y, x]][turn]));
  const own = upright(polygon);
  const middle = (box) => (box[1] + box[3]) / 2;
  let best = null;
  for (const [at, line] of lines.entries()) {
    const box = upright(line.polygon);
    const apart = Math.max(box[0], own[0]) >= Math.min(box[2], own[2]);
    const distance = middle(own) - middle(box);
    if (!apart && (!best || (distance >= 0 ? best.distance < 0 || distance < best.distance : best.distance < 0 && distance > best.distance))) {
      best = { at, distance };
    }
  }
  if (!best) return Math.min(index + 1, lines.length);
  return best.distance >= 0 ? best.at + 1 : best.at;
}
