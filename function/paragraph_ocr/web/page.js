// A file that the reader gives goes to the API; the lines that come back are drawn over its picture and listed.

// The API takes 4,500,000 bytes and 80 megapixels, and API Gateway no more whatever the stack's parameters say.
const MAX_BYTES = 4_400_000;
const MAX_PIXELS = 80_000_000;
// Long edge of a picture that is made smaller: enough for a page of writing, and a canvas that phones can hold.
const MAX_EDGE = 4096;
const MAX_NAME = 255;
// Where the API is, with whatever stage or path before it.
const API = new URL("..", import.meta.url);
// From which confidence on a line or a word counts as sure, and as fair.
const SURE = 0.95;
const FAIR = 0.85;
// What is told of a page whose content is unreadable.
const UNREADABLE =
  "This is probably no text in Latin script, or too blurred: what was read is likely to be wrong.";
// Seconds after which a cold start is the likely reason for waiting.
const LONG = 6;

const FORMATS = {
  text: { name: "Text", type: "text/plain", suffix: ".txt" },
  json: { name: "JSON", type: "application/json", suffix: ".json" },
  hocr: { name: "hOCR", type: "text/vnd.hocr+html", suffix: ".hocr" },
  alto: { name: "ALTO", type: "application/alto+xml", suffix: ".xml" },
  pdf: { name: "PDF", type: "application/pdf", suffix: ".pdf" },
  page: { name: "PAGE XML", type: "application/vnd.prima.page+xml", suffix: ".page.xml" },
  markdown: { name: "Markdown", type: "text/markdown", suffix: ".md" },
  csv: { name: "CSV of tables", type: "text/csv", suffix: ".csv" },
};

const $ = (id) => document.getElementById(id);
const percent = (share) => `${Math.floor(share * 100)} %`;
const level = (confidence) => (confidence >= SURE ? "sure" : confidence >= FAIR ? "fair" : "doubtful");
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** What went wrong, in words for the reader: a title, what to do about it, and the id of the request if it had one. */
class Problem extends Error {
  constructor(title, detail, requestId) {
    super(title);
    Object.assign(this, { title, detail, requestId });
  }
}

// ---- Taking a file in

for (const id of ["file", "photo"]) {
  $(id).addEventListener("change", ({ target }) => {
    const files = [...target.files];
    // The same file may be chosen again.
    target.value = "";
    take(files);
  });
}

$("sample").addEventListener("click", () =>
  read(async (signal) => {
    // API Gateway hands out an image as bytes only to who accepts its type first; an <img> does not.
    const response = await fetch(new URL("web/letter.jpg", API), { headers: { Accept: "image/jpeg" }, signal });
    if (!response.ok) throw await problemOf(response.status, await response.blob());
    return new File([await response.blob()], "letter.jpg", { type: "image/jpeg" });
  }),
);

addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) {
    event.preventDefault();
    take([...event.clipboardData.files]);
  }
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  $("intake").classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("intake").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  $("intake").classList.remove("over");
  take([...event.dataTransfer.files]);
});

function take(files) {
  if (files.length === 1) read(async () => files[0]);
  else if (files.length) show(new Problem("That was more than one file", "Give one picture or PDF at a time."));
  else show(new Problem("That was no file", "Save the picture first, then give its file."));
}

// ---- Reading it

let reading = null;
// The file that was given last.
let given = null;

$("options").addEventListener("submit", (event) => {
  event.preventDefault();
  read(async () => given);
});

/** What the options ask of reading, as the query of a request; null where one has no such value. */
function queryOfOptions() {
  if (!$("options").checkValidity()) {
    $("choosing").open = true;
    $("options").reportValidity();
    return null;
  }
  const chosen = [...new FormData($("options"))].map(([name, value]) => [name, value.trim()]);
  return chosen.filter(([, value]) => value);
}

/** Read the file that `source` promises, in place of whatever is being read. */
async function read(source) {
  const query = queryOfOptions();
  if (!query) return;
  reading?.abort();
  const control = (reading = new AbortController());
  const { signal } = control;
  show(null);
  const progress = follow("Preparing");
  try {
    const file = await source(signal);
    given = file;
    $("again").hidden = false;
    const image = await decode(file);
    const sent = await fit(file, image);
    const body = new Blob([JSON.stringify({ image_base64: await dataUrl(sent), image_name: nameOf(sent) })]);
    const json = await ask("json", body, signal, progress, query);
    signal.throwIfAborted();
    present(nameOf(file), image, body, json, JSON.parse(await json.text()), query);
  } catch (error) {
    if (control === reading) {
      if (signal.aborted || error.name === "AbortError") say("Cancelled");
      else show(error);
    }
  } finally {
    if (control === reading) {
      progress.end();
      reading = null;
    }
  }
}

$("cancel").addEventListener("click", () => {
  reading?.abort();
  $("file").focus();
});

/** The picture of a file, where this browser can show it. */
async function decode(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return image;
  } catch {
    URL.revokeObjectURL(image.src);
    return null;
  }
}

/** The file, or its picture made small enough to be sent. */
async function fit(file, image) {
  const pixels = image ? image.naturalWidth * image.naturalHeight : 0;
  if (file.size <= MAX_BYTES && pixels <= MAX_PIXELS) return file;
  if (!image) {
    const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
    throw new Problem(
      "The file is too large",
      `It has ${megabytes(file.size)}, and ${megabytes(MAX_BYTES)} can be sent. This browser cannot make such a file ` +
        "smaller: save it as a JPEG, or send its pages one by one.",
    );
  }
  const canvas = document.createElement("canvas");
  for (let edge = MAX_EDGE; ; edge *= 0.8) {
    const scale = Math.min(1, edge / Math.max(image.naturalWidth, image.naturalHeight));
    canvas.width = Math.round(image.naturalWidth * scale);
    canvas.height = Math.round(image.naturalHeight * scale);
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
    if (blob && blob.size <= MAX_BYTES) return new File([blob], `${stem(file.name)}.jpg`);
  }
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Problem("The file cannot be opened", "It may have moved; choose it again."));
    reader.readAsDataURL(file);
  });
}

const stem = (name) => name.replace(/\.\w+$/, "");

/** The file's name as the API takes it: without the invisible characters that some systems put into it. */
const nameOf = (file) => [...file.name.replace(/[\p{C}\p{Z}]/gu, " ")].slice(-MAX_NAME).join("") || "image";

// ---- Asking the API

/** The answer in a format, as a blob; asks for a key and tries again where the API wants one. */
async function ask(format, body, signal, progress, query) {
  for (;;) {
    const { status, blob } = await post(format, body, signal, progress, query);
    if (status === 200) return blob;
    const problem = await problemOf(status, blob);
    if (status !== 401 && status !== 403) throw problem;
    progress?.phase("Waiting for the key");
    await askForKey(problem);
  }
}

/** One request; XMLHttpRequest, since fetch does not tell how much has been sent. */
function post(format, body, signal, progress, query) {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const url = new URL("ocr", API);
    url.search = new URLSearchParams([...(format === "json" ? [] : [["format", format]]), ...query]);
    request.open("POST", url);
    request.setRequestHeader("Accept", FORMATS[format].type);
    request.setRequestHeader("Content-Type", "application/json");
    const key = sessionStorage.getItem("api-key");
    if (key) request.setRequestHeader("x-api-key", key);
    request.responseType = "blob";
    request.upload.onprogress = ({ loaded, total }) => progress?.phase("Uploading", loaded / total);
    request.upload.onload = () => progress?.phase("Reading");
    request.onload = () => resolve({ status: request.status, blob: request.response });
    request.onerror = () =>
      reject(new Problem("The service cannot be reached", "Check the connection, then try again."));
    request.onabort = () => reject(new DOMException("Aborted", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    progress?.phase("Uploading", 0);
    request.send(body);
  });
}

/** The problem that an answer tells of (RFC 9457). */
async function problemOf(status, blob) {
  if (/^application\/(problem\+)?json/.test(blob.type)) {
    const { title, detail, message, request_id: requestId } = JSON.parse(await blob.text());
    return new Problem(title ?? "The request was refused", detail ?? message ?? "", requestId);
  }
  return new Problem("The service failed", `It answered with status ${status}. Try again in a moment.`);
}

function askForKey(problem) {
  const dialog = $("key-dialog");
  const refused = sessionStorage.getItem("api-key") !== null;
  $("key-refused").hidden = !refused;
  $("key").value = "";
  return new Promise((resolve, reject) => {
    dialog.returnValue = "";
    dialog.onclose = () => {
      if (dialog.returnValue === "use") resolve(sessionStorage.setItem("api-key", $("key").value));
      else reject(refused ? problem : new DOMException("No key", "AbortError"));
    };
    dialog.showModal();
  });
}
$("key-dialog").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("key-dialog").close("use");
});
$("key-cancel").addEventListener("click", () => $("key-dialog").close());

// ---- Telling how it stands

/** Show the progress from now on; only a new phase is said aloud, its seconds are not. */
function follow(first) {
  let start = 0;
  let now = "";
  const phase = (name, share) => {
    if (name !== now) {
      start = performance.now();
      now = name;
      say(`${name}…`);
      tick();
    }
    $("phase").textContent = share === undefined ? `${name}…` : `${name}, ${percent(share)}`;
    if (share === undefined) $("bar").removeAttribute("value");
    else $("bar").value = share;
  };
  const tick = () => {
    const seconds = Math.floor((performance.now() - start) / 1000);
    const late = now === "Reading" && seconds >= LONG ? ". The first page after a pause takes longer." : "";
    $("elapsed").textContent = `${seconds} s${late}`;
  };
  phase(first);
  clearInterval(follow.timer);
  follow.timer = setInterval(tick, 500);
  $("progress").hidden = false;
  return {
    phase,
    end() {
      clearInterval(follow.timer);
      $("progress").hidden = true;
    },
  };
}

function say(text) {
  $("status").textContent = text;
}

/** Show a problem, or none. */
function show(problem) {
  $("problem").replaceChildren();
  if (!problem) return;
  const { title = "The page failed", detail = problem.message, requestId } = problem;
  $("problem").append(
    make("div", { class: "problem" }, make("strong", {}, title), make("p", {}, detail),
      ...(requestId ? [make("p", { class: "note" }, `Request ${requestId}`)] : [])),
  );
}

// ---- Presenting the result

let shown = null;

function present(name, image, body, json, answer, query) {
  const pages = answer.pages ?? [answer];
  const lines = pages.flatMap((page) => page.lines);
  const text = new Blob(lines.length ? [pages.map(textOf).join("\f")] : []);
  if (shown?.image) URL.revokeObjectURL(shown.image.src);
  // The API joins lines and marks words.
  const plain = !query.some(([name]) => name === "lines" || name === "mark");
  shown = { name, image, body, query, rendered: { json, ...(plain ? { text } : {}) } };
  const seconds = pages.reduce((sum, page) => sum + page.timings_ms.total, 0) / 1000;
  $("result-title").textContent = name;
  $("summary").textContent = [
    ...(pages.length > 1 ? [count(pages.length, "page")] : []),
    count(lines.length, "line"),
    ...(lines.length ? [`${percent(answer.confidence)} confidence`] : []),
    `${seconds.toFixed(1)} s`,
  ].join(" · ");
  $("saved").textContent = "";
  $("legend").hidden = !lines.length;
  $("pages").replaceChildren(...pages.map((page, index) => pageOf(page, index === 0 ? image : null, pages.length > 1)));
  $("result").hidden = false;
  document.body.classList.add("done");
  const unreadable = pages.filter((page) => page.content === "unreadable").length;
  say(`Read ${count(lines.length, "line")}. ${unreadable ? UNREADABLE : ""}`.trim());
  $("result-title").focus();
}

/** A page's text with a line a line, and an empty line between two blocks. */
function textOf(page) {
  const blocks = page.blocks ?? [{ lines: page.lines.keys() }];
  return blocks.map(({ lines }) => [...lines].map((index) => `${page.lines[index].text}\n`).join("")).join("\n");
}

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "polygon", "text"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A page: its picture with the lines drawn over it, and beside it the list of them. */
function pageOf(page, image, numbered) {
  const drawing = make("svg", {
    viewBox: `0 0 ${page.width} ${page.height}`,
    role: "img",
    "aria-label": `The page with ${count(page.lines.length, "line")} drawn on it`,
  });
  const caption = make("p", { class: "caption", "aria-hidden": "true" });
  const list = make("ol", { role: "list" });
  page.lines.forEach((line, index) => {
    if (!image) drawing.append(written(line));
    const attributes = { class: level(line.confidence), "data-line": index };
    drawing.append(make("polygon", { ...attributes, points: line.polygon.join(" ") }));
    list.append(make("li", { ...attributes, tabindex: index ? -1 : 0 }, ...itemOf(line)));
  });
  if (image) image.alt = "";
  const figure = make("figure", {}, make("div", { class: "sheet" }, ...(image ? [image] : []), drawing, caption));
  if (!image) figure.append(make("p", { class: "note" }, "This browser cannot show the page; its text is set in place."));
  const article = make("article", {}, figure, page.lines.length ? list : make("p", {}, "No text was found here."));
  if (page.content === "unreadable") article.prepend(make("p", { class: "problem" }, UNREADABLE));
  if (numbered) article.prepend(make("h3", {}, `Page ${page.page}`));
  link(page, drawing, list, caption);
  return article;
}

/** A line's words, the ones that are not sure marked, and its confidence. */
function itemOf(line) {
  const words = line.words.flatMap((word) => {
    const kind = level(word.confidence);
    return [" ", kind === "sure" ? word.text : make("span", { class: kind, title: percent(word.confidence) }, word.text)];
  });
  const share = make("span", { class: "share" }, make("span", { class: "unseen" }, "confidence "), percent(line.confidence));
  return [make("span", {}, ...words.slice(1)), " ", share];
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

/** Pair the polygons with the list: what is hovered or focused in one is lit in both and told in the caption. */
function link(page, drawing, list, caption) {
  const items = [...list.children];
  const polygons = [...drawing.querySelectorAll("polygon")];
  let lit = -1;
  const light = (chosen) => {
    if (chosen === lit) return;
    lit = chosen;
    for (const [index, item] of items.entries()) {
      item.classList.toggle("lit", index === chosen);
      polygons[index].classList.toggle("lit", index === chosen);
    }
    const line = page.lines[chosen];
    caption.textContent = line ? line.text : "";
    if (!line) return;
    // The drawing fills the sheet's height, so shares of the page's height are the sheet's too.
    const below = line.box[3] < 0.8 * page.height;
    caption.classList.toggle("above", !below);
    caption.style.top = `${(100 * (below ? line.box[3] : line.box[1])) / page.height}%`;
  };
  const focused = () => items.indexOf(document.activeElement);
  const lineOf = (event) => Number(event.target.closest("[data-line]")?.dataset.line ?? -1);
  for (const side of [drawing, list]) {
    // Not pointerover, which comes too when the page scrolls under a resting mouse.
    side.addEventListener("pointermove", (event) => light(lineOf(event) < 0 ? focused() : lineOf(event)));
    side.addEventListener("pointerleave", () => light(focused()));
    side.addEventListener("click", (event) => items[lineOf(event)]?.focus());
  }
  list.addEventListener("focusout", () => light(-1));
  list.addEventListener("focusin", (event) => {
    // One stop for the tab key, on the line that was last looked at; arrows go from line to line.
    for (const item of items) item.tabIndex = item === event.target ? 0 : -1;
    light(lineOf(event));
  });
  list.addEventListener("keydown", (event) => {
    const here = focused();
    const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: items.length - 1 }[event.key];
    if (here < 0 || next === undefined) return;
    event.preventDefault();
    items[next]?.focus();
  });
}

// ---- Handing it out

$("format").append(...Object.entries(FORMATS).map(([value, { name }]) => make("option", { value }, name)));
$("format").addEventListener("change", () => {
  $("copy").disabled = $("format").value === "pdf";
  $("saved").textContent = "";
});

/** The result in the chosen format; the API is asked once for each. */
function rendered(format) {
  const { rendered: made, body, query } = shown;
  made[format] ??= ask(format, body, undefined, undefined, query).catch((error) => {
    delete made[format];
    throw error;
  });
  return made[format];
}

async function hand(doing, done, act) {
  const format = $("format").value;
  show(null);
  $("saved").textContent = `${doing} ${FORMATS[format].name}…`;
  try {
    await act(format);
    $("saved").textContent = `${FORMATS[format].name} ${done}`;
  } catch (error) {
    $("saved").textContent = "";
    if (error.name !== "AbortError") show(error);
  }
}

$("copy").addEventListener("click", () =>
  hand("Copying", "copied", async (format) => {
    const plain = Promise.resolve(rendered(format)).then(
      async (blob) => new Blob([await blob.text()], { type: "text/plain" }),
    );
    try {
      // The item takes the promise: a browser may forget the click by the time the API has answered.
      await Promise.all([plain, navigator.clipboard.write([new ClipboardItem({ "text/plain": plain })])]);
    } catch (error) {
      if (error instanceof Problem || error.name === "AbortError") throw error;
      throw new Problem("The browser does not let this page copy", "Download it instead.");
    }
  }),
);

$("download").addEventListener("click", () =>
  hand("Fetching", "downloaded", async (format) => {
    const blob = await rendered(format);
    const anchor = make("a", { href: URL.createObjectURL(blob), download: stem(shown.name) + FORMATS[format].suffix });
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
  }),
);
