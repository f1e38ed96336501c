// Selecting many photos in Browse: ranges with Shift, all of the page, the count, and limits of actions.
// Without this script the checkboxes and buttons are a plain form.
"use strict";

(() => {
  const boxes = () => [...document.querySelectorAll(".photos input[name=file]")];
  const chosen = () => boxes().filter((box) => box.checked);
  let last = null; // the id of the photo that was selected last, where a range begins
  let shift = false; // a click that a label passes on has no modifiers

  const idOf = (box) => box.value.split(":")[0];
  const photos = (count) => (count === 1 ? "1 photo" : `${count} photos`);

  function count() {
    const bar = document.getElementById("chosen");
    if (!bar) return;
    const every = boxes();
    const selected = chosen().length;
    document.getElementById("count").textContent = `${photos(selected)} selected`;
    bar.hidden = selected === 0;
    bar.elements.shown.value = every.length;
    limit(bar, selected);
    const all = document.getElementById("all");
    all.hidden = false;
    all.textContent = selected && selected === every.length ? "Select none" : "Select all on this page";
    document.getElementById("clear").hidden = false;
  }

  function limit(bar, selected) {
    for (const button of bar.querySelectorAll("[data-most]")) button.disabled = selected > Number(button.dataset.most);
    const { mostCorrected, mostZipped } = bar.dataset;
    const words = document.getElementById("limit");
    words.hidden = selected <= Number(mostCorrected);
    words.textContent = selected > Number(mostZipped)
      ? `At most ${mostZipped} can be downloaded at once.`
      : `At most ${mostCorrected} can be corrected or undone at once.`;
  }

  function select(some, on) {
    for (const box of some) box.checked = on;
    count();
  }

  function extend(to) {
    const every = boxes();
    const [from, end] = [every.findIndex((box) => idOf(box) === last), every.indexOf(to)].sort((a, b) => a - b);
    if (from >= 0) select(every.slice(from, end + 1), to.checked);
  }

  for (const kind of ["pointerdown", "keydown"]) {
    document.addEventListener(kind, (event) => { shift = event.shiftKey; }, true);
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "other-label") {
      event.target.parentElement.querySelector("button").value = event.target.value;
      return;
    }
    if (!event.target.matches(".photos input[name=file]")) return;
    if (shift && last !== null) extend(event.target);
    last = idOf(event.target);
    count();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("#all")) select(boxes(), chosen().length < boxes().length);
    if (event.target.closest("#clear")) {
      select(boxes(), false);
      document.getElementById("all").focus();
    }
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
    if (typing || event.defaultPrevented || event.altKey) return;
    if (event.key === "Escape" && chosen().length) select(boxes(), false);
    if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey) && event.target.closest(".photos, .tools")) {
      event.preventDefault();
      select(boxes(), true);
    }
  });

  // A picture that cannot be drawn says why.
  function explain(image) {
    const words = document.createElement("span");
    words.className = "nopicture";
    words.setAttribute("role", "img");
    words.textContent = "cannot be shown";
    image.replaceWith(words);
    fetch(image.src, { headers: { Accept: "application/json" } })
      .then((response) => (response.ok ? null : response.json()))
      .then((said) => { if (said) words.textContent = said.error.replace(/^This file cannot be shown: /, "").replace(/\.$/, ""); })
      .catch(() => { /* the server does not respond, which the next request says */ });
  }
  document.addEventListener("error", (event) => {
    if (event.target.matches?.(".photo img")) explain(event.target);
  }, true);
  for (const image of document.querySelectorAll(".photo img")) {
    if (image.complete && image.naturalWidth === 0 && image.loading !== "lazy") explain(image);
  }

  // Folders that begin with what is typed, with their subfolders after a slash.
  const folder = document.getElementById("f-folder");
  let waiting = 0;
  folder?.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const response = await fetch(pawsort.url(`/browse/folders?${new URLSearchParams({ folder: folder.value })}`)).catch(() => null);
      if (!response?.ok) return;
      const options = (await response.json()).map((name) => Object.assign(document.createElement("option"), { value: name }));
      document.getElementById("folders").replaceChildren(...options);
    }, 150);
  });

  document.addEventListener("htmx:afterSettle", count);
  window.addEventListener("pageshow", count);
  count();
})();
