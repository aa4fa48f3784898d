// Three things that the pages cannot do without a script.
(() => {
  "use strict";

  // What scrolls sideways must be reached by keyboard; what does not, need not.
  const BOXES = "div.math, .pst-scrollable-table-container, .cell_output, .output, pre";

  function markBoxes() {
    for (const box of document.querySelectorAll(BOXES)) {
      if (box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
      } else {
        box.removeAttribute("tabindex");
      }
    }
  }

  // A note stays inside of its paragraph, and closes at Escape.
  function placeNote(term) {
    term.classList.remove("term-closed");
    const note = term.querySelector(".term-note");
    note.style.removeProperty("--note-left");
    const column = note.offsetParent;
    if (column) {
      const room = column.clientWidth - note.offsetWidth;
      const wish = term.offsetLeft;
      note.style.setProperty("--note-left", `${Math.max(0, Math.min(wish, room))}px`);
    }
  }

  // Who has chosen a section wants to see it.
  function closeDrawer(event) {
    if (event.target.closest("dialog a[href^='#']")) {
      event.target.closest("dialog").close();
    }
  }

  function start() {
    markBoxes();
    addEventListener("click", closeDrawer);
    addEventListener("resize", markBoxes);
    for (const details of document.querySelectorAll("details")) {
      details.addEventListener("toggle", markBoxes);
    }
    for (const term of document.querySelectorAll(".term")) {
      for (const event of ["mouseenter", "focusin"]) {
        term.addEventListener(event, () => placeNote(term));
      }
    }
    addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        for (const term of document.querySelectorAll(".term")) {
          term.classList.add("term-closed");
        }
      }
    });
  }

  start();
})();
