window.addEventListener("DOMContentLoaded", () => {
  const again = document.getElementById("again");
  again.addEventListener("click", () => window.location.reload());

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
