// The keys of the review: each button and link on the stage says in data-key which one presses it.
"use strict";

(() => {
  const stage = () => document.getElementById("stage");
  const boxes = () => [...stage().querySelectorAll("#tiles input[type=checkbox]")];

  function writing(element) {
    return element.closest("input:not([type=checkbox]), select, textarea, [contenteditable]") !== null;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || writing(event.target)) return;
    const key = event.key.toLowerCase();
    const pressed = [...stage().querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
    if (pressed && !pressed.disabled) {
      event.preventDefault();
      pressed.click();
    }
  });

  function count() {
    const chosen = boxes().filter((box) => box.checked).length;
    for (const button of stage().querySelectorAll(".says.bar .say")) {
      button.disabled = chosen === 0;
    }
    const all = document.getElementById("all");
    if (all) {
      all.hidden = false;
      all.firstChild.textContent = chosen === boxes().length ? "Select none " : "Select all ";
    }
  }

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-all]")) return;
    const every = boxes().every((box) => box.checked);
    for (const box of boxes()) box.checked = !every;
    count();
  });
  document.addEventListener("change", (event) => { if (event.target.closest("#tiles")) count(); });
  document.addEventListener("htmx:afterSettle", () => { if (stage()) count(); });
  count();
})();
