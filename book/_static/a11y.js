// Repairs of the theme's accessibility, found with axe-core (sphinx-book-theme 1.3, pydata-sphinx-theme 0.17).
document.addEventListener("DOMContentLoaded", () => {
  const all = (selector, change) => document.querySelectorAll(selector).forEach(change);

  // The visible text is part of the accessible name (WCAG 2.5.3).
  all("button.search-button-field, details.hide > summary[aria-label]", (e) => e.removeAttribute("aria-label"));

  // The three icons of the button that changes colours are decoration; its own name says what it does. Font Awesome puts
  // its pictures in place at a time of its choosing, with a title that nobody sees.
  const decorate = () =>
    all(".theme-switch", (e) => {
      e.removeAttribute("title");
      e.querySelectorAll("title").forEach((title) => title.remove());
      for (const name of ["role", "aria-labelledby"]) e.removeAttribute(name);
      if (e.getAttribute("aria-hidden") !== "true") e.setAttribute("aria-hidden", "true");
    });
  decorate();
  all(".theme-switch-button", (e) => new MutationObserver(decorate).observe(e, { childList: true, subtree: true }));

  // The logo in the sidebar stands in a landmark.
  const sidebar = document.getElementById("pst-primary-sidebar");
  if (sidebar) {
    sidebar.setAttribute("role", "navigation");
    sidebar.setAttribute("aria-label", "Book");
  }

  // The arrow that opens the pages below a page says so.
  all(".bd-links li.has-children > details > summary", (e) => {
    e.setAttribute("aria-label", `Pages of “${e.closest("li").querySelector("a").textContent.trim()}”`);
  });

  // The parts of a list of sources are list items; the role that Sphinx gives them is no longer in use.
  all('[role="doc-biblioentry"]', (e) => e.setAttribute("role", "listitem"));

  // What scrolls sideways can be scrolled with the keyboard.
  const reachable = () =>
    all(".bd-content :is(pre, .text_html, .pst-scrollable-table-container, div.math, mjx-container)", (e) => {
      if (e.scrollWidth > e.clientWidth + 1) e.tabIndex = 0;
    });
  window.addEventListener("load", reachable);
  window.addEventListener("resize", reachable);
});
