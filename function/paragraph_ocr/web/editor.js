// The pages with their lines drawn over the pictures and listed beside them, and all by which a person corrects them.

import {
  MAX_CHARACTERS, blank, boxOf, byConfidence, cleaned, confirmed, cornersOf, inserted, pagesOf, placeFor, placed, quadOf, readable,
  removed, replaced, shapeOf, swapped, turnOf, unreadable, withText,
} from "./correction.js";

// From which confidence on a line or a word counts as sure, and as fair.
const SURE = 0.95;
const FAIR = 0.85;
// A step of a frame by key, as a share of the line's height, and the minimum sides of a frame in pixels.
const STEP = 0.1;
const MIN_SIDE = 8;
// How far the handles of a frame stand off its corners, in pixels of the screen.
const OFF = 8;
// A new frame where there is no line to be like: shares of the page's width and height.
const NEW = [0.1, 0.45, 0.9, 0.5];

// What is told of a page whose content is unreadable.
export const UNREADABLE =
  "This is probably no text in Latin script, or too blurred: what was read is likely to be wrong.";

const SVG = ["svg", "polygon", "text", "g", "path"];

export const percent = (share) => `${Math.floor(share * 100)} %`;
export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const level = (confidence) => (confidence >= SURE ? "sure" : confidence >= FAIR ? "fair" : "doubtful");

export function make(tag, attributes = {}, ...children) {
  const element = SVG.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const CTRL = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
// What can be done, in the order of the toolbar: its label, what it does, its keys in words, and when a key is its own.
// `field` keys work in the text of a line, too; the others would type or erase there.
const control = (event) => (event.ctrlKey || event.metaKey) && !event.altKey;
const plainKey = (...keys) => (event) => !control(event) && !event.altKey && !event.shiftKey && keys.includes(event.key);
const ACTIONS = {
  undo: { label: "Undo", does: "Undo the last change", keys: `${CTRL} Z`, field: true, is: (event) => control(event) && !event.shiftKey && event.key.toLowerCase() === "z" },
  redo: {
    label: "Redo", does: "Make the undone change again", keys: `${CTRL} Shift Z, ${CTRL} Y`, field: true,
    is: (event) => control(event) && ((event.shiftKey && event.key.toLowerCase() === "z") || event.key.toLowerCase() === "y"),
  },
  doubt: { label: "Next doubtful", does: "Go to the next doubtful word", keys: "F8", field: true, is: plainKey("F8") },
  confirm: { label: "Confirm", does: "Confirm that the line is right", keys: `${CTRL} Enter`, field: true, is: (event) => control(event) && event.key === "Enter" },
  unreadable: { label: "Unreadable", does: "Mark the line as unreadable, or no longer", keys: "F9", field: true, is: plainKey("F9") },
  add: { label: "Add", does: "Add a line", keys: "Insert", is: plainKey("Insert") },
  frame: { label: "Redraw", does: "Redraw the line's frame", keys: "F4", field: true, is: plainKey("F4") },
  remove: { label: "Delete", does: "Delete the line", keys: "Delete", is: plainKey("Delete", "Backspace") },
  up: { label: "↑", does: "Move the line up in the order", keys: "Alt ↑", field: true, is: (event) => event.altKey && event.key === "ArrowUp" },
  down: { label: "↓", does: "Move the line down in the order", keys: "Alt ↓", field: true, is: (event) => event.altKey && event.key === "ArrowDown" },
  keys: { label: "Keys", does: "Show the keys", keys: "F1", field: true, is: plainKey("F1") },
};
const FRAME_ACTIONS = { apply: { label: "Apply", does: "Apply the frame", keys: "Enter" }, cancel: { label: "Cancel", does: "Leave the frame as it was", keys: "Escape" } };
// Keys without a button.
const MORE_KEYS = [
  ["Change the text of the line", "Enter"],
  ["Next line", "Enter or ↓ in the text"],
  ["Previous line", "Shift Enter or ↑ in the text"],
  ["Leave the text as it was", "Escape"],
  ["Move a frame", `Arrow keys; with ${CTRL} a pixel at a time`],
  ["Make a frame larger or smaller", "Shift and arrow keys"],
  ["Tilt a frame", "Alt and arrow keys"],
  ["Save as JSON", `${CTRL} S`],
];

/** Shows the pages of a correction in `pages`, with its tools in `tools`, and takes corrections. */
export class Editor {
  /**
   * @param {object} elements - `pages`, `tools`, `state` and `help`, a dialog
   * @param {object} calls - `say` tells a message aloud, `changed` is called after every step, `draft` with each change
   *   of the text that is being typed, and with null once it is taken or left
   */
  constructor(elements, calls) {
    Object.assign(this, elements, calls);
    this.correction = null;
    this.current = { page: 0, line: 0 };
    this.field = null;
    this.frame = null;
    this.visited = null;
    this.buttons = {};
    for (const [name, { label, does, keys }] of Object.entries({ ...ACTIONS, ...FRAME_ACTIONS })) {
      const button = make("button", { type: "button", "data-action": name, tabindex: -1, title: `${does} (${keys})` }, label);
      if (!/\w/.test(label)) button.setAttribute("aria-label", does);
      this.buttons[name] = button;
      this.tools.append(button);
    }
    // The text that is being changed keeps the focus, so that nothing is taken or lost by a click.
    this.tools.addEventListener("pointerdown", (event) => event.preventDefault());
    this.pages.addEventListener("mousedown", (event) => {
      // Were it taken now, what is below would move away from under the mouse before the click.
      if (this.field && !event.target.closest(".edit")) event.preventDefault();
    });
    this.tools.addEventListener("click", (event) => this.act(event.target.closest("button")?.dataset.action));
    this.tools.addEventListener("keydown", (event) => this.alongTools(event));
    this.tools.addEventListener("focusin", (event) => this.stopAt(event.target));
    document.addEventListener("keydown", (event) => this.byKey(event));
    const rows = [...MORE_KEYS, ...Object.values(ACTIONS).map(({ does, keys }) => [does, keys])];
    this.help.querySelector("dl").append(...rows.map(([what, keys]) => make("div", {}, make("dt", {}, what), make("dd", {}, make("kbd", {}, keys)))));
    this.help.querySelector("button").addEventListener("click", () => this.help.close());
  }

  /** Show a correction; `image` is the picture of its first page, or null where there is none. */
  show(correction, image) {
    Object.assign(this, { correction, image, field: null, frame: null, visited: null });
    const pages = pagesOf(correction.answer);
    this.current = { page: Math.max(0, pages.findIndex((page) => page.lines.length)), line: 0 };
    this.sheets = pages.map((page, index) => new Sheet(this, index, page, index ? null : image, pages.length > 1));
    this.pages.replaceChildren(...this.sheets.map((sheet) => sheet.article));
    for (const sheet of this.sheets) sheet.render();
    this.announce();
  }

  get sheet() {
    return this.sheets[this.current.page];
  }

  get line() {
    return this.correction.pages[this.current.page].lines[this.current.line];
  }

  // ---- Doing

  act(name) {
    if (!name || !this.correction || this.buttons[name]?.getAttribute("aria-disabled") === "true") return;
    const byTools = this.tools.contains(document.activeElement);
    const kept = name === "undo" || name === "redo" || name === "keys";
    if (!["apply", "cancel"].includes(name)) {
      if (this.frame) this.closeFrame();
      if (name !== "keys") this.applyText();
    }
    this[name === "frame" ? "redraw" : name]?.call(this);
    if (byTools && kept && !this.help.open) this.buttons[name].focus();
  }

  /** A step of the current page: another page, the line to go to, what has been done, and the line it was done to. */
  step(page, line, what, go = () => this.select(this.current.page, line), back = line) {
    this.correction.step(this.current.page, page, { line, back }, what);
    this.current.line = line;
    this.sheet.render();
    this.announce(what);
    go();
  }

  /** Say what has been done, and show how the correction stands. */
  announce(what) {
    const { correction } = this;
    const doubts = correction.doubts.length;
    const disabled = {
      undo: !correction.canUndo, redo: !correction.canRedo, doubt: !doubts, confirm: !this.line, unreadable: !this.line,
      frame: !this.line, remove: !this.line, up: !this.line || this.current.line === 0,
      down: !this.line || this.current.line === this.correction.pages[this.current.page].lines.length - 1,
    };
    for (const [name, button] of Object.entries(this.buttons)) {
      button.hidden = name in FRAME_ACTIONS !== Boolean(this.frame);
      if (disabled[name]) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
    this.buttons.doubt.textContent = doubts ? `${ACTIONS.doubt.label} (${doubts})` : ACTIONS.doubt.label;
    if (![...this.tools.children].some((each) => each.tabIndex === 0 && !each.hidden)) {
      this.stopAt([...this.tools.children].find((each) => !each.hidden));
    }
    const changes = correction.changes;
    this.state.textContent = this.frame
      ? "Draw a frame on the picture, or drag its corners; or use the arrow keys."
      : correction.isChanged || correction.isUnsaved
        ? `${changes ? `${count(changes, "line")} changed` : "Corrected"}, ${correction.isUnsaved ? "not saved" : "saved"}`
        : "";
    if (what) {
      this.say(what);
      this.changed();
    }
  }

  /** Select a line: its place in the list has the focus. */
  select(page, line) {
    const { lines } = this.correction.pages[page];
    this.current = { page, line: Math.max(0, Math.min(line, lines.length - 1)) };
    if (lines.length) this.sheet.items[this.current.line].focus();
    else this.sheet.none.focus();
  }

  undo() {
    if (this.correction.canUndo) this.go(-1);
  }

  redo() {
    if (this.correction.canRedo) this.go(1);
  }

  go(direction) {
    const { page, where, what } = this.correction.go(direction);
    const line = direction < 0 ? where.back : where.line;
    this.current = { page, line };
    this.sheet.render();
    this.select(page, line);
    this.announce(`${direction < 0 ? "Undone" : "Done again"}: ${what}`);
  }

  doubt() {
    const { doubts } = this.correction;
    if (!doubts.length) return this.announce("There are no doubtful words left.");
    const next = this.visited && doubts.find((each) => byConfidence(each, this.visited) > 0);
    const doubt = (this.visited = next ?? doubts[0]);
    this.current = { page: doubt.page, line: doubt.line };
    this.edit(doubt.word);
    const word = this.line.words[doubt.word];
    this.say(`${word.text}, ${percent(word.confidence)}, line ${doubt.line + 1}`);
  }

  confirm() {
    const { page, line } = this.current;
    const right = confirmed(this.line);
    const more = () => (this.correction.doubts.length ? this.doubt() : this.next(1, true));
    this.step(replaced(this.correction.pages[page], line, right), line, `Line ${line + 1} confirmed`, more);
  }

  unreadable() {
    const { page, line } = this.current;
    if (this.line.unreadable) {
      const again = readable(this.line);
      if (!again) return this.edit();
      return this.step(replaced(this.correction.pages[page], line, again), line, `Line ${line + 1} is as it was before`);
    }
    return this.step(replaced(this.correction.pages[page], line, unreadable(this.line)), line, `Line ${line + 1} is unreadable`);
  }

  remove() {
    const { page, line } = this.current;
    this.step(removed(this.correction.pages[page], line), line, `Line ${line + 1} deleted`);
  }

  up() {
    this.move(-1);
  }

  down() {
    this.move(1);
  }

  move(by) {
    const { page, line } = this.current;
    if (!this.correction.pages[page].lines[line + by]) return;
    const moved = swapped(this.correction.pages[page], line, line + by);
    this.step(moved, line + by, `Line ${line + 1} moved to place ${line + by + 1}`, undefined, line);
  }

  keys() {
    this.help.showModal();
  }

  /** Go to the next line, or the one before, on whichever page it is; change its text if `editing`. */
  next(by, editing) {
    let { page, line } = this.current;
    line += by;
    while (page in this.sheets && !(line in this.correction.pages[page].lines)) {
      page += by;
      if (!(page in this.sheets)) {
        this.select(this.current.page, this.current.line);
        return;
      }
      line = by > 0 ? 0 : this.correction.pages[page].lines.length - 1;
    }
    this.current = { page, line };
    if (editing) this.edit();
    else this.select(page, line);
  }

  // ---- The text of a line

  /** Change the text of the current line; the word of this place in it is selected. */
  edit(word) {
    this.applyText();
    const { page, line } = this.current;
    const item = this.sheet.items[line];
    if (!item) return;
    const field = make("textarea", {
      rows: 1, "aria-label": `Text of line ${line + 1}`, dir: "auto", spellcheck: "false", autocomplete: "off", autocapitalize: "off",
      autocorrect: "off", maxlength: MAX_CHARACTERS, enterkeyhint: "next",
    });
    field.value = this.line.text;
    const strip = this.sheet.image ? make("canvas", { class: "strip", "aria-hidden": "true" }) : null;
    const form = make("div", { class: "edit" }, ...(strip ? [strip] : []), field);
    item.classList.add("editing");
    item.append(form);
    this.field = { field, item, form, page, line, before: this.line.text };
    const fit = () => {
      field.style.height = "auto";
      field.style.height = `${field.scrollHeight + 2}px`;
    };
    field.addEventListener("input", () => {
      fit();
      // Its last row is not behind the tools.
      item.scrollIntoView({ block: "nearest" });
      this.draft({ page, line, text: field.value });
    });
    field.addEventListener("blur", () => this.field?.field === field && this.applyText());
    this.sheet.stopAt(line);
    field.focus();
    fit();
    const place = word === undefined ? null : placeOf(this.line, word);
    if (place) field.setSelectionRange(...place);
    else field.setSelectionRange(field.value.length, field.value.length);
    this.sheet.light(line);
    this.sheet.mark(word === undefined ? null : this.line.words[word]);
    if (strip) drawStrip(strip, this.sheet.image, this.sheet.page, this.line, word);
    item.scrollIntoView({ block: "nearest" });
  }

  /** Take the text that was being changed, if any. */
  applyText() {
    if (!this.field) return;
    const { field, page, line, before } = this.field;
    const text = cleaned(field.value);
    this.closeField();
    if (text === before.trim() || (!text && this.correction.pages[page].lines[line].unreadable)) return;
    this.current = { page, line };
    const was = this.correction.pages[page].lines[line];
    const what = text ? `Line ${line + 1} changed` : `Line ${line + 1} has no text and counts as unreadable`;
    this.step(replaced(this.correction.pages[page], line, withText(was, text)), line, what, () => {});
  }

  /** Whether text is being changed that has not been taken. */
  get isTyped() {
    return this.field !== null && this.field.field.value !== this.field.before;
  }

  /** Go on with the text that was being typed when the page was loaded again. */
  retype({ page, line, text }) {
    this.current = { page, line };
    this.edit();
    this.field.field.value = text;
    this.draft({ page, line, text });
  }

  cancelText() {
    const { page, line } = this.field;
    this.closeField();
    this.select(page, line);
  }

  closeField() {
    const { item, form, page } = this.field;
    this.field = null;
    form.remove();
    item.classList.remove("editing");
    this.sheets[page].mark(null);
    this.draft(null);
  }

  // ---- The frame of a line

  add() {
    const { page } = this.current;
    const { lines } = this.correction.pages[page];
    const { width, height, rotation } = this.sheet.page;
    let quad = cornersOf(NEW.map((share, index) => share * (index % 2 ? height : width)), rotation / 90);
    if (this.line) {
      // Below the current line, and like it.
      const [topLeft, , , bottomLeft] = quadOf(this.line);
      const down = [bottomLeft[0] - topLeft[0], bottomLeft[1] - topLeft[1]].map((each) => each * 1.2);
      quad = within(quadOf(this.line).map(([x, y]) => [x + down[0], y + down[1]]), this.sheet.page);
    }
    this.openFrame({ quad, line: null, turn: this.line ? turnOf(this.line) : rotation / 90, name: `the new line ${lines.length + 1}` });
  }

  redraw() {
    this.openFrame({ quad: quadOf(this.line), line: this.line, turn: turnOf(this.line), name: `line ${this.current.line + 1}` });
  }

  openFrame(frame) {
    this.frame = frame;
    this.sheet.openFrame(frame);
    this.announce();
    this.stopAt(this.buttons.apply);
    this.say(`Frame of ${frame.name}. Arrow keys move it, with Shift they make it larger or smaller; Enter applies it, Escape cancels.`);
  }

  cancel() {
    this.closeFrame();
    this.select(this.current.page, this.current.line);
    this.say("The frame is as it was");
  }

  closeFrame() {
    this.sheet.closeFrame();
    this.frame = null;
    this.announce();
  }

  apply() {
    const { quad, line, turn } = this.frame;
    const { page, line: index } = this.current;
    this.closeFrame();
    const now = this.correction.pages[page];
    const shape = shapeOf(quad, line);
    if (line) {
      if (shape.moved?.every((each) => !each)) return this.select(page, index);
      return this.step(replaced(now, index, placed(line, shape)), index, `Frame of line ${index + 1} changed`);
    }
    const at = placeFor(now.lines, shape.polygon, turn, index);
    return this.step(inserted(now, at, blank(shape)), at, `Line ${at + 1} added`, () => this.edit());
  }

  // ---- Keys

  byKey(event) {
    if (!this.correction || event.isComposing || document.querySelector("dialog[open]")) return;
    const { target } = event;
    if (this.frame) {
      if (this.sheet.drawing.contains(target)) this.frameKey(event);
      else if (event.key === "Escape") this.act("cancel");
      else return;
      return;
    }
    const inField = target === this.field?.field;
    if (!inField && target.closest?.("input, select, textarea")) return;
    if (inField && this.fieldKey(event)) {
      event.preventDefault();
      return;
    }
    const onLine = Boolean(target.closest?.("li[data-line]"));
    const [name] = Object.entries(ACTIONS).find(([, action]) => action.is(event) && (action.field || (onLine && !inField))) ?? [];
    if (!name || (inField && this.isTyping(name))) return;
    event.preventDefault();
    this.act(name);
  }

  /** Whether a key undoes or repeats what was typed since the text was opened, which is the browser's. */
  isTyping(name) {
    return (name === "undo" || (name === "redo" && !this.correction.canRedo)) && this.field.field.value !== this.field.before;
  }

  fieldKey(event) {
    if (control(event) || event.altKey) return false;
    const { key, shiftKey } = event;
    const by = { Enter: shiftKey ? -1 : 1, ArrowDown: 1, ArrowUp: -1 }[key];
    if (key === "Escape") this.cancelText();
    else if (by && (key === "Enter" || !shiftKey)) {
      this.applyText();
      this.next(by, true);
    } else return false;
    return true;
  }

  frameKey(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter") this.act("apply");
    else if (event.key === "Escape") this.act("cancel");
    else if (by) {
      const { quad, turn } = this.frame;
      const height = Math.hypot(quad[3][0] - quad[0][0], quad[3][1] - quad[0][1]);
      const step = event.ctrlKey || event.metaKey ? 1 : Math.max(1, Math.round(STEP * height));
      const [dx, dy] = by.map((each) => each * step);
      // Which corners of the text are at the right and the bottom of the picture depends on how the text is turned.
      const right = [1, 2].map((corner) => (corner - turn + 4) % 4);
      const bottom = [2, 3].map((corner) => (corner - turn + 4) % 4);
      const end = [1, 2];
      this.setQuad(quad.map(([x, y], corner) => {
        if (event.shiftKey) return [right.includes(corner) ? x + dx : x, bottom.includes(corner) ? y + dy : y];
        if (event.altKey) return end.includes(corner) ? [x + dx, y + dy] : [x, y];
        return [x + dx, y + dy];
      }));
      const [left, top, farRight, farBottom] = boxOf(this.frame.quad).map(Math.round);
      this.say(`${left}, ${top}, ${farRight - left} by ${farBottom - top} pixels`);
    } else return;
    event.preventDefault();
  }

  /** Give the frame other corners, unless they are not on the page or it would be no line. */
  setQuad(quad) {
    const inside = within(quad, this.sheet.page);
    const along = Math.hypot(inside[1][0] - inside[0][0], inside[1][1] - inside[0][1]);
    const across = Math.hypot(inside[3][0] - inside[0][0], inside[3][1] - inside[0][1]);
    if (along < MIN_SIDE || across < MIN_SIDE) return;
    this.frame.quad = inside;
    this.sheet.drawFrame(inside);
  }

  // ---- The toolbar: one stop for the tab key, arrows go from tool to tool

  stopAt(button) {
    if (!button?.dataset?.action) return;
    for (const each of this.tools.children) each.tabIndex = each === button ? 0 : -1;
  }

  alongTools(event) {
    const shown = [...this.tools.children].filter((each) => each.checkVisibility());
    const here = shown.indexOf(document.activeElement);
    const next = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (here < 0 || next === undefined) return;
    event.preventDefault();
    shown[(next + shown.length) % shown.length].focus();
  }
}

/** Where a word of a line stands in its text. */
function placeOf({ text, words }, index) {
  let at = 0;
  for (const [place, word] of words.entries()) {
    const found = text.indexOf(word.text, at);
    if (found < 0) return null;
    at = found + word.text.length;
    if (place === index) return [found, at];
  }
  return null;
}

/** Corners moved onto the page, together as far as that does. */
function within(quad, { width, height }) {
  const [left, top, right, bottom] = boxOf(quad);
  const dx = left < 0 ? -left : Math.min(0, width - right);
  const dy = top < 0 ? -top : Math.min(0, height - bottom);
  return quad.map(([x, y]) => [Math.min(Math.max(x + dx, 0), width), Math.min(Math.max(y + dy, 0), height)]);
}

/** Draw the part of the picture that a line is in, upright and as wide as there is room; a word of it is marked. */
function drawStrip(canvas, image, page, line, marked) {
  const [left, top, right, bottom] = boxOf(line.polygon);
  const margin = 0.15 * Math.min(right - left, bottom - top);
  const turn = turnOf(line);
  const [along, across] = turn % 2 ? [bottom - top, right - left] : [right - left, bottom - top];
  const [width, height] = [along + 2 * margin, across + 2 * margin];
  const room = canvas.clientWidth * devicePixelRatio;
  const scale = Math.min(room / width, (8 * 16 * devicePixelRatio) / height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.translate(margin, margin);
  context.transform(...[[1, 0, 0, 1, -left, -top], [0, -1, 1, 0, -top, right], [-1, 0, 0, -1, right, bottom], [0, 1, -1, 0, bottom, -left]][turn]);
  context.drawImage(image, 0, 0, page.width, page.height);
  const word = line.words[marked];
  if (!word) return;
  context.beginPath();
  for (const [x, y] of word.polygon) context.lineTo(x, y);
  context.closePath();
  context.fillStyle = "rgb(179 38 30 / 15%)";
  context.fill();
}

/** A page: its picture with the lines drawn over it, and beside it the list of them. */
class Sheet {
  constructor(editor, index, page, image, numbered) {
    Object.assign(this, { editor, index, page, image, lit: -1, known: new WeakMap() });
    this.drawing = make("svg", { viewBox: `0 0 ${page.width} ${page.height}`, role: "img" });
    this.caption = make("p", { class: "caption", "aria-hidden": "true" });
    this.list = make("ol", { role: "list" });
    this.none = make("p", { tabindex: 0 }, "No text was found here.");
    if (image) image.alt = "";
    const figure = make("figure", {}, make("div", { class: "sheet" }, ...(image ? [image] : []), this.drawing, this.caption));
    if (!image) figure.append(make("p", { class: "note" }, "This browser cannot show the page; its text is set in place."));
    this.article = make("article", {}, figure, this.list);
    if (page.content === "unreadable") this.article.prepend(make("p", { class: "problem" }, UNREADABLE));
    if (numbered) this.article.prepend(make("h3", {}, `Page ${page.page}`));
    this.pair();
  }

  get lines() {
    return this.editor.correction.pages[this.index].lines;
  }

  /** Show the lines as they are now; those that are as before keep their elements. */
  render() {
    const { lines } = this;
    const had = this.list.contains(document.activeElement);
    const made = lines.map((line, index) => {
      let elements = this.known.get(line);
      if (!elements) {
        elements = elementsOf(line, !this.image);
        this.known.set(line, elements);
      }
      for (const each of [elements.item, elements.polygon]) each.dataset.line = index;
      return elements;
    });
    this.items = made.map(({ item }) => item);
    this.polygons = made.map(({ polygon }) => polygon);
    fill(this.drawing, made.flatMap(({ written, polygon }) => (written ? [written, polygon] : [polygon])));
    this.drawing.setAttribute("aria-label", `The page with ${count(lines.length, "line")} drawn on it`);
    fill(this.list, this.items);
    this.list.hidden = !lines.length;
    if (lines.length) this.none.remove();
    else this.article.append(this.none);
    const { page, line } = this.editor.current;
    this.stopAt(page === this.index ? Math.min(line, lines.length - 1) : 0);
    for (const each of [...this.items, ...this.polygons]) each.classList.remove("lit");
    this.lit = -1;
    this.caption.textContent = "";
    if (had && !this.list.contains(document.activeElement)) this.items[line]?.focus();
  }

  /** One stop for the tab key in the list, on the line that was last looked at. */
  stopAt(index) {
    for (const [at, item] of this.items.entries()) item.tabIndex = at === index ? 0 : -1;
  }

  /** Light a line in both places, and show it in the caption. */
  light(chosen) {
    if (chosen === this.lit) return;
    for (const at of [this.lit, chosen]) {
      for (const each of [this.items[at], this.polygons[at]]) each?.classList.toggle("lit", at === chosen);
    }
    this.lit = chosen;
    const line = this.lines[chosen];
    this.caption.textContent = line && !this.editor.field ? line.text : "";
    if (!line) return;
    const [, top, , bottom] = boxOf(line.polygon);
    // The drawing fills the sheet's height, so shares of the page's height are the sheet's too.
    const below = bottom < 0.8 * this.page.height;
    this.caption.classList.toggle("above", !below);
    this.caption.style.top = `${(100 * (below ? bottom : top)) / this.page.height}%`;
  }

  /** Mark a word on the picture, or none. */
  mark(word) {
    this.drawing.querySelector(".word")?.remove();
    if (word) this.drawing.append(make("polygon", { class: "word", points: word.polygon.join(" ") }));
  }

  /** Pair the polygons with the list: what is hovered or focused in one is lit in both. */
  pair() {
    const { editor, drawing, list } = this;
    const focused = () => this.items.findIndex((item) => item.contains(document.activeElement));
    const lineOf = (event) => Number(event.target.closest("[data-line]")?.dataset.line ?? -1);
    for (const side of [drawing, list]) {
      // Not pointerover, which comes too when the page scrolls under a resting mouse.
      side.addEventListener("pointermove", (event) => editor.frame || this.light(lineOf(event) < 0 ? focused() : lineOf(event)));
      side.addEventListener("pointerleave", () => editor.frame || this.light(focused()));
    }
    drawing.addEventListener("click", (event) => {
      if (editor.frame) return;
      editor.applyText();
      if (lineOf(event) >= 0) editor.select(this.index, lineOf(event));
      else if (!this.lines.length) this.none.focus();
    });
    this.none.addEventListener("focus", () => {
      editor.current = { page: this.index, line: 0 };
      editor.announce();
    });
    list.addEventListener("click", (event) => {
      const line = lineOf(event);
      // A click that ends the selection of some text is none.
      if (line < 0 || event.target.closest(".edit") || !getSelection().isCollapsed) return;
      editor.applyText();
      editor.current = { page: this.index, line };
      editor.edit();
    });
    list.addEventListener("focusout", () => editor.frame || this.light(-1));
    list.addEventListener("focusin", (event) => {
      const line = lineOf(event);
      if (editor.frame) return;
      this.stopAt(line);
      this.light(line);
      if (editor.field?.field !== event.target) {
        editor.current = { page: this.index, line };
        editor.announce();
      }
    });
    list.addEventListener("keydown", (event) => {
      const here = this.items.indexOf(document.activeElement);
      if (here < 0 || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: this.items.length - 1 }[event.key];
      if (event.key === "Enter" || event.key === "F2") editor.edit();
      else if (next !== undefined) this.items[next]?.focus();
      else return;
      event.preventDefault();
    });
    this.dragging();
  }

  // ---- The frame of a line

  openFrame({ quad, name }) {
    this.drawing.classList.add("framing");
    this.drawing.setAttribute("role", "application");
    this.drawing.setAttribute("tabindex", 0);
    this.drawing.setAttribute("aria-label", `Frame of ${name}`);
    this.caption.textContent = "";
    this.shape = make("polygon", { class: "frame" });
    this.corners = quad.map((_, corner) => make("path", { class: "corner", "data-corner": corner }));
    this.drawing.append(this.shape, ...this.corners);
    this.drawFrame(quad);
    this.drawing.focus();
  }

  drawFrame(quad) {
    this.shape.setAttribute("points", quad.join(" "));
    // The handles stand off the corners, so that those of a narrow line are apart.
    const off = ((matchMedia("(pointer: coarse)").matches ? 2 : 1) * OFF * this.page.width) / (this.drawing.clientWidth || this.page.width);
    for (const [corner, [x, y]] of quad.entries()) {
      const [along, across] = [quad[corner ^ 1], quad[3 - corner]].map(([nx, ny]) => {
        const length = Math.hypot(x - nx, y - ny) || 1;
        return [(off * (x - nx)) / length, (off * (y - ny)) / length];
      });
      this.corners[corner].setAttribute("d", `M${x + along[0] + across[0]} ${y + along[1] + across[1]}h0`);
    }
  }

  closeFrame() {
    this.shape.remove();
    for (const corner of this.corners) corner.remove();
    this.drawing.classList.remove("framing");
    this.drawing.setAttribute("role", "img");
    this.drawing.removeAttribute("tabindex");
    this.drawing.setAttribute("aria-label", `The page with ${count(this.lines.length, "line")} drawn on it`);
  }

  dragging() {
    const { drawing, editor } = this;
    const pointOf = (event) => {
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
      return [Math.min(Math.max(x, 0), this.page.width), Math.min(Math.max(y, 0), this.page.height)];
    };
    let drag = null;
    drawing.addEventListener("pointerdown", (event) => {
      if (!editor.frame || !event.isPrimary) return;
      event.preventDefault();
      drawing.focus();
      drawing.setPointerCapture(event.pointerId);
      const { corner } = event.target.dataset;
      drag = { from: pointOf(event), quad: editor.frame.quad, corner: corner === undefined ? -1 : Number(corner), inside: event.target === this.shape };
    });
    drawing.addEventListener("pointermove", (event) => {
      if (!drag || !editor.frame) return;
      const [x, y] = pointOf(event);
      const [dx, dy] = [x - drag.from[0], y - drag.from[1]];
      if (drag.corner >= 0) editor.setQuad(drag.quad.map((point, corner) => (corner === drag.corner ? [point[0] + dx, point[1] + dy] : point)));
      else if (drag.inside) editor.setQuad(drag.quad.map(([px, py]) => [px + dx, py + dy]));
      else if (Math.abs(dx) >= MIN_SIDE && Math.abs(dy) >= MIN_SIDE) editor.setQuad(cornersOf(boxOf([drag.from, [x, y]]), editor.frame.turn));
    });
    for (const end of ["pointerup", "pointercancel"]) drawing.addEventListener(end, () => (drag = null));
  }
}

/** Give an element these children; those that it has stay where they are, so that a click on one is not lost. */
function fill(parent, children) {
  const wanted = new Set(children);
  for (const each of [...parent.children]) if (!wanted.has(each)) each.remove();
  for (const [at, each] of children.entries()) if (parent.children[at] !== each) parent.insertBefore(each, parent.children[at] ?? null);
}

/** What shows a line: its place in the list, its polygon and, where there is no picture, its text in place. */
function elementsOf(line, needsText) {
  const kind = [level(line.confidence), ...(line.corrected ? ["corrected"] : []), ...(line.unreadable ? ["unreadable"] : [])].join(" ");
  const polygon = make("polygon", { class: kind, points: line.polygon.join(" ") });
  const item = make("li", { class: kind }, ...itemOf(line));
  return { polygon, item, written: needsText && line.text ? written(line) : null };
}

/** A line's words, the ones that are not sure marked, and its confidence, or what a person did to it. */
function itemOf(line) {
  const words = line.words.flatMap((word) => {
    const kind = level(word.confidence);
    return [" ", kind === "sure" ? word.text : make("span", { class: kind, title: percent(word.confidence) }, word.text)];
  });
  const text = line.unreadable ? ["unreadable"] : line.text ? words.slice(1) : ["no text"];
  const share = line.corrected
    ? make("span", { class: "share" }, line.reading === line.text && !line.unreadable ? "confirmed" : "corrected")
    : make("span", { class: "share" }, make("span", { class: "unseen" }, "confidence "), percent(line.confidence));
  return [make("span", { dir: "auto" }, ...text), " ", share];
}

/** A line's text as it stands on a page whose picture cannot be shown. */
function written(line) {
  const [[x0, y0], [x1, y1]] = [line.baseline[0], line.baseline.at(-1)];
  const angle = (Math.atan2(y1 - y0, x1 - x0) * 180) / Math.PI;
  return make("text", {
    transform: `translate(${x0} ${y0}) rotate(${angle})`,
    textLength: Math.max(1, Math.hypot(x1 - x0, y1 - y0)),
    lengthAdjust: "spacingAndGlyphs",
    "font-size": Math.max(1, 0.6 * (line.box[3] - line.box[1])),
  }, line.text);
}
