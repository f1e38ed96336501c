// Keyboard shortcuts of Review: data-key of a button or link is the key that activates it. They can be
// switched off, because speech input and screen readers send single letters too (WCAG 2.1.4).
"use strict";

(() => {
  const keys = document.getElementById("keys");
  const stage = () => document.getElementById("stage");
  const boxes = () => [...stage().querySelectorAll("#tiles input[type=checkbox]")];

  function typing(element) {
    return element.closest("input:not([type=checkbox]), select, textarea, [contenteditable], [role=textbox]") !== null;
  }

  // Digits need Shift on some keyboards, letters do not.
  function modified(event) {
    const shifted = event.shiftKey && !/^[0-9]$/.test(event.key);
    return event.ctrlKey || event.metaKey || event.altKey || shifted || event.getModifierState("AltGraph");
  }

  document.addEventListener("keydown", (event) => {
    if (!keys.checked || event.defaultPrevented || event.repeat || event.isComposing) return;
    if (modified(event) || typing(event.target)) return;
    const key = event.key.toLowerCase();
    const pressed = [...stage().querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
    if (pressed && !pressed.disabled) {
      event.preventDefault();
      pressed.click();
    }
  });

  function nameKeys() {
    document.documentElement.classList.toggle("without-keys", !keys.checked);
    for (const element of stage().querySelectorAll("[data-key]")) {
      if (keys.checked && element.dataset.key) element.setAttribute("aria-keyshortcuts", element.dataset.key);
      else element.removeAttribute("aria-keyshortcuts");
    }
  }

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

  function prepare() {
    nameKeys();
    count();
  }

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-all]")) return;
    const every = boxes().every((box) => box.checked);
    for (const box of boxes()) box.checked = !every;
    count();
  });
  document.addEventListener("change", (event) => { if (event.target.closest("#tiles")) count(); });
  // htmx keeps the focus on the element with the same id; if there is none, focus the content.
  let wasInside = false;
  document.addEventListener("htmx:beforeSwap", () => { wasInside = stage().contains(document.activeElement); });
  document.addEventListener("htmx:afterSettle", () => {
    if (!stage()) return;
    prepare();
    if (wasInside && document.activeElement === document.body) {
      document.getElementById("content").focus({ preventScroll: true });
    }
  });
  pawsort.remember(keys, prepare);
})();
