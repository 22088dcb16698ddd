window.addEventListener("DOMContentLoaded", () => {
  const again = document.getElementById("again");
  again.addEventListener("click", () => window.location.reload());

  /* cells are measured anew after a change of size or zoom: the terminal fits itself once more by those */
  let settled;
  window.addEventListener("resize", (event) => {
    if (!event.isTrusted) return;
    clearTimeout(settled);
    settled = setTimeout(() => window.dispatchEvent(new Event("resize")), 150);
  });

  /* keys go to the application from the start, without a click into it */
  const terminal = document.getElementById("terminal");
  const focus = () => {
    const keys = terminal.querySelector(".xterm-helper-textarea");
    if (keys) keys.focus();
    return Boolean(keys);
  };
  if (!focus()) {
    const made = new MutationObserver(() => focus() && made.disconnect());
    made.observe(terminal, { childList: true, subtree: true });
  }
});
