// Keeps the corrections of this tab in the browser until they are saved, so that a reload loses nothing.
//
// Another tab has its own; what a closed tab left behind is deleted after a day.

const DATABASE = "paragraph-ocr";
const STORE = "drafts";
const ID = "draft";
const TEXT = "draft-text";
const MAX_AGE = 24 * 60 * 60 * 1000;

/** Run something on the store; its result. */
async function withStore(mode, act) {
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** The id of this tab's draft. A tab that was duplicated gets an id of its own. */
async function ownId() {
  const id = sessionStorage.getItem(ID) ?? crypto.randomUUID();
  const held = await hold(id);
  const own = held ? id : crypto.randomUUID();
  if (!held) await hold(own);
  sessionStorage.setItem(ID, own);
  return { own, id };
}

/** Hold the lock that tells other tabs that this draft is in use; whether it was free. */
function hold(id) {
  if (!navigator.locks) return true;
  return new Promise((resolve) => {
    navigator.locks.request(`${DATABASE}-${id}`, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock && new Promise(() => {});
    });
  });
}

let opened = null;
const open = () => (opened ??= ownId());
// Writes happen one after another.
let writing = Promise.resolve();

/** Keep a draft; false where this browser does not. */
export function keep(draft) {
  return (writing = writing.then(async () => {
    try {
      const { own } = await open();
      await withStore("readwrite", (store) => store.put({ ...draft, time: Date.now() }, own));
      return true;
    } catch {
      return false;
    }
  }));
}

/** Keep the text that is being typed: at once, since the tab may be gone the next moment. */
export function keepText(change) {
  try {
    if (change) sessionStorage.setItem(TEXT, JSON.stringify(change));
    else sessionStorage.removeItem(TEXT);
  } catch {
    // The line is kept when it is taken.
  }
}

/** Delete this tab's draft. */
export function drop() {
  keepText(null);
  return (writing = writing.then(async () => {
    try {
      const { own } = await open();
      await withStore("readwrite", (store) => store.delete(own));
    } catch {
      // There is none.
    }
  }));
}

/** The draft that this tab kept before it was loaded again, with the text that was being typed, or null. */
export async function kept() {
  try {
    if (!sessionStorage.getItem(ID)) {
      await clean();
      return null;
    }
    const typed = JSON.parse(sessionStorage.getItem(TEXT) ?? "null");
    const { own, id } = await open();
    const draft = await withStore("readonly", (store) => store.get(id));
    await clean();
    if (draft && own !== id) await keep(draft);
    return draft ? { ...draft, typed } : null;
  } catch {
    return null;
  }
}

/** Delete the drafts of closed tabs that are older than a day. */
async function clean() {
  const { held } = (await navigator.locks?.query()) ?? { held: [] };
  const used = new Set(held.map(({ name }) => name));
  await withStore("readwrite", (store) => {
    store.openCursor().onsuccess = ({ target }) => {
      const cursor = target.result;
      if (!cursor) return;
      if (!used.has(`${DATABASE}-${cursor.key}`) && Date.now() - cursor.value.time > MAX_AGE) cursor.delete();
      cursor.continue();
    };
  });
}
