// What the pages cannot do without a script.
(() => {
  "use strict";

  // What scrolls sideways must be reached by keyboard; what does not, need not.
  const BOXES = "div.math, .pst-scrollable-table-container, .cell_output, .output, pre";

  function markBoxes() {
    for (const box of document.querySelectorAll(BOXES)) {
      const wider = box.scrollWidth > box.clientWidth + 1;
      box.classList.toggle("wider", wider);
      if (wider) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
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

  // On a phone the chapters and the contents are drawers. Escape and a tap beside them
  // close them; a button says so. The theme moves what it finds in a sidebar to the
  // drawer and back, so the button stands in the sidebar, and shows in the drawer.
  function addCloseButtons() {
    for (const name of ["primary", "secondary"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "drawer-close";
      button.setAttribute("aria-label", "Close");
      button.textContent = "\u00d7";
      document.getElementById(`pst-${name}-sidebar`)?.prepend(button);
    }
  }

  // Who has chosen a section wants to see it.
  function closeDrawer(event) {
    if (event.target.closest("dialog :is(.drawer-close, a[href^='#'])")) {
      event.target.closest("dialog").close();
    }
  }

  // Which chapters were read to their end, in this browser and nowhere else. The list
  // of chapters marks them, and the first page's button leads to the next one.
  const READ = "course-read";

  function readChapters() {
    try {
      const known = JSON.parse(localStorage.getItem(READ));
      return Array.isArray(known) ? known : [];
    } catch {
      return [];
    }
  }

  function markRead() {
    const known = readChapters();
    for (const link of document.querySelectorAll(".bd-docs-nav a, .chapter-link")) {
      if (!known.includes(link.pathname) || link.classList.contains("read")) continue;
      link.classList.add("read");
      const said = document.createElement("span");
      said.className = "visually-hidden";
      said.textContent = ", read";
      link.append(said);
    }
    const button = document.querySelector(".start a");
    const next = [...document.querySelectorAll(".chapter-link")].find((link) => !known.includes(link.pathname));
    if (button && next && next.pathname !== button.pathname && known.length) {
      button.href = next.href;
      button.textContent = `Go on with ${next.textContent}`;
    }
  }

  function rememberEnd() {
    const end = document.querySelector(".course-progress") && document.querySelector(".prev-next-footer");
    if (!end) return;
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      const known = new Set(readChapters()).add(location.pathname);
      try {
        localStorage.setItem(READ, JSON.stringify([...known]));
      } catch {
        // full or forbidden: nothing is remembered
      }
      markRead();
    }).observe(end);
  }

  // Sphinx asks for categories, of which there are none.
  const NOTHING = "Your search did not match any documents. Please make sure that all words are spelled correctly and that you've selected enough categories.";

  function nameSearch() {
    if (typeof Documentation === "undefined") return;
    const said = "No page has all of these words. Look at their spelling, or take fewer.";
    Documentation.addTranslations({ messages: { [NOTHING]: said }, plural_expr: "n === 1 ? 0 : 1", locale: "en" });
  }

  function start() {
    markBoxes();
    nameSearch();
    markRead();
    rememberEnd();
    addCloseButtons();
    addEventListener("click", closeDrawer);
    // a page that comes back whole, by the browser's button, knows an old list
    addEventListener("pageshow", ({ persisted }) => persisted && markRead());
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
