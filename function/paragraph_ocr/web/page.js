// A file that the reader gives goes to the API; the lines that come back are shown, corrected, and handed out.

import { Correction, pagesOf } from "./correction.js";
import { drop, keep, keepText, kept } from "./drafts.js";
import { Editor, UNREADABLE, count, make, percent } from "./editor.js";

// The API takes 4,500,000 bytes and 80 megapixels, and API Gateway no more whatever the stack's parameters say.
const MAX_BYTES = 4_400_000;
const MAX_PIXELS = 80_000_000;
// Long edge of a picture that is made smaller: enough for a page of writing, and a canvas that phones can hold.
const MAX_EDGE = 4096;
const MAX_NAME = 255;
// Where the API is, with whatever stage or path before it.
const API = new URL("..", import.meta.url);
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
    acceptFiles(files);
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
    acceptFiles([...event.clipboardData.files]);
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
  acceptFiles([...event.dataTransfer.files]);
});

function acceptFiles(files) {
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
  if (!query || !(await mayReplace())) return;
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
    const body = await bodyOf(sent);
    const json = await ask("json", body, signal, progress, query);
    signal.throwIfAborted();
    present({ name: nameOf(file), file, sent, image, body, json, answer: JSON.parse(await json.text()), query });
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

/** What asks the API to read a file. */
async function bodyOf(file) {
  return new Blob([JSON.stringify({ image_base64: await dataUrl(file), image_name: nameOf(file) })]);
}

/** The file, or its picture made small enough to be sent. */
async function fit(file, image, most = MAX_BYTES) {
  const pixels = image ? image.naturalWidth * image.naturalHeight : 0;
  if (file.size <= most && pixels <= MAX_PIXELS) return file;
  if (!image) {
    const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
    throw new Problem(
      "The file is too large",
      `It has ${megabytes(file.size)}, and ${megabytes(most)} can be sent. This browser cannot make such a file ` +
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
    if (blob && blob.size <= most) return new File([blob], `${stem(file.name)}.jpg`);
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
async function ask(format, body, signal, progress, query, route = "ocr") {
  for (;;) {
    const { status, blob } = await post(format, body, signal, progress, query, route);
    if (status === 200) return blob;
    const problem = await problemOf(status, blob);
    if (status !== 401 && status !== 403) throw problem;
    progress?.phase("Waiting for the key");
    await askForKey(problem);
  }
}

/** One request; XMLHttpRequest, since fetch does not tell how much has been sent. */
function post(format, body, signal, progress, query, route) {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const url = new URL(route, API);
    url.search = new URLSearchParams([...(format === "json" ? [] : [["format", format]]), ...query]);
    request.open("POST", url);
    request.setRequestHeader("Accept", FORMATS[format].type);
    // The type of a form names its boundary.
    if (!(body instanceof FormData)) request.setRequestHeader("Content-Type", "application/json");
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

const editor = new Editor(
  { pages: $("pages"), tools: $("tools"), state: $("state"), help: $("keys-dialog") },
  { say, changed, draft: keepText },
);

/** Show what was read of a file; `kept` is what a draft keeps of its corrections. */
function present({ name, file, sent, image, body, json, answer, query, kept }) {
  if (shown?.image) URL.revokeObjectURL(shown.image.src);
  const correction = new Correction(answer, kept);
  const pages = pagesOf(answer);
  const lines = pages.flatMap((page) => page.lines);
  const text = new Blob(lines.length ? [pages.map(textOf).join("\f")] : []);
  // The API joins lines and marks words.
  const plain = !query.some(([name]) => name === "lines" || name === "mark");
  const read = { json: json ?? new Blob([JSON.stringify(answer)]), ...(plain ? { text } : {}) };
  shown = { name, file, sent, image, body, query, correction, read, rendered: read };
  $("result-title").textContent = name;
  $("saved").textContent = "";
  $("result").hidden = false;
  document.body.classList.add("done");
  editor.show(correction, image);
  summarise();
  const unreadable = pages.filter((page) => page.content === "unreadable").length;
  say(`Read ${count(lines.length, "line")}. ${unreadable ? UNREADABLE : ""}`.trim());
  $("result-title").focus();
}

function summarise() {
  const { answer, document: corrected, isChanged } = shown.correction;
  const pages = pagesOf(corrected);
  const lines = pages.flatMap((page) => page.lines);
  const seconds = pagesOf(answer).reduce((sum, page) => sum + page.timings_ms.total, 0) / 1000;
  $("summary").textContent = [
    ...(pages.length > 1 ? [count(pages.length, "page")] : []),
    count(lines.length, "line"),
    ...(lines.length ? [`${percent(corrected.confidence)} confidence`] : []),
    `${seconds.toFixed(1)} s`,
  ].join(" · ");
  $("legend").hidden = !lines.length;
  $("legend-corrected").hidden = !isChanged;
}

/** A page's text with a line a line, and an empty line between two blocks. */
function textOf(page) {
  const blocks = page.blocks ?? [{ lines: page.lines.keys() }];
  return blocks.map(({ lines }) => [...lines].map((index) => `${page.lines[index].text}\n`).join("")).join("\n");
}

// ---- Keeping corrections until they are saved

/** After each step: what was rendered is out of date, and the draft with it. */
function changed() {
  const { correction, read } = shown;
  shown.rendered = correction.isChanged ? {} : read;
  $("saved").textContent = "";
  summarise();
  keepDraft();
}

async function keepDraft() {
  const { name, file, sent, query, correction } = shown;
  if (!correction.isUnsaved) return drop();
  if (!(await keep({ name, file, sent, query, answer: correction.answer, kept: correction.kept }))) {
    $("state").textContent += "; this browser keeps no corrections, so save them before you leave";
  }
}

/** Show the corrections that this tab had when it was loaded again. */
async function restore() {
  const draft = await kept();
  if (!draft || shown || reading) return;
  const { name, file, sent, query, answer, kept: steps, typed } = draft;
  const [image, body] = await Promise.all([decode(file), bodyOf(sent)]);
  if (shown || reading) return;
  present({ name, file, sent, image, body, answer, query, kept: steps });
  given = file;
  $("again").hidden = false;
  if (typed && shown.correction.pages[typed.page]?.lines[typed.line]) {
    editor.retype(typed);
  }
  changed();
  say("Your corrections are as they were.");
}
restore();

addEventListener("beforeunload", (event) => {
  if (shown?.correction.isUnsaved || editor.isTyped) event.preventDefault();
});

addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key.toLowerCase() !== "s") return;
  if (!shown?.correction.isChanged && !editor.isTyped) return;
  event.preventDefault();
  editor.applyText();
  hand("json", "Fetching", "downloaded", save);
});

/** Whether what is shown may make room for another file: all is saved, or the person gives it up. */
function mayReplace() {
  editor.applyText();
  if (!shown?.correction.isUnsaved) return true;
  const dialog = $("leave-dialog");
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.onclose = async () => {
      if (dialog.returnValue === "save") await hand("json", "Fetching", "downloaded", save);
      const leaves = dialog.returnValue === "discard" || (dialog.returnValue === "save" && !shown.correction.isUnsaved);
      if (leaves) {
        shown.correction.saved();
        drop();
      }
      resolve(leaves);
    };
    dialog.showModal();
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
  const { rendered: made, body, query, correction } = shown;
  // What is corrected can be saved without the API.
  if (correction.isChanged && format === "json") made.json ??= new Blob([JSON.stringify(correction.document), "\n"]);
  made[format] ??= (correction.isChanged ? convert(format) : ask(format, body, undefined, undefined, query)).catch((error) => {
    delete made[format];
    throw error;
  });
  return made[format];
}

/** The corrected document in a format. */
async function convert(format) {
  const { correction, sent, image, query } = shown;
  const style = query.filter(([name]) => name === "lines" || name === "mark");
  const json = new Blob([JSON.stringify(correction.document)], { type: "application/json" });
  if (format !== "pdf") return ask(format, json, undefined, undefined, style, "convert");
  // A PDF shows the picture; what is sent is the text and the picture together.
  const form = new FormData();
  form.append("document", json, "document.json");
  form.append("image", json.size + sent.size <= MAX_BYTES ? sent : await fit(sent, image, MAX_BYTES - json.size), "image");
  return ask(format, form, undefined, undefined, style, "convert");
}

async function hand(format, doing, done, act) {
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

$("copy").addEventListener("click", () => {
  editor.applyText();
  return hand($("format").value, "Copying", "copied", async (format) => {
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
  });
});

/** Download a format; with JSON and PAGE XML, which hold all of it, the corrections are saved. */
async function save(format) {
  const { correction } = shown;
  const { at } = correction;
  const blob = await rendered(format);
  const anchor = make("a", { href: URL.createObjectURL(blob), download: stem(shown.name) + FORMATS[format].suffix });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
  if (["json", "page"].includes(format) && correction.isChanged && correction === shown.correction && correction.at === at) {
    correction.saved();
    editor.announce();
    drop();
  }
}

$("download").addEventListener("click", () => {
  editor.applyText();
  return hand($("format").value, "Fetching", "downloaded", save);
});
