// Try: each photo is sent in its own request, so that the first answer appears early. The browser keeps the
// photo and sends it again to the inbox or for a heatmap.
"use strict";

(() => {
  const AT_ONCE = 3;
  const SLOW_MS = 2500;

  const form = document.getElementById("try-form");
  const files = document.getElementById("files");
  const camera = document.getElementById("camera");
  const answers = document.getElementById("answers");
  const model = form.elements.model;
  const photos = new WeakMap();
  const waiting = [];
  let running = 0;

  document.documentElement.classList.add("scripted");
  if (matchMedia("(pointer: coarse)").matches) {
    for (const part of [camera, document.querySelector("label.camera")]) part.hidden = false;
    camera.disabled = false;
  }

  function wake() {
    fetch(pawsort.url("/try/wake?model=") + encodeURIComponent(model.value), { method: "POST" }).catch(() => {});
  }

  function ask(list) {
    const chosen = [...list];
    for (const file of chosen) {
      const card = placeholder(file);
      answers.prepend(card);
      waiting.push({ file, card, model: model.value });
    }
    if (chosen.length) {
      pawsort.announce(chosen.length === 1 ? "Classifying the photo" : `Classifying ${chosen.length} photos`);
    }
    next();
  }

  function next() {
    while (running < AT_ONCE && waiting.length) {
      running += 1;
      answer(waiting.shift()).finally(() => { running -= 1; next(); });
    }
  }

  function placeholder(file) {
    const card = document.createElement("article");
    card.className = "card answer pending";
    card.setAttribute("aria-busy", "true");
    const name = document.createElement("p");
    name.className = "small quiet name";
    name.textContent = file.name;
    const said = document.createElement("p");
    said.className = "working";
    said.textContent = "Classifying…";
    card.append(name, said);
    return card;
  }

  async function answer({ file, card, model }) {
    const late = setTimeout(() => {
      card.querySelector(".working").textContent = "Loading the model. This takes a few seconds the first time…";
    }, SLOW_MS);
    try {
      const html = await post("/try", file, { model });
      const part = new DOMParser().parseFromString(html, "text/html").querySelector("article");
      prepare(part, file);
      card.replaceWith(part);
      pawsort.announce(`${file.name}: ${part.querySelector(".verdict").textContent.trim().replace(/\s+/g, " ")}`);
    } catch (error) {
      card.removeAttribute("aria-busy");
      card.classList.remove("pending");
      const words = errorElement(error);
      words.setAttribute("role", "alert");
      card.querySelector(".working").replaceWith(words);
    } finally {
      clearTimeout(late);
    }
  }

  // Else the browser would send nothing, as if the server did not respond.
  async function refuseUnreadable(file) {
    if (!file.size) throw new Error("The file is empty: it has 0 bytes.");
    try {
      await file.slice(0, 1).arrayBuffer();
    } catch {
      throw new Error("This is a folder, or a file that was moved or changed since. Choose the photos again.");
    }
  }

  async function post(path, file, fields, headers = {}) {
    await refuseUnreadable(file);
    const body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    body.append("file", file, file.name);
    let response;
    try {
      response = await fetch(pawsort.url(path), { method: "POST", body, headers: { "X-Part": "1", Accept: "application/json", ...headers } });
    } catch {
      throw new Error("The server does not respond. Is `pawsort serve` still running?");
    }
    if (response.ok) return response.text();
    const said = await response.json().catch(() => null);
    const error = new Error(said ? `${said.error} ${said.what_to_do}` : `The server answered ${response.status}. Try again.`);
    throw Object.assign(error, { status: response.status });
  }

  function errorElement(error) {
    const words = document.createElement("p");
    words.className = "error";
    words.textContent = error.message;
    if (error.status === 401) words.append(" ", window.pawsort.signInLink());
    return words;
  }

  function prepare(card, file) {
    photos.set(card, file);
    for (const hidden of card.querySelectorAll(".with-script")) hidden.hidden = false;
  }

  async function send(card, button) {
    const said = card.querySelector(".said");
    if (button.getAttribute("aria-disabled")) return;
    // Not `disabled`, which would remove the focus.
    button.setAttribute("aria-disabled", "true");
    // One key for each photo, so that a double click does not deliver it twice.
    card.dataset.key ||= [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    try {
      const [delivered] = JSON.parse(await post("/api/inbox", photos.get(card), {}, { "Idempotency-Key": card.dataset.key }));
      button.textContent = "Sent";
      said.textContent = `It is in the inbox as ${delivered.name}.`;
    } catch (error) {
      button.removeAttribute("aria-disabled");
      said.replaceChildren(errorElement(error));
    }
  }

  async function look(card, button) {
    const picture = card.querySelector(".answer-picture");
    const heat = picture.querySelector(".heat");
    if (button.getAttribute("aria-disabled")) return;
    if (heat) {
      heat.hidden = !heat.hidden;
    } else {
      button.setAttribute("aria-disabled", "true");
      button.textContent = "Making the heatmap…";
      try {
        const { model, label } = card.dataset;
        const html = await post("/try/heat", photos.get(card), { model, label });
        picture.append(new DOMParser().parseFromString(html, "text/html").querySelector("img"));
      } catch (error) {
        card.querySelector(".said").replaceChildren(errorElement(error));
      }
      button.removeAttribute("aria-disabled");
    }
    const shown = Boolean(picture.querySelector(".heat:not([hidden])"));
    button.textContent = shown ? "Show photo" : "Show heatmap";
  }

  for (const input of [files, camera]) {
    input.addEventListener("click", wake);
    input.addEventListener("change", () => { ask(input.files); input.value = ""; });
  }
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(files.files); });

  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    if (depth === 1) wake();
    form.classList.add("over");
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) form.classList.remove("over");
  });
  addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    form.classList.remove("over");
    ask(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData && event.clipboardData.files.length) ask(event.clipboardData.files);
  });

  answers.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const card = event.target.closest(".answer");
    if (!button || !card) return;
    if (button.classList.contains("send")) send(card, button);
    if (button.classList.contains("look")) look(card, button);
  });

  document.getElementById("model-form").addEventListener("change", (event) => {
    model.value = event.target.value;
    history.replaceState(null, "", pawsort.url("/?model=") + encodeURIComponent(model.value));
    wake();
    const again = [...answers.querySelectorAll(".answer")].filter((card) => photos.has(card)).reverse();
    for (const card of again) {
      const file = photos.get(card);
      const fresh = placeholder(file);
      card.replaceWith(fresh);
      waiting.push({ file, card: fresh, model: model.value });
    }
    next();
  });
})();
